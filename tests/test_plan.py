"""The plan: what goes in comes out, and every mistake of a person who edits it is named."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mefuse.errors import InputError, OutputExistsError, WriteError
from mefuse.plan import LeftOut, Plan, PlannedBracket, dump_plan, load_plan, save_plan

PLAN = Plan(
    (
        PlannedBracket((Path("a.jpg"), Path("b.jpg")), Path("b.jpg"), "exposures"),
        PlannedBracket((Path("/x/c d.nef"), Path("/x/e\n.nef"))),
    ),
    (LeftOut(Path("f.jpg"), "single frame"),),
)


def loaded(value: Any) -> Plan:
    return load_plan(io.StringIO(value if isinstance(value, str) else json.dumps(value)))


def bracket(**keys: Any) -> dict[str, Any]:
    return {"mefuse_plan": 1, "brackets": [{"frames": ["a", "b"], **keys}]}


def test_round_trip_through_every_kind_of_source(tmp_path: Path) -> None:
    for text in (dump_plan(PLAN), dump_plan(PLAN, readable=True)):
        assert load_plan(io.StringIO(text)) == PLAN
        assert load_plan(io.BytesIO(text.encode())) == PLAN
        assert load_plan(io.BytesIO(b"\xef\xbb\xbf" + text.encode())) == PLAN
    assert "\n" not in dump_plan(PLAN)
    save_plan(Plan(PLAN.brackets[1:]), tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json").brackets == PLAN.brackets[1:]


@given(st.lists(st.binary(min_size=1).filter(lambda b: b"\0" not in b), min_size=1, unique=True))
def test_every_name_survives(names: list[bytes]) -> None:
    frames = tuple(dict.fromkeys(Path(os.fsdecode(name)) for name in names))
    text = dump_plan(Plan((PlannedBracket(frames),)))
    assert text.isascii()
    assert load_plan(io.StringIO(text)).brackets[0].frames == frames


def test_raw_bytes_of_a_name_survive() -> None:
    data = b'{"mefuse_plan": 1, "brackets": [{"frames": ["\xff.jpg", "b"]}]}'
    assert load_plan(io.BytesIO(data)).brackets[0].frames[0] == Path(os.fsdecode(b"\xff.jpg"))


def test_what_may_be_missing_is_filled_in() -> None:
    plan = loaded(bracket(_note="mine"))
    assert plan == Plan((PlannedBracket((Path("a"), Path("b"))),))
    assert loaded({"mefuse_plan": 1, "brackets": [], "_by": "me"}) == Plan(())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"line 1, column 1: Expecting value; a plan is one JSON object"),
        ("{", "line 1, column 2"),
        ("[" * 100_000, "is no plan"),
        ("[]", "the plan: is not a JSON object"),
        ({"brackets": []}, "the plan: the key 'mefuse_plan' is missing"),
        ({"mefuse_plan": 2, "brackets": []}, "mefuse_plan is 2, this mefuse reads version 1"),
        ({"mefuse_plan": True, "brackets": []}, "mefuse_plan is True"),
        ({"mefuse_plan": 1}, "the key 'brackets' is missing"),
        ({"mefuse_plan": 1, "brackets": {}}, "brackets is not a list"),
        ({"mefuse_plan": 1, "brackets": [], "left": []}, "unknown key 'left'; known are"),
        ({"mefuse_plan": 1, "brackets": ["a"]}, r"brackets\[0\]: is not a JSON object"),
        ({"mefuse_plan": 1, "brackets": [{}]}, r"brackets\[0\]: the key 'frames' is missing"),
        (bracket(frames=[]), r"brackets\[0\]: has no frames"),
        (bracket(frames="ab"), r"brackets\[0\]: frames is not a list"),
        (bracket(frames=["a", 3]), r"frames\[1\] is not a path"),
        (bracket(frames=["a", ""]), r"frames\[1\] is not a path"),
        (bracket(frames=["a\0"]), r"frames\[0\] is not a path"),
        (bracket(frames=["\ud800"]), r"frames\[0\] is not a path"),
        (bracket(frames=["a", "b", "./a"]), "names a twice"),
        (bracket(reference="c"), "its reference c is not one of its frames"),
        (bracket(reference=1), "reference is not a path"),
        (bracket(reason=None), "reason is not a text"),
        (bracket(referense="a"), "unknown key 'referense'"),
        (
            {"mefuse_plan": 1, "brackets": [], "left_out": [{"reason": ""}]},
            r"left_out\[0\]: the key",
        ),
    ],
)
def test_mistakes_are_named_with_their_place(content: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"^standard input: .*{message}"):
        loaded(content)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("a"),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["mefuse_plan", "brackets", "frames", "reference", "left_out", "_x"]), inner
    ),
)  # fmt: skip


@given(_JSON)
def test_any_json_is_a_plan_or_an_input_error(content: Any) -> None:
    try:
        plan = loaded(json.dumps(content))
    except InputError:
        return
    assert load_plan(io.StringIO(dump_plan(plan))) == plan


def test_relative_paths_count_from_here_or_else_from_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    for name in ("a.jpg", "b.jpg", "f.jpg"):
        (there / name).touch()
    save_plan(PLAN, there / "plan.json")
    moved = load_plan(there / "plan.json")
    assert moved.brackets[0] == PlannedBracket(
        (there / "a.jpg", there / "b.jpg"), there / "b.jpg", "exposures"
    )
    assert moved.brackets[1] == PLAN.brackets[1]
    assert moved.left_out[0].path == there / "f.jpg"
    (here / "b.jpg").touch()
    assert load_plan(there / "plan.json") == PLAN


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: the plan cannot be read"):
        load_plan(tmp_path / "none.json")
    (tmp_path / "plan.json").write_text("mine")
    with pytest.raises(OutputExistsError, match="exists already"):
        save_plan(PLAN, tmp_path / "plan.json")
    assert (tmp_path / "plan.json").read_text() == "mine"
    save_plan(PLAN, tmp_path / "plan.json", overwrite=True)
    assert json.loads((tmp_path / "plan.json").read_text())["mefuse_plan"] == 1
    with pytest.raises(WriteError, match="there is no folder"):
        save_plan(PLAN, tmp_path / "no" / "plan.json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["plan.json"]
