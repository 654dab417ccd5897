"""What mefuse parses itself, given anything: a value, or an error raised on purpose."""

from __future__ import annotations

import io
import json
import string
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from mefuse import boxes, containers, weights
from mefuse.batch.manifest import parse_record
from mefuse.batch.names import FIELDS, NameValues, Template
from mefuse.bench.damage import kinds, mutated
from mefuse.errors import InputError, WeightsError
from mefuse.extent import size_of
from mefuse.pins import PINS
from mefuse.plan import Plan, load_plan

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = ("mefuse_manifest", "outcome", "output", "started_ns", "picture", "inputs", "settings")
ROOT = Path(__file__).resolve().parents[1]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JSON | st.just(1) | st.just("fused")))
def test_any_line_is_a_record_or_none(content: dict[str, Any]) -> None:
    record = parse_record(json.dumps(content))
    if record is not None:
        assert isinstance(record.name, str)
        assert record.recorded_ns >= 0


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_a_plan_or_an_error(data: bytes) -> None:
    assert parse_record(data) is None
    try:
        assert isinstance(load_plan(io.BytesIO(data)), Plan)
    except InputError as error:
        assert str(error).startswith("standard input: ")


WORDS = st.sampled_from(
    [f"{{{name}}}" for name in FIELDS] + ["{", "}", "..", "/", "\\", "\0", "{0}"]
)
TEXTS = st.text(string.printable, max_size=6)


@settings(deadline=None)
@given(st.lists(WORDS | TEXTS, max_size=6).map("".join), TEXTS, TEXTS, st.none() | TEXTS)
def test_no_template_leads_out_of_the_folder(
    text: str, first: str, last: str, model: str | None
) -> None:
    values = NameValues(first, last, "..", 3, 5, datetime(2024, 5, 1), model, "png")
    try:
        name = PurePosixPath(Template(text).fill(values))
    except InputError as error:
        assert str(error).startswith("--name ")
        return
    assert not name.is_absolute()
    assert not any(part in ("..", ".", "") or "\0" in part for part in str(name).split("/"))
    folder = Path("/a/folder")
    assert (folder / name).resolve().is_relative_to(folder)


@settings(deadline=None)
@given(st.data())
def test_damaged_headers_give_a_size_or_none(draw: st.DataObject) -> None:
    kind = draw.draw(st.sampled_from(MADE))
    data = mutated(kind.frames[0], draw.draw(st.randoms(use_true_random=False)), other=b"\xff" * 64)
    size = size_of(io.BytesIO(data))
    assert size is None or all(side >= 0 for side in size)
    containers.read_metadata(io.BytesIO(data))
    containers.find_exif(io.BytesIO(data))
    boxes.describe(io.BytesIO(data))


MADE = kinds()


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(("width", "blocks", "cells", "key_width", "cube", "other")),
        JSON | st.integers(-5, 10**9),
    )
)
def test_any_config_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, config: Any
) -> None:
    path = tmp_path_factory.mktemp("w") / "w.safetensors"
    told = {"format": weights.FORMAT, "model": "ipl", "config": json.dumps(config)}
    save_file({"a": np.zeros(1, np.float32)}, path, metadata=told)
    try:
        sizes = weights.read(path).config.to_dict()
    except WeightsError as error:
        assert str(error).startswith(f"{path}: cannot be read")
    else:
        assert all(0 <= size <= 1024 for size in sizes.values())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, bad: float) -> None:
    told = {"format": weights.FORMAT, "model": "ipl", "config": "{}"}
    save_file({"a": np.full(2, bad, np.float32)}, tmp_path / "w", metadata=told)
    with pytest.raises(WeightsError, match="finite float32"):
        weights.read(tmp_path / "w")


def test_weights_that_ship_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """After new weights: `make pins`, and put what it prints into pins.py."""
    shipped = {path.stem for path in (ROOT / "weights").glob("*.safetensors")}
    assert shipped == set(PINS)
    for name in shipped:
        assert weights.find(name).is_file()
    monkeypatch.setitem(weights.PINS, "ipl", "0" * 64)
    with pytest.raises(WeightsError, match="is not the file of this version"):
        weights.find("ipl")


def test_only_safetensors_are_weights(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"\x80\x04\x95cposix\nsystem\n.")  # a pickle
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.load(path)
