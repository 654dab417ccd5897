"""The measuring commands, each run small on pictures made here: what they print is what is so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from batch_helpers import write_bracket
from helpers import encoded, exposed, textured_light
from mefuse.bench import (
    ablation,
    cluster,
    colour,
    focus,
    grouping,
    look,
    metadata,
    models,
    noise,
    series,
)
from mefuse.bench.batch import draw
from mefuse.errors import InputError

Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command's `main` and gives what it printed: one object, or one a line."""

    def run_main(main: Callable[[], None], *arguments: str | Path) -> list[dict[str, Any]]:
        monkeypatch.setattr("sys.argv", ["bench", *map(str, arguments)])
        main()
        said = capsys.readouterr().out
        try:
            return [json.loads(said)]
        except json.JSONDecodeError:
            return [json.loads(line) for line in said.splitlines()]

    return run_main


@pytest.fixture
def hdr(tmp_path: Path) -> Path:
    """A folder with a panorama of the whole sphere, light to one side and warm."""
    folder = tmp_path / "hdr"
    folder.mkdir()
    light = textured_light(128, 256, stops=5.0) * np.float32((0.6, 0.9, 1.2))  # B, G, R
    assert cv2.imwrite(str(folder / "place.hdr"), light)
    return folder


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(12):
        pixels = exposed(textured_light(400, 400, seed=i), 1.0)
        (folder / f"{i}.png").write_bytes(encoded(pixels, ".png"))
    return folder


def test_series_match_better_than_brackets_alone(
    hdr: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "SIZE", (96, 144))
    kinds = ("white", "locked", "still")
    lines = run(series.main, hdr, "--model", "mertens", "--count", "3", "--each", "--kinds", *kinds)
    assert [line["kind"] for line in lines] == [kind for kind in kinds for _ in range(2)]
    means = {line["kind"]: line for line in lines if "scenes" in line}
    assert means["white"]["series"]["colour"] < means["white"]["alone"]["colour"]
    assert means["still"]["series"]["luma"] <= means["still"]["alone"]["luma"] + 0.01
    (hdr / "place.hdr").rename(hdr / "place.exr")
    with pytest.raises(InputError, match=r"no \.hdr in it"):
        run(series.main, hdr)


def test_colour_of_brackets(tmp_path: Path, run: Run) -> None:
    for name in ("one", "two", "gray", "bad"):
        write_bracket(tmp_path / "all" / name, 1)
    for path in (tmp_path / "all" / "gray").iterdir():
        gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), gray)
    next((tmp_path / "all" / "bad").iterdir()).write_bytes(b"no picture")
    (found,) = run(colour.main, tmp_path / "all", "--model", "mertens")
    assert set(found["brackets"]) == {"one", "two"}
    assert set(found["left_out"]) == {"gray", "bad"}
    assert found["worst_hue_degrees"] >= found["median_hue_degrees"] >= 0
    (nothing,) = run(colour.main, tmp_path / "all" / "gray")
    assert nothing["brackets"] == {}


def test_look_beside_the_best_exposed_frame(tmp_path: Path, run: Run) -> None:
    for number in (1, 2):
        write_bracket(tmp_path / f"all/b{number}", number)
    one, two, means = run(look.main, tmp_path / "all", "--model", "mertens", "--brackets")
    assert means["brackets"] == 2
    expected = (one["fused"]["mean"] + two["fused"]["mean"]) / 2
    assert means["fused"]["mean"] == pytest.approx(expected, abs=1e-4)


def test_cost_of_models(tmp_path: Path, run: Run) -> None:
    frames = write_bracket(tmp_path, 1)
    (found,) = run(models.main, *frames, "--model", "mertens", "--model", "ipl", "--repeats", "1")
    assert found["mertens"]["parameters"] is None
    assert found["ipl"]["parameters"] > 10_000
    assert found["ipl"]["peak_memory_mib"] > 10
    assert found["ipl"]["slices_db"] > 48
    assert 0 < found["ipl"]["warm_512x384_s"] < 30
    beside = found["beside_mertens"]
    assert beside["mertens"] == {"fuse_s": 1, "processor_s": 1}
    assert beside["ipl"]["processor_s"] > 0
    with pytest.raises(InputError, match=r"mertens: .*frame"):
        models.measure(frames[:1], "mertens", device="cpu", repeats=1)


def test_noise_of_drawn_brackets(photographs: Path, run: Run) -> None:
    (found,) = run(noise.main, photographs, "--brackets", "2", "--model", "mertens")
    assert all(0 < found[name]["median"] <= found[name]["p95"] for name in noise.CHANNELS)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_metadata_that_is_kept(tmp_path: Path, run: Run) -> None:
    (picture, *_) = write_bracket(tmp_path, 1)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    (found,) = run(metadata.main, picture, broken)
    assert found["pictures"] == 1
    assert set(found["left_out"]) == {"broken.jpg"}
    for extension in metadata.FORMATS:
        assert found[extension]["exif_kept"] > 0.9


def test_grouping_of_drawn_cards(tmp_path: Path, run: Run) -> None:
    (kept,) = run(grouping.main, "--brackets", "12", "--keep", tmp_path / "kept")
    (again,) = run(grouping.main, "--brackets", "12")
    assert any((tmp_path / "kept").rglob("*.*"))
    assert kept | {"seconds": 0} == again | {"seconds": 0}


def test_ablation_of_drawn_brackets(
    photographs: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "SIZE_PX", 128)
    weights = Path(__file__).resolve().parents[1] / "weights" / "ipl.safetensors"
    (found,) = run(
        ablation.main, "--pictures", photographs, "--count", "1", "--weights", f"same={weights}"
    )
    whole = next(iter(found.values()))
    assert found["same"] == whole
    other = f"other={weights.with_name('deepfuse.safetensors')}"
    (found,) = run(
        ablation.main, "--pictures", photographs, "--count", "1", "--size", "128",
        "--weights", other, "--only-weights",
    )  # fmt: skip
    assert list(found) == ["other"]
    assert found["other"] != whole


def test_focus_of_photographs(photographs: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(focus, "MODELS", ("mertens",))
    (found,) = run(focus.main, "--pictures", photographs, "--count", "1")
    assert "mertens" in json.dumps(found)


def test_what_a_cluster_takes(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="mefuse[cluster] is not installed")
    plans = [draw(tmp_path / f"b{i}", count=1, size=(64, 96)) for i in range(2)]
    one = cluster.use_of(1, tmp_path / "one", plans, "mertens")
    assert 0 < one.clock_s < 60
    assert len(one.workers_s) == 1
    assert one.workers_s[0] > 0
    two = cluster.Used(one.clock_s / 2, (one.workers_s[0] / 2,) * 2, 0.0, one.queued_s)
    found = cluster.summary(one, two, count=1)
    assert (found["ratio"], found["bound"]) == (2.0, 2.0)
