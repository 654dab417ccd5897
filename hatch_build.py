"""Builds the kernels in C with the package: `src/mefuse/native`.

Where no C compiler is found, pip fetches one for the build (ziglang, which is a whole compiler as a
package). Where building fails all the same, the package works without kernels, slower, and says so.

`python hatch_build.py` builds them in place, for work in the source tree.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # building in place
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
FOLDER = ROOT / "src" / "mefuse" / "native"
FLAGS = [
    "-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden",
    # What lets loops become vector code: nothing asks for error numbers or traps, all numbers are
    # finite, and a product may be added without being rounded first. Sums keep their order.
    "-fno-math-errno", "-fno-trapping-math", "-ffinite-math-only", "-fno-signed-zeros",
    "-ffp-contract=fast",
]  # fmt: skip


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]
    """Adds the kernels to a wheel, which then is one of this system."""

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling."""
        return [] if find_compiler() else ["ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Builds; without kernels the wheel is one of pure Python."""
        if self.target_name != "wheel":
            return
        built = build()
        if built is None:
            self.app.display_warning("mefuse: no C compiler that works; built without kernels")
            return
        system = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{system}"
        build_data["artifacts"].append(str(built.relative_to(ROOT)))


def find_compiler() -> list[str] | None:
    """The command of a C compiler: `CC`, one of the usual names, or ziglang's."""
    if os.environ.get("CC"):
        return os.environ["CC"].split()
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    return None


def build() -> Path | None:
    """Compiles the kernels beside their sources; None where that does not work."""
    compiler = find_compiler()
    if compiler is None:
        return None
    library = _library()
    target = library.PATH
    made = target.with_name(f"{target.name}.{os.getpid()}")
    command = [
        *compiler, *FLAGS, *_processor(compiler),
        f"-DMEFUSE_SOURCES={library.sources_hash(FOLDER)}u",
        *map(str, sorted(FOLDER.glob("*.c"))), "-o", str(made),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        made.unlink(missing_ok=True)
        return None
    made.replace(target)
    return target


def _processor(compiler: list[str]) -> list[str]:
    """Flags for the oldest processor that kernels run on; `library` looks before it loads them."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return []
    return ["-mcpu=x86_64_v3"] if "ziglang" in compiler else ["-mavx2", "-mfma"]


def _library() -> Any:
    """The module that loads kernels, by its file: mefuse cannot be imported where it is built."""
    spec = importlib.util.spec_from_file_location("library", FOLDER / "naming.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    found = build()
    print(found or "no C compiler that works")
    sys.exit(found is None)
