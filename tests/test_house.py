"""The rules of the house: who may import whom, what is documented, what library code never does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mefuse.cli import main
from mefuse.report import FrameReport, FuseReport

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "mefuse"
FILES = sorted(PACKAGE.rglob("*.py"))

# Who may import whom inside mefuse; a folder counts as one. Every file has to be here.
MAY_IMPORT = {
    "errors": "",
    "settings": "",
    "frames": "",
    "plan": "errors landing",
    "slices": "",
    "clock": "",
    "memory": "",
    "transforms": "",
    "views": "native overview",
    "metrics": "errors",
    "report": "slices",
    "bands": "",
    "overview": "",
    "scratch": "errors",
    "slicework": "errors memory slices",
    "threads": "",
    "regions": "errors memory overview",
    "unchanged": "errors",
    "account": "align clock doubts frames memory models report settings slices",
    "device": "errors",
    "cache": "errors",
    "depth": "",
    "gamut": "",
    "look": "depth gamut settings",
    "finish": "aligned bands errors look models settings",
    "evening": "",
    "neighbours": "",
    "series": "aligned evening finish frames gamut look models neighbours overview",
    "grid": "",
    "wide": "colour gamut grid",
    "blend": "gamut grid",
    "refine": "blend grid",
    "features": "blend gamut grid",
    "native": "gamut grid slices",
    "host": "cache gamut grid memory models native scratch slices slicework threads weights",
    "gpu": "blend features gamut grid highlights memory noise trust",
    "torch_backend": "blend cache features gpu grid models refine scratch slices slicework",
    "profiles": "",
    "boxes": "",
    "jxl_header": "",
    "heif": "boxes colour containers errors jxl_header",
    "xmp": "",
    "exif": "frames",
    "exif_layout": "exif",
    "exif_extract": "exif exif_layout",
    "exif_copy": "exif exif_layout frames",
    "containers": "boxes exif exif_extract frames iptc jxl_header profiles xmp",
    "wholeness": "containers",
    "makernotes": "exif",
    "colour": "depth exif frames profiles",
    "provenance": "bands depth exif_copy frames iptc words xmp",
    "exposure": "frames overview",
    "noise": "",
    "iptc": "",
    "trust": "noise",
    "highlights": "",
    "iso": "grid noise",
    "extent": "boxes containers errors exif jxl_header",
    "jpeg": "",
    "decode": "boxes containers errors exif extent heif jpeg regions settings wholeness",
    "raw": "containers decode errors exif exposure extent frames memory profiles settings slices",
    "bracket": "errors exposure frames",
    "discover": "containers errors exif frames",
    "read": "bracket colour containers decode errors exif exposure frames raw settings",
    "registration": "transforms views",
    "coverage": "errors slices transforms",
    "align": "coverage errors overview registration transforms views",
    "warp": "errors native slices",
    "response": "native",
    "ghosts": "response slices",
    "ghost_search": "ghosts native response settings",
    "aligned": "ghost_search ghosts overview settings slices warp",
    "landing": "errors",
    "write": "bands boxes colour containers errors exif exif_copy exif_extract exif_layout extent "
    "frames iptc landing profiles settings xmp",
    "maps": "aligned errors ghosts landing models slices",
    "deliver": "aligned bands colour depth errors frames landing maps profiles provenance "
    "settings write",
    "doubts": "align errors frames",
    "soundness": "aligned bands errors models",
    "models": "aligned bands blend cache device errors features grid levels slices slicework "
    "threads",
    "pins": "",
    "weights": "errors landing models pins",
    "levels": "blend cache",
    "level_stream": "aligned bands blend cache device errors levels models slices torch_backend "
    "weights",
    "rules": "scratch aligned gamut grid highlights iso trust wide",
    "stream": "aligned bands cache device errors grid host models rules scratch slices slicework "
    "torch_backend weights",
    "resident": "aligned cache errors gpu grid models slices stream torch_backend",
    "fuse": "account align aligned clock colour coverage deliver depth discover doubts errors "
    "finish frames maps models overview profiles provenance read report settings slices slicework "
    "soundness unchanged write",
    "group": "containers decode discover errors exif exposure frames makernotes plan raw settings",
    "synth": "errors frames landing write",
    "train": "blend cache errors features landing metrics models synth weights",
    "batch": "clock colour containers discover errors exif fuse group landing memory models plan "
    "read report series settings unchanged weights wholeness write",
    "cluster": "batch errors fuse models settings",
    "words": "frames",
    "reduced": "colour containers decode depth discover exif frames raw read settings wholeness",
    "gallery": "batch clock discover errors frames landing reduced report slices warp words",
    "contact": "align aligned bracket clock depth discover errors exposure finish frames fuse "
    "ghosts landing models read reduced settings words write",
    "bench": "align aligned bands batch cache colour coverage depth device discover errors "
    "evaluate exposure finish frames fuse gamut gpu grid group host landing memory metrics models "
    "plan profiles read report resident series settings slices stream synth torch_backend train "
    "transforms trust warp weights write",
    "evaluate": "aligned coverage device discover errors finish frames metrics models read "
    "settings slices stream warp weights",
    "cli": "batch bench cluster contact device errors evaluate fuse gallery group landing memory "
    "models native plan report settings slices synth weights words",
}
STEPS = {"discover", "read", "align", "write"}
HOME_OF = {  # library -> the only files that may import it
    "click": {"cli"},
    "rich": {"cli"},
    "distributed": {"cluster"},
    "PIL": {"contact"},
    "rawpy": {"raw"},
    "isal": {"write"},
    "simplejpeg": {"jpeg"},
    "threadpoolctl": {"host", "raw"},
    "skimage": {"metrics"},
    "torch": {
        "bench",
        "blend",
        "features",
        "gpu",
        "levels",
        "level_stream",
        "cache",
        "device",
        "metrics",
        "models",
        "synth",
        "refine",
        "resident",
        "torch_backend",
        "train",
        "weights",
    },
    "triton": {"gpu"},
    "safetensors": {"weights"},
    "imagecodecs": {"colour", "heif", "write"},
    "pillow_heif": {"bench", "heif"},
    "OpenEXR": {"synth", "write"},
}
SPEAKS = {"cli", "bench", "train"}  # commands: they may print and exit


def _owner(file: Path) -> str:
    """The name of a file, or of its folder, inside the package."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(file: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            if node.module == "mefuse":
                yield from (f"mefuse.{alias.name}" for alias in node.names)
            else:
                yield str(node.module)


