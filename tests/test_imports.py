"""What is loaded when: help and version start light, and nothing heavy comes without need."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import click
import pytest

from conftest import HandHeld
from mefuse.cli import main
from mefuse.device import cuda_count

HEAVY = ("numpy", "torch", "cv2", "rawpy", "rich", "tifffile", "safetensors", "imageio")


def _loaded_after(statements: str) -> set[str]:
    """Names of the top-level modules in a fresh interpreter after the statements."""
    script = f"import sys\n{statements}\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["fuse", "--help"],
        ["info", "-h"],
        ["synth", "-h"],
        ["group", "-h"],
        ["batch", "-h"],
        ["bench", "-h"],
    ],
)
def test_help_and_version_load_nothing_heavy(arguments: list[str]) -> None:
    loaded = _loaded_after(
        f"from mefuse.cli import main\ntry: main({arguments})\nexcept SystemExit: pass"
    )
    assert "click" in loaded
    assert not loaded & set(HEAVY)


def test_importing_mefuse_loads_nothing_heavy() -> None:
    loaded = _loaded_after("import mefuse\nmefuse.FuseSettings, mefuse.MefuseError")
    assert not loaded & {*HEAVY, "click"}


def test_mertens_on_jpegs_needs_neither_torch_nor_rawpy(hand_held: HandHeld) -> None:
    loaded = _loaded_after(
        "import io\n"
        "from mefuse import FuseSettings, fuse_files\n"
        "settings = FuseSettings(model='mertens')\n"
        f"fuse_files({hand_held.names}, io.BytesIO(), settings=settings)"
    )
    assert "cv2" in loaded
    assert not loaded & {"torch", "rawpy", "threadpoolctl", "click", "rich"}


@pytest.mark.parametrize("chosen", ["auto", "cpu"])
def test_the_network_on_the_cpu_needs_no_torch(hand_held: HandHeld, chosen: str) -> None:
    if chosen == "auto" and cuda_count():
        pytest.skip("auto is a GPU here, which needs torch")
    loaded = _loaded_after(
        "import io\n"
        "from mefuse import FuseSettings, fuse_files\n"
        f"settings = FuseSettings(device={chosen!r})\n"
        f"fuse_files({hand_held.names}, io.BytesIO(), settings=settings)"
    )
    assert {"cv2", "safetensors"} <= loaded
    assert not loaded & {"torch", "rawpy", "click", "rich"}


def test_the_list_of_commands_imports_none_and_fits_80_columns() -> None:
    script = "import sys; from mefuse.cli import main\n"
    script += "try: main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    assert "mefuse.cli.fuse" not in done.stderr.split()
    lines = done.stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == main.list_commands(click.Context(main))
    assert all(len(line) < 80 and line.endswith(".") and ".." not in line for line in lines)


def test_help_is_quick() -> None:
    command = [sys.executable, "-m", "mefuse", "--help"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    seconds = []
    for _ in range(5):  # processor time, for other work on the machine must not count
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True, env=own)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3
