"""The command's promises, checked by running it: exit codes, streams, lists, pipes, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from conftest import HandHeld
from mefuse.cli import main

MEFUSE = [sys.executable, "-m", "mefuse"]
FUSE = [*MEFUSE, "fuse", "--model", "mertens"]
PNG = b"\x89PNG"


def run(*command: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
    """A finished command with its output."""
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **how)


def invoke(*arguments: str, **how: Any) -> Result:
    """The same in this process: for what does not depend on real streams."""
    return CliRunner().invoke(main, list(arguments), **how)


def test_json_is_one_object_and_nothing_else_on_stdout(hand_held: HandHeld, tmp_path: Path) -> None:
    output = tmp_path / "fused.png"
    done = run(*FUSE, *hand_held.names, "-o", str(output), "--json")
    assert done.returncode == 0
    assert done.stderr == b""
    found = json.loads(done.stdout)
    assert done.stdout.count(b"\n") == 1
    assert found["output"] == str(output)
    assert found["model"] == "mertens"
    assert [frame["path"] for frame in found["frames"]] == hand_held.names
    assert found["seconds"]["total"] > 0
    picture = cv2.imread(str(output))
    assert found["size"] == {"height": picture.shape[0], "width": picture.shape[1]}


def test_not_on_a_terminal_it_says_nothing(hand_held: HandHeld, tmp_path: Path) -> None:
    done = run(*FUSE, *hand_held.names, "-o", str(tmp_path / "fused.png"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_verbose_tells_frames_and_times_on_stderr(hand_held: HandHeld, tmp_path: Path) -> None:
    output = str(tmp_path / "fused.png")
    done = run(*FUSE, *hand_held.names, "-o", output, "-v")
    said = done.stderr.decode()
    assert done.stdout == b""
    assert all(name in said for name in hand_held.names)
    for word in ("read", "align", "fuse", "write", "total", "reference", "-2.0 EV", "MiB"):
        assert word in said


@pytest.mark.parametrize("quiet", [True, False])
def test_warnings_go_to_stderr_unless_quiet(
    hand_held: HandHeld, tmp_path: Path, quiet: bool
) -> None:
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((240, 320, 3), np.uint8))
    frames = [*hand_held.names, str(black)]
    output = str(tmp_path / "fused.png")
    done = invoke("fuse", *frames, "-o", output, "--model", "mertens", *(["-q"] if quiet else []))
    assert done.exit_code == 0
    assert (f"Warning: {black}" in done.stderr) is not quiet
    assert done.stdout == ""


def test_a_list_on_stdin_and_a_picture_on_stdout(hand_held: HandHeld, tmp_path: Path) -> None:
    listed = "\n".join(hand_held.names) + "\n"
    by_list = run(*FUSE, "-", "-o", "-", input=listed.encode())
    assert by_list.returncode == 0, by_list.stderr
    assert by_list.stdout.startswith(PNG)
    output = tmp_path / "fused.png"
    assert run(*FUSE, *hand_held.names, "-o", str(output)).returncode == 0
    assert by_list.stdout == output.read_bytes()


def test_a_list_of_nul_ended_names_and_another_format(hand_held: HandHeld, tmp_path: Path) -> None:
    odd = tmp_path / "a\nnewline in its name.jpg"
    odd.write_bytes(hand_held.paths[0].read_bytes())
    names = [str(odd), *hand_held.names[1:]]
    listed = b"".join(os.fsencode(name) + b"\0" for name in names)
    done = run(*FUSE, "--null", "-", "-o", "-", "--format", "jpeg", input=listed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"\xff\xd8\xff")


def test_the_shell_line_of_the_readme(hand_held: HandHeld, tmp_path: Path) -> None:
    folder = hand_held.paths[0].parent
    line = (
        f"find {str(folder)!r} -name '*.jpg' -print0 | {' '.join(FUSE)} --null - -o - > fused.png"
    )
    done = run("bash", "-c", f"set -o pipefail; {line}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / "fused.png")) is not None


def test_a_reader_that_leaves_ends_it_quietly(hand_held: HandHeld, tmp_path: Path) -> None:
    names = " ".join(f"'{name}'" for name in hand_held.names)
    line = f"{' '.join(FUSE)} {names} -o - --format tiff | head -c 4 | wc -c"
    done = run("bash", "-c", f"{line}; echo ${{PIPESTATUS[0]}} >&2", cwd=tmp_path)
    assert done.stdout.split() == [b"4"]
    assert done.stderr.split() in ([b"0"], [b"1"])  # 0 where all fitted into the pipe


def test_a_picture_is_not_written_to_a_terminal(hand_held: HandHeld) -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb"), os.fdopen(terminal, "wb") as stdout:
        done = subprocess.run(
            [*FUSE, *hand_held.names, "-o", "-"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert b"pipe" in done.stderr


def test_progress_and_summary_on_a_terminal(hand_held: HandHeld, tmp_path: Path) -> None:
    output = tmp_path / "fused.png"
    done, said = _on_a_terminal([*FUSE, *hand_held.names, "-o", str(output)], {"NO_COLOR": "1"})
    assert done == 0
    assert "align" in said
    assert "fused.png" in said
    assert "\x1b[3" not in said  # cursor moves there are, colours not
    quiet = [*FUSE, *hand_held.names, "-o", str(output), "--overwrite", "-q"]
    assert _on_a_terminal(quiet, {}) == (0, "")


def _on_a_terminal(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Exit code, and what a command says to a terminal on stderr."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", **environment}
    process = subprocess.Popen(command, stderr=terminal, env=environment)
    os.close(terminal)
    said = b""
    try:
        while chunk := os.read(controller, 4096):
            said += chunk
    except OSError:  # Linux's way to say that the other end of a terminal is closed
        pass
    os.close(controller)
    return process.wait(60), said.decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing argument 'FRAMES...'"),
        (["a.jpg", "b.jpg"], "Missing option '-o'"),
        (["a.jpg", "b.jpg", "-o", "x.png", "--slice-size", "100"], "multiple of 64"),
        (["a.jpg", "b.jpg", "-o", "x.png", "--slice-size", "half"], "multiple of 64"),
        (["a.jpg", "b.jpg", "-o", "x.png", "--depth", "9"], "--depth"),
        (["a.jpg", "b.jpg", "-o", "x.png", "--quality", "0"], "--quality"),
        (["a.jpg", "b.jpg", "-o", "x.png", "--model", "magic"], "--model"),
        (["a.jpg", "b.jpg", "-o", "x.png", "--reference", "3"], "from 1 to 2"),
        (["a.jpg", "b.jpg", "-o", "x.png", "--reference", "c.jpg"], "neither one of the frames"),
        (["a.jpg", "b.jpg", "-o", "x.png", "--null"], "--null needs -"),
        (["a.jpg", "b.jpg", "-o", "-", "--json"], "both write to standard output"),
        (["-", "-", "-o", "x.png"], "only once"),
        (["a.jpg", "b.jpg", "-o", "x.png", "--colour"], "No such option"),
    ],
)
def test_usage_errors_exit_2(arguments: list[str], says: str) -> None:
    done = invoke("fuse", *arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("frames", "more", "says"),
    [
        (["absent.jpg", "1"], [], "absent.jpg"),
        (["1"], [], "at least two frames"),
        (["1", "2"], ["--device", "cuda"], "runs on the CPU only"),
        (["1", "2"], ["--format", "jpeg", "--depth", "16"], "JPEG"),
        (["-"], [], "no paths in the list"),
    ],
)
def test_failures_exit_1_with_one_line_and_write_nothing(
    hand_held: HandHeld, tmp_path: Path, frames: list[str], more: list[str], says: str
) -> None:
    given = {"1": hand_held.names[0], "2": hand_held.names[1]}
    names = [given.get(frame, frame) for frame in frames]
    output = tmp_path / "fused.png"
    done = invoke("fuse", *names, "-o", str(output), "--model", "mertens", *more)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_kept_unless_overwrite(hand_held: HandHeld, tmp_path: Path) -> None:
    output = tmp_path / "fused.jpg"
    output.write_bytes(b"mine")
    command = ["fuse", *hand_held.names, "-o", str(output), "--model", "mertens"]
    refused = invoke(*command)
    assert refused.exit_code == 1
    assert "exists" in refused.stderr
    assert output.read_bytes() == b"mine"
    assert invoke(*command, "--overwrite", "--quality", "50").exit_code == 0
    assert cv2.imread(str(output)) is not None


@pytest.mark.parametrize("by_path", [True, False])
def test_the_reference_by_path_or_place(hand_held: HandHeld, tmp_path: Path, by_path: bool) -> None:
    # A path that is written in another way names the same frame.
    written = os.path.relpath(hand_held.names[0]) if by_path else "1"
    output = str(tmp_path / "fused.png")
    options = ["-o", output, "--model", "mertens", "--json", "--no-align", "--reference", written]
    done = invoke("fuse", *hand_held.names, *options)
    assert json.loads(done.stdout)["reference"] == hand_held.names[0]


def test_twice_verbose_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    output = str(tmp_path / "fused.png")
    done = run(*MEFUSE, "fuse", "absent_1.jpg", "absent_2.jpg", "-o", output, "-vv")
    assert done.returncode == 1
    assert b"Traceback" in done.stderr
    assert b"Error: absent_1.jpg" in done.stderr


INTERRUPTED_WHILE_WRITING = """
import os, signal, sys, time
from mefuse.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

