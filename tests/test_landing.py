"""Files that appear whole, under their name, in one step."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mefuse import landing
from mefuse.errors import OutputExistsError, WriteError


def made(target: Path, content: bytes) -> Path:
    """A finished file that waits for its name."""
    temporary = landing.temporary_for(target)
    with landing.open_new(temporary) as file:
        file.write(content)
        assert landing.finish(file) == (len(content), hashlib.sha256(content).hexdigest())
    return temporary


def test_a_finished_file_gets_its_name_and_nothing_is_left(tmp_path: Path) -> None:
    target = tmp_path / "fused.png"
    temporary = made(target, b"picture")
    assert not target.exists()
    assert temporary.stat().st_mode & 0o777 == 0o600
    landing.put(temporary, target, overwrite=False)
    assert target.read_bytes() == b"picture"
    assert list(tmp_path.iterdir()) == [target]
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path, overwrite: bool) -> None:
    device = tmp_path / "device"
    os.mkfifo(device)
    with pytest.raises(WriteError, match=r"device: is no regular file; name another, or - for"):
        landing.check_target(device, overwrite)


def test_the_mask_is_asked_for_by_one_thread_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, mask = os.umask, os.umask(0o027)

    def slow(wanted: int) -> int:
        before = real(wanted)
        time.sleep(0.002)  # where another thread would come in between
        return before

    monkeypatch.setattr("mefuse.landing.os.umask", slow)
    try:
        with ThreadPoolExecutor(4) as pool:
            modes = set(pool.map(landing._mode_for, [tmp_path / "new.png"] * 16))
        assert modes == {0o640}
        assert real(0o027) == 0o027
    finally:
        real(mask)


def test_a_name_that_is_taken_is_kept_unless_asked(tmp_path: Path) -> None:
    target = tmp_path / "fused.png"
    target.write_bytes(b"mine")
    target.chmod(0o640)
    temporary = made(target, b"new")
    with pytest.raises(OutputExistsError, match=r"fused\.png: exists"):
        landing.put(temporary, target, overwrite=False)
    assert target.read_bytes() == b"mine"
    landing.put(temporary, target, overwrite=True)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_without_links_a_name_is_still_not_taken_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(self: Path, target: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    target = tmp_path / "fused.png"
    landing.put(made(target, b"one"), target, overwrite=False)
    temporary = made(target, b"two")
    with pytest.raises(OutputExistsError):
        landing.put(temporary, target, overwrite=False)
    assert target.read_bytes() == b"one"


def test_leftovers_are_those_of_this_target_alone(tmp_path: Path) -> None:
    target, other = tmp_path / ("x" * 200 + ".png"), tmp_path / ("x" * 200 + ".jpg")
    made(target, b"a"), made(target, b"b")
    kept = made(other, b"c")
    (tmp_path / ".mefuse-0000.part").write_bytes(b"somebody else's")
    landing.clear_leftovers(target)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {kept.name, ".mefuse-0000.part"}
    landing.clear_leftovers(tmp_path / "no folder" / "fused.png")


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="no such file"):
        landing.open_new(tmp_path / "absent" / "x.part")


def test_a_file_takes_its_place_only_when_all_went_well(tmp_path: Path) -> None:
    target = tmp_path / "fused.png"
    target.write_bytes(b"old")
    with pytest.raises(ValueError, match="stop"), landing.replacing(target, overwrite=True) as file:
        file.write(b"half")
        raise ValueError("stop")
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"old", [target])
    with landing.replacing(target, overwrite=True) as file:
        file.write(b"new")
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"new", [target])
    with pytest.raises(OutputExistsError), landing.replacing(target, overwrite=False) as file:
        file.write(b"newer")
    with (
        pytest.raises(WriteError, match=r"fused\.png: writing failed \(no space left"),
        landing.replacing(target, overwrite=True),
    ):
        raise OSError(28, "No space left on device")
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"new", [target])


def test_what_a_killed_process_left_goes_before_the_next_file_comes(tmp_path: Path) -> None:
    """But not what another one still writes, nor what belongs to another target."""
    target = tmp_path / "fused.png"
    dead, alive = landing.temporary_for(target), landing.temporary_for(target)
    other = landing.temporary_for(tmp_path / "other.png")
    for path in (dead, other):
        path.write_bytes(b"half a picture")
    link, pipe = landing.temporary_for(target), landing.temporary_for(target)
    link.symlink_to(other)
    os.mkfifo(pipe)  # opening it would wait for ever
    with landing.open_new(alive) as file:
        with landing.replacing(target, overwrite=False) as new:
            new.write(b"picture")
        file.write(b"another")
    assert set(tmp_path.iterdir()) == {target, alive, other, link, pipe}
    assert target.read_bytes() == b"picture"
    with landing.replacing(target, overwrite=True) as new:
        new.write(b"again")
    assert not alive.exists()
    assert other.read_bytes() == b"half a picture"


def test_where_nothing_can_be_held_leftovers_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    target = tmp_path / "fused.png"
    left = landing.temporary_for(target)
    left.touch()
    with landing.replacing(target, overwrite=False) as new:
        new.write(b"picture")
    assert set(tmp_path.iterdir()) == {target, left}
