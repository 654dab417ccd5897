"""What is never replaced: frames under any name, devices, pipes, and what a batch made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batch_helpers import write_bracket
from mefuse import deliver, landing
from mefuse.cli import main
from mefuse.errors import WriteError
from mefuse.fuse import fuse_files
from mefuse.settings import FuseSettings

PLAIN = ("--model", "mertens", "--no-align")


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    return write_bracket(tmp_path, 1)


def fuse(frames: list[Path], output: str | Path, *options: str) -> Result:
    names = [path.name for path in frames]
    return CliRunner().invoke(main, ["fuse", *names, "-o", str(output), *PLAIN, *options])


def refused(done: Result, folder: Path, before: dict[Path, bytes]) -> str:
    assert done.exit_code == 1, done.output
    assert done.stderr.count("\n") == 1, done.stderr
    assert contents(folder) == before
    return done.stderr


def contents(folder: Path) -> dict[Path, bytes]:
    """What lies there; of what is no file, its kind."""
    return {
        path: path.read_bytes() if path.is_file() else str(path.lstat().st_mode).encode()
        for path in folder.rglob("*")
    }


def the_frame(frame: Path) -> Path:
    return frame


def another_way_to_it(frame: Path) -> Path:
    (frame.parent / "sub").mkdir()
    return Path("sub") / ".." / frame.name


def a_hard_link(frame: Path) -> Path:
    link = frame.with_name("hard.jpg")
    link.hardlink_to(frame)
    return link


def a_link(frame: Path) -> Path:
    link = frame.with_name("soft.jpg")
    link.symlink_to(frame)
    return link


@pytest.mark.parametrize("name", [the_frame, another_way_to_it, a_hard_link, a_link])
def test_a_frame_is_not_replaced_whatever_it_is_called(name, card: list[Path]) -> None:
    output = name(card[1])
    before = contents(card[0].parent)
    says = "is one of the frames, and is never replaced"
    for command in ("fuse", "preview"):
        done = CliRunner().invoke(
            main, [command, *map(str, card), "-o", str(output), "--overwrite", "--model", "mertens"]
        )
        assert says in refused(done, card[0].parent, before)


def test_a_frame_that_is_a_link_stays_one(card: list[Path]) -> None:
    link = a_link(card[0])
    before = contents(card[0].parent)
    done = fuse([link, *card[1:]], link, "--overwrite")
    assert "is one of the frames" in refused(done, card[0].parent, before)
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("option", "taken"), [("save_aligned", "01_IMG_01_0.tif"), ("save_maps", "02_x.ghost.png")]
)
def test_nor_do_aligned_frames_and_maps_take_a_frames_place(
    option: str, taken: str, card: list[Path]
) -> None:
    folder = card[0].parent
    frame = card[-1].rename(folder / taken)
    (folder / "x.jpg").write_bytes(card[0].read_bytes())
    frames = [*card[:-1], frame, folder / "x.jpg"]
    before = contents(folder)
    settings = FuseSettings(model="mertens", overwrite=True, **{option: str(folder)})
    with pytest.raises(WriteError, match="is one of the frames, and is never replaced"):
        fuse_files(frames, folder / "fused.png", settings=settings)
    assert contents(folder) == before


def test_a_plan_takes_no_frames_place(card: list[Path]) -> None:
    before = contents(card[0].parent)
    group = ["group", ".", "--size", "3", "-o", card[2].name, "--overwrite"]
    done = CliRunner().invoke(main, group)
    assert "is one of the frames" in refused(done, card[0].parent, before)


def test_a_page_takes_no_place_of_its_batch(card: list[Path]) -> None:
    folder = card[0].parent
    batch = ["batch", *[path.name for path in card], "-o", "out", "--size", "3", *PLAIN]
    assert CliRunner().invoke(main, batch).exit_code == 0
    before = contents(folder)
    (picture,) = (folder / "out").glob("*.png")
    for taken in (card[1], picture, folder / "out" / "mefuse-manifest.jsonl"):
        done = CliRunner().invoke(main, ["report", "out", "-o", str(taken), "--overwrite"])
        assert "is part of the batch, and is never replaced" in refused(done, folder, before)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_device_or_a_pipe_is_not_replaced(kind: str, card: list[Path]) -> None:
    output = card[0].with_name("fused.png")
    if kind == "pipe":
        os.mkfifo(output)
    else:  # through a link: making a device needs root
        output.symlink_to("/dev/null")
    before = contents(card[0].parent)
    done = fuse(card, output, "--overwrite")
    assert "is no regular file; name another, or - for" in refused(done, card[0].parent, before)
    batch = ["batch", *[path.name for path in card], "-o", ".", "--size", "3", "--overwrite"]
    done = CliRunner().invoke(main, [*batch, "--name", "fused.png", "--dry-run", "--json", *PLAIN])
    assert "is no regular file; choose another --name" in done.output
    assert contents(card[0].parent) == before


@pytest.mark.parametrize("option", ["--save-maps", "--save-aligned"])
def test_folders_that_cannot_be_used_are_told_before_any_work(
    option: str, card: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = card[0].parent
    (folder / "loop").symlink_to("loop")
    (folder / "nowhere").symlink_to("gone")
    (folder / "sub").mkdir()
    before = contents(folder)
    for name in ("loop", "nowhere"):
        assert "is a file; name a folder" in refused(
            fuse(card, "fused.png", option, name), folder, before
        )
    # As for one who may not write there; root may everywhere.
    monkeypatch.setattr(deliver.os, "access", lambda path, _: Path(path).name != "sub")
    said = refused(fuse(card, "fused.png", option, "sub/maps"), folder, before)
    assert "sub/maps: is not writable; choose another folder for the" in said


def test_a_limit_that_is_no_number_is_no_limit_taken_away(card: list[Path]) -> None:
    before = contents(card[0].parent)
    done = fuse(card, "fused.png", "--max-megapixels", "nan")
    assert "nan megapixels: use a positive number" in refused(done, card[0].parent, before)
    assert fuse(card, "fused.png", "--max-megapixels", "inf").exit_code == 0


def test_a_name_that_no_file_can_have_is_told(card: list[Path]) -> None:
    before = contents(card[0].parent)
    for name in ("x" * 300 + ".png", "x" * 300 + "/fused.png"):
        said = refused(fuse(card, name), card[0].parent, before)
        assert "writing failed (file name too long)" in said
    csv = ["evaluate", str(card[0]), *map(str, card), "--csv", "x" * 300]
    said = refused(CliRunner().invoke(main, csv), card[0].parent, before)
    assert "file name too long" in said


def test_a_table_is_written_whole_or_not_at_all(card: list[Path]) -> None:
    """And replaced, where that was asked for: what has its old bytes by another name keeps them."""
    table = card[0].with_name("scores.csv")
    table.write_text("mine")
    other = card[0].with_name("other.csv")
    other.hardlink_to(table)
    evaluate = ["evaluate", str(card[0]), *map(str, card), "--csv", str(table)]
    assert "exists already" in CliRunner().invoke(main, evaluate).stderr
    assert CliRunner().invoke(main, [*evaluate, "--overwrite"]).exit_code == 0
    assert table.read_text().startswith("bracket,frames,")
    assert other.read_text() == "mine"


def test_what_the_system_refuses_where_nobody_expected_it_is_one_line(
    card: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", b"a\n.png")

    monkeypatch.setattr(landing, "check_target", refuse)
    monkeypatch.setattr("mefuse.write.check_target", refuse)
    done = fuse(card, "a.png")
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: a\\n.png: cannot be used (permission denied); check its name and its permissions\n"
    )
    assert "Traceback" in fuse(card, "a.png", "-vv").stderr