def stop_here(_file):
    sys.stderr.write("writing\\n")
    sys.stderr.flush()
    time.sleep(60)

os.fsync = stop_here
main()
"""


def test_ctrl_c_leaves_nothing_behind_and_exits_130(hand_held: HandHeld, tmp_path: Path) -> None:
    output = str(tmp_path / "fused.png")
    command = [sys.executable, "-c", INTERRUPTED_WHILE_WRITING, *FUSE[3:]]
    process = subprocess.Popen(
        [*command, *hand_held.names, "-o", output], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.readline() == "writing\n"
        assert list(tmp_path.iterdir()) != []  # the temporary file: there is something to clean up
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().strip() == "interrupted"
    assert process.wait(30) == 130
    assert list(tmp_path.iterdir()) == []


def test_a_missing_system_library_names_the_package(hand_held: HandHeld, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    missing = "libGL.so.1: cannot open shared object file: No such file or directory"
    (broken / "cv2.py").write_text(f"raise ImportError({missing!r})\n")
    paths = os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = run(*FUSE, *hand_held.names, "-o", str(tmp_path / "x.png"), env=environment)
    assert done.returncode == 1
    assert b"apt-get install libgl1 libglib2.0-0" in done.stderr
    assert b"libGL.so.1" in done.stderr
    assert b"Traceback" not in done.stderr


def test_info_for_programs_and_people() -> None:
    found = json.loads(invoke("info", "--json").stdout)
    assert set(found) == {"versions", "kernels", "devices", "models"}
    assert found["kernels"] in ("compiled", "absent")
    assert {"mefuse", "python", "torch", "opencv", "rawpy", "numpy"} <= set(found["versions"])
    assert found["devices"][0]["name"] == "cpu"
    assert [model["name"] for model in found["models"]] == ["ipl", "deepfuse", "lcndr", "mertens"]
    assert found["models"][-1]["weights"] is None
    said = invoke("info").stdout
    for word in ("mefuse", "torch", "cpu", "ipl", "mertens"):
        assert word in said


def test_no_command_shows_how_to_use_it() -> None:
    done = invoke()
    assert done.exit_code == 2
    assert "mefuse fuse IMG_1.jpg" in done.stderr
    assert invoke("nonsense").exit_code == 2
    forgotten = invoke("IMG_1.jpg", "IMG_2.jpg", "-o", "fused.png")
    assert forgotten.exit_code == 2
    assert "To fuse files: mefuse fuse FRAMES... -o OUT" in forgotten.stderr
    assert invoke("--version").stdout.startswith("mefuse ")
