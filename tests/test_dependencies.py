"""The lock is what is asked for, CI installs it, and holes that are known are read as such."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = re.compile(r"^([\w.-]+)==([^\s;\\]+)(?: ; ([^\\\n]+?))? \\\n((?: +--hash=\S+.*\n)+)", re.M)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit, unlock_torch, branches = map(script, ("audit", "unlock_torch", "branches"))


def asked_for() -> list[Requirement]:
    project = PROJECT["project"]
    extras = [one for group in project["optional-dependencies"].values() for one in group]
    names = {*project["dependencies"], *extras, *PROJECT["build-system"]["requires"]}
    return [Requirement(one) for one in sorted(names)]


@pytest.mark.parametrize("wanted", asked_for(), ids=str)
def test_the_lock_has_what_is_asked_for(wanted: Requirement) -> None:
    """In every version that it names for some Python or system."""
    name = canonicalize_name(wanted.name)
    versions = [version for found, version, _, _ in LOCKED.findall(LOCK) if found == name]
    if name == "torch":
        assert versions == []  # as the machine has it
        return
    assert versions, "make lock"
    assert all(wanted.specifier.contains(version) for version in versions), "make lock"


def test_everything_in_the_lock_has_hashes() -> None:
    assert len(LOCKED.findall(LOCK)) == len(audit._PINNED.findall(LOCK)) > 50
    for name, _, _, hashes in LOCKED.findall(LOCK):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", hashes), name


def test_ci_installs_what_is_locked() -> None:
    steps = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line[:4] == "make"]
    assert steps == ["make LOCKED=1 test"]
    planned = subprocess.run(
        ["make", "--dry-run", "--always-make", "LOCKED=1", "venv"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "--require-hashes --requirement requirements.lock" in planned
    assert "--no-deps --no-build-isolation --editable ." in planned


def test_torch_and_what_its_gpu_builds_need_leave_the_lock() -> None:
    kept = "numpy==1 \\\n    --hash=sha256:a\n    # via torch\n"
    gone = "nvidia-nccl==2 ; sys_platform == 'linux' \\\n    --hash=sha256:b\n    # via torch\n"
    lock = f"# made by\n{gone}{kept}torch==3 \\\n    --hash=sha256:c\ntriton==3 \\\n    --hash=d\n"
    assert unlock_torch.without_torch(lock) == f"# made by\n{kept}"
    assert unlock_torch.without_torch(LOCK) == LOCK


@pytest.mark.parametrize(("taken", "code"), [(95, 0), (94, 1)])
def test_the_bar_of_branches(taken: int, code: int, tmp_path: Path) -> None:
    totals = {"covered_branches": taken, "num_branches": 100, "covered_lines": 1,
              "num_statements": 1}  # fmt: skip
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"totals": totals}))
    assert branches.main(str(report)) == code


# The form of what pip-audit tells, cut short.
NO_HOLE = {"name": "rich", "version": "13.7.1", "vulns": []}
HOLE = {
    "name": "pillow",
    "version": "10.0.0",
    "vulns": [
        {"id": "PYSEC-2023-175", "fix_versions": ["10.0.1"], "aliases": ["CVE-2023-4863"],
         "description": "libwebp"},
        {"id": "GHSA-0000", "fix_versions": [], "aliases": [], "description": ""},
    ],
}  # fmt: skip
UNKNOWN = {"name": "own", "skip_reason": "Dependency not found on PyPI"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """As if pip-audit were there; which requirements it was asked about, one list a call."""
    calls: list[list[str]] = []
    monkeypatch.setattr(audit, "find_spec", lambda _: object())
    return calls


def answering(
    monkeypatch: pytest.MonkeyPatch, calls: list[list[str]], answers: dict[str, str]
) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(Path(command[-1]).read_text().split())
        answer = answers[command[command.index("--vulnerability-service") + 1]]
        if answer == "silence":
            raise subprocess.TimeoutExpired(command, 1)
        return subprocess.CompletedProcess(command, 1, answer, "")

    monkeypatch.setattr(audit.subprocess, "run", run)


def answer(*dependencies: object) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_no_hole(
    installed: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answering(monkeypatch, installed, {"pypi": answer(NO_HOLE, UNKNOWN)})
    assert audit.main() == 0
    assert "dependencies are known, 0 holes." in capsys.readouterr().out
    # All that is locked was asked about, no name twice in one call.
    locked = {f"{name}=={version}" for name, version, _, _ in LOCKED.findall(LOCK)}
    assert locked < {one for call in installed for one in call}
    for call in installed:
        names = [one.partition("==")[0] for one in call]
        assert len(set(names)) == len(names)


def test_a_hole_is_named_with_what_mends_it(
    installed: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answering(monkeypatch, installed, {"pypi": "<html>no json</html>", "osv": answer(HOLE)})
    monkeypatch.setattr(audit, "pinned", lambda _: [("pillow", "10.0.0")])
    assert audit.main() == 1
    assert capsys.readouterr().out.splitlines() == [
        "pillow 10.0.0: PYSEC-2023-175, mended by 10.0.1",
        "pillow 10.0.0: GHSA-0000, mended by no version yet",
        "osv: 1 of 1 dependencies are known, 2 holes.",
    ]


@pytest.mark.parametrize("said", ["", "silence", "[]", '{"dependencies": 3}', answer(UNKNOWN)])
def test_no_answer_is_no_all_clear(
    said: str,
    installed: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answering(monkeypatch, installed, dict.fromkeys(("pypi", "osv"), said))
    assert audit.main() == 2
    assert "nothing is known. Check the network" in capsys.readouterr().out


def test_without_pip_audit_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "find_spec", lambda _: None)
    assert audit.main() == 2
    assert "pip-audit is not installed, so nothing is known" in capsys.readouterr().out


def test_torch_is_asked_about_as_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version(_: str) -> str:
        raise audit.metadata.PackageNotFoundError

    monkeypatch.setattr(audit.metadata, "version", lambda _: "2.9.0+cpu")
    assert audit.pinned("a==1 \\\n")[-1] == ("torch", "2.9.0")
    monkeypatch.setattr(audit.metadata, "version", version)
    assert audit.pinned("a==1 \\\nb==2 ; x \\\n") == [("a", "1"), ("b", "2")]
    assert "torch is not installed here" in capsys.readouterr().err
