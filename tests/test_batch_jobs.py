"""From a plan to jobs: places, collisions, and frames that are no frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_helpers import write_bracket
from helpers import encoded, exif_block, jpeg_with_exif, textured_light
from mefuse.batch.jobs import Job, Naming, Shard, plan_jobs
from mefuse.batch.names import DEFAULT_TEMPLATE, Template
from mefuse.errors import InputError
from mefuse.plan import Plan, PlannedBracket


def jobs_of(
    tmp_path: Path, *brackets: tuple[Path, ...], template: str = DEFAULT_TEMPLATE, **more: Any
) -> list[Job]:
    """The jobs of brackets that go into tmp_path/out."""
    own = more.pop("own", ())
    naming = Naming(tmp_path / "out", Template(template), "png", **more)
    return plan_jobs(Plan(tuple(PlannedBracket(frames) for frames in brackets)), naming, own=own)


def frames(folder: Path, *names: str) -> tuple[Path, ...]:
    return tuple(folder / f"{name}.jpg" for name in names)


def test_the_folder_tree_is_kept_below_the_root(tmp_path: Path) -> None:
    card = tmp_path / "card"
    one, two = frames(card / "a" / "b", "1", "2"), frames(card / "c", "1", "2")
    jobs = jobs_of(tmp_path, one, two, roots=(card,))
    assert [job.name for job in jobs] == ["a/b/1-2.png", "c/1-2.png"]
    assert [job.target for job in jobs] == [tmp_path / "out" / job.name for job in jobs]
    assert [job.index for job in jobs] == [1, 2]
    # Without roots: below the folder that all have in common.
    assert [job.name for job in jobs_of(tmp_path, one, two)] == ["a/b/1-2.png", "c/1-2.png"]
    assert [job.name for job in jobs_of(tmp_path, one)] == ["1-2.png"]
    # Of nested roots the deepest; a folder below none keeps nothing of its place.
    (nested,) = jobs_of(tmp_path, one, roots=(card, card / "a"))
    assert nested.name == "b/1-2.png"
    (elsewhere,) = jobs_of(tmp_path, two, roots=(card / "a",))
    assert elsewhere.name == "1-2.png"


def test_relative_frames_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (job,) = jobs_of(tmp_path, (Path("x/../a.jpg"), Path("b.jpg")))
    assert job.frames == (tmp_path / "a.jpg", tmp_path / "b.jpg")


@pytest.mark.parametrize("other", ["1", "É"])
def test_two_brackets_with_one_name_are_refused(tmp_path: Path, other: str) -> None:
    upper, lower = frames(tmp_path / "a", other.upper()), frames(tmp_path / "b", other.lower())
    with pytest.raises(InputError, match="two brackets") as caught:
        jobs_of(tmp_path, upper, lower, template="{first}", roots=(tmp_path / "a", tmp_path / "b"))
    assert str(upper[0]) in str(caught.value)
    assert str(lower[0]) in str(caught.value)
    by_index = jobs_of(
        tmp_path, upper, lower, template="{index}", roots=(tmp_path / "a", tmp_path / "b")
    )
    assert [job.name for job in by_index] == ["0001.png", "0002.png"]


def test_a_picture_never_takes_the_place_of_a_frame(tmp_path: Path) -> None:
    inside = tmp_path / "out" / "a.png", tmp_path / "out" / "b.png"
    with pytest.raises(InputError, match="is a frame"):
        jobs_of(tmp_path, inside, template="{first}")
    real = tmp_path / "card"
    real.mkdir()
    (tmp_path / "out").symlink_to(real)
    with pytest.raises(InputError, match="is a frame"):
        jobs_of(tmp_path, (real / "a.png", real / "b.png"), template="{first}")


def test_an_own_picture_is_no_frame(tmp_path: Path) -> None:
    mine = tmp_path / "out" / "1-2.png"
    with pytest.raises(InputError, match="was fused by mefuse"):
        jobs_of(tmp_path, (mine, tmp_path / "3.png"), own={mine})


def test_the_reference_of_the_plan_comes_before_that_of_the_command(tmp_path: Path) -> None:
    one, two = frames(tmp_path, "1", "2", "3"), frames(tmp_path, "4", "5", "6")
    plan = Plan((PlannedBracket(one, reference=one[2]), PlannedBracket(two)))
    naming = Naming(tmp_path / "out", Template("{stem}"), "png", reference=0)
    jobs = plan_jobs(plan, naming)
    assert [job.reference for job in jobs] == [2, 0]
    assert [job.name for job in jobs] == ["3.png", "4.png"]
    with pytest.raises(InputError, match=r"reference 4, but its bracket has 3 frames"):
        jobs_of(tmp_path, one, reference=3)


def test_date_and_model_come_from_the_first_frame(tmp_path: Path) -> None:
    block = exif_block(
        {0x0110: ("ASCII", b"Camera/X\0")},
        shooting={0x9003: ("ASCII", b"2024:05:01 18:30:05\0")},
    )
    jpeg = encoded((textured_light(16, 16) * 255).astype("uint8"), ".jpg")
    told = tmp_path / "told.jpg"
    told.write_bytes(jpeg_with_exif(jpeg, block))
    (silent,) = write_bracket(tmp_path, 1, count=1)
    template = "{date:%Y-%m-%d %H%M}_{model}"
    jobs = jobs_of(tmp_path, (told, silent), (silent, told), template=template)
    assert [job.name for job in jobs] == ["2024-05-01 1830_Camera_X.png", "undated_unknown.png"]


@given(st.lists(st.text(min_size=1), unique=True, max_size=50), st.integers(1, 9))
def test_every_bracket_is_in_exactly_one_shard(names: list[str], count: int) -> None:
    for name in names:
        assert sum(Shard(i + 1, count).holds(name) for i in range(count)) == 1


def test_shards_share_the_work() -> None:
    held = [sum(Shard(i + 1, 4).holds(f"{n}.png") for n in range(1000)) for i in range(4)]
    assert min(held) > 200
