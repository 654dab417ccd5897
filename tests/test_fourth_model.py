"""A fourth model is one file, one recipe, one weights file: what ARCHITECTURE.md shows, done."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from batch_helpers import write_bracket
from mefuse.models import MODELS

ROOT = Path(__file__).parents[1]
TABLE_END = '        ModelEntry(\n            "mertens",'


def _shown(language: str) -> list[str]:
    """The blocks of code in ARCHITECTURE.md's part on adding a model."""
    text = (ROOT / "ARCHITECTURE.md").read_text().split("## Adding a model")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def house(tmp_path):
    """A copy of the package and its weights, with what ARCHITECTURE.md adds."""
    module, entry = _shown("python")
    (recipe,) = _shown("toml")
    package = tmp_path / "src" / "mefuse"
    shutil.copytree(ROOT / "src" / "mefuse", package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "weights").mkdir()
    (package / "models" / "gain.py").write_text(module)
    table = package / "models" / "__init__.py"
    assert table.read_text().count(TABLE_END) == 1
    table.write_text(table.read_text().replace(TABLE_END, f"{entry.strip()},\n{TABLE_END}"))
    (tmp_path / "gain-cpu.toml").write_text(recipe)
    return tmp_path


def _run(house, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(house / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=house, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_fourth_model_trains_is_listed_and_fuses(house):
    rng = np.random.default_rng(7)
    pictures = house / "pictures"
    pictures.mkdir()
    for i in range(6):
        picture = cv2.resize(rng.uniform(0, 255, (20, 30, 3)), (420, 300)).clip(0, 255)
        cv2.imwrite(str(pictures / f"{i}.png"), picture.astype(np.uint8))
    _run(
        house, "mefuse.train", "gain-cpu.toml", "--pictures", pictures, "--run", "run",
        "-o", "weights/gain.safetensors", "--pause-after", 0, "--validation-cases", 1,
        "--workers", 0,
    )  # fmt: skip
    models = json.loads(_run(house, "mefuse", "info", "--json"))["models"]
    (gain,) = [model for model in models if model["name"] == "gain"]
    assert gain["weights"]["parameters"] == 28
    assert gain["weights"]["notes"]["steps"] == "1"
    frames = write_bracket(house / "frames", 1)
    report = json.loads(
        _run(
            house, "mefuse", "fuse", *frames, "-o", "fused.png", "--model", "gain",
            "--device", "cpu", "--json",
        )
    )  # fmt: skip
    assert report["model"] == "gain"
    fused, brightest = (cv2.imread(str(path)) for path in (house / "fused.png", frames[-1]))
    assert fused.shape == brightest.shape
    assert fused.std() > 10


def test_nothing_outside_the_models_compares_a_model_s_name():
    package = ROOT / "src" / "mefuse"
    for file in package.rglob("*.py"):
        if file.parent.name == "models":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            compared = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            compared += [node.value] if isinstance(node, ast.MatchValue) else []
            names = {part.value for part in compared if isinstance(part, ast.Constant)}
            assert not names & set(MODELS), f"{file}:{getattr(node, 'lineno', 0)}"