def _inner(file: Path) -> set[str]:
    """Other files or folders of mefuse that a file imports."""
    parts = [name.split(".") for name in _imports(file)]
    names = {part[1] for part in parts if part[0] == "mefuse" and len(part) > 1}
    return names - {_owner(file), "__version__"}


def test_every_file_is_in_the_table() -> None:
    owners = {_owner(file) for file in FILES} - {"__init__", "__main__"}
    assert owners == set(MAY_IMPORT)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_follow_the_table(file: Path) -> None:
    owner = _owner(file)
    if owner in ("__init__", "__main__"):
        return
    assert _inner(file) <= set(MAY_IMPORT[owner].split())
    for name in _imports(file):
        library = name.partition(".")[0]
        assert owner in HOME_OF.get(library, {owner}), f"{library} has no place in {owner}"


def test_the_table_has_no_circle_and_steps_stay_apart() -> None:
    below: dict[str, set[str]] = {}

    def reach(name: str, above: tuple[str, ...]) -> set[str]:
        assert name not in above, f"circle: {' -> '.join([*above, name])}"
        if name not in below:
            direct = set(MAY_IMPORT[name].split())
            below[name] = direct.union(*(reach(other, (*above, name)) for other in direct))
        return below[name]

    for name in MAY_IMPORT:
        reach(name, ())
    for step in STEPS:
        assert not below[step] & STEPS
    assert all("cli" not in names.split() for names in MAY_IMPORT.values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_library_code_is_silent_and_swallows_nothing(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree), "a module says what it is"
    assert file.read_text().count("\n") <= 400, "split it: its halves have two names"
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            swallows = all(isinstance(step, ast.Pass) for step in node.body)
            assert not (swallows and caught in ("everything", "Exception", "BaseException"))
        if isinstance(node, ast.Call) and _owner(file) not in SPEAKS:
            assert ast.unparse(node.func) not in ("print", "exit", "quit", "sys.exit", "os._exit")


def _described_tree() -> set[str]:
    """Files that ARCHITECTURE.md's tree names."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    block = re.search(r"```\nsrc/mefuse/\n(.*?)```", text, re.DOTALL)
    assert block is not None
    folder, found = "", set()
    for line in block[1].splitlines():
        start = re.match(r"  (\S+)", line)
        if start is not None:
            folder = start[1] if start[1].endswith("/") else ""
        found |= {folder + name for name in re.findall(r"\w+\.py\b", line)}
    return found


def test_the_tree_of_architecture_md_is_the_tree() -> None:
    names = {str(file.relative_to(PACKAGE)) for file in FILES}
    assert _described_tree() == {name for name in names if not name.endswith("__init__.py")}


def _commands() -> dict[str, click.Command]:
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def test_every_command_and_option_has_help_and_a_place_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(_commands()) >= 3
    for name, command in _commands().items():
        assert command.help and "Examples:" in command.help, name
        assert f"`mefuse {name}" in readme
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help or parameter.opts == ["--size"], parameter.name
                assert max(parameter.opts, key=len) in readme, parameter.name


def test_every_field_of_the_json_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for record in (FuseReport, FrameReport):
        for field in record.__dataclass_fields__:
            assert f"`{field}`" in readme, field


def test_defaults_of_the_readme_are_those_of_the_settings() -> None:
    readme = (ROOT / "README.md").read_text()
    defaults = main.get_command(click.Context(main), "fuse")
    assert defaults is not None
    row = re.compile(r"^\| .*?(--[\w-]+).* \| ([^|]*) \|$", re.MULTILINE)
    rows = dict(row.findall(readme))
    shown = {
        option.opts[-1]: str(option.default)
        for option in defaults.params
        if isinstance(option, click.Option) and option.show_default
    }
    assert {name: rows[name].strip("`") for name in shown} == shown


def test_nothing_names_this_machine() -> None:
    for file in [*FILES, *(ROOT / "tests").glob("*.py"), *ROOT.glob("*.md"), ROOT / "Makefile"]:
        places = re.findall(r"(?<![\w.])/(?:work|home|root|Users)/\w+", file.read_text())
        assert not places, f"{file.name}: {places}"
