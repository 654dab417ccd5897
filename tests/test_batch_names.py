"""Templates for names: every field, and none that leaves the folder."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mefuse.batch.names import DEFAULT_TEMPLATE, NameValues, Template
from mefuse.errors import InputError

VALUES = NameValues(
    "IMG_1", "IMG_3", "IMG_2", 7, 3, datetime(2024, 5, 1, 18, 30, 5), "Canon EOS R5", "png"
)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (DEFAULT_TEMPLATE, "IMG_1-IMG_3.png"),
        ("{stem}", "IMG_2.png"),
        ("{index}_{count}.{ext}", "0007_3.png"),
        ("{index:02}.jpg", "07.jpg"),
        ("{date}/{model}/{first}", "2024-05-01/Canon EOS R5/IMG_1.png"),
        ("{date:%Y}/{date:%H%M%S}.tif", "2024/183005.tif"),
        ("{{{stem}}}.{ext}", "{IMG_2}.png"),
    ],
)
def test_fields_are_filled(template: str, name: str) -> None:
    assert Template(template).fill(VALUES) == name


def test_what_a_frame_does_not_tell_has_a_word() -> None:
    silent = replace(VALUES, date=None, model=None)
    assert Template("{date:%Y}_{model}.png").fill(silent) == "undated_unknown.png"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{camera}", "there are {first}"),
        ("{first", "broken field"),
        ("{0}", "no field"),
        ("{first!r}", "leave out !r"),
        ("{index:%d}", "cannot be written"),
        ("../{first}", "has to be a name"),
        ("a/../../{first}", "has to be a name"),
        ("/tmp/{first}", "may leave the folder"),
        ("C:/{first}", "may leave the folder"),
        ("a\\{first}", "may leave the folder"),
        ("{first}/", "has to be a name"),
        ("x" * 300, "more than 255 bytes"),
        ("{index:>999999999}", "is wider than 255 bytes"),  # a GB that nobody waits for
        ("{first:" + "9" * 5000 + "}", "is wider than 255 bytes"),
        ("{date:%99999999Y}", "is wider than 255 bytes"),
    ],
)
def test_a_template_is_checked_before_any_work(template: str, says: str) -> None:
    with pytest.raises(InputError, match="--name") as caught:
        Template(template)
    assert says in str(caught.value)


@given(st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_no_value_leads_out_of_the_folder(first: str, model: str) -> None:
    values = replace(VALUES, first=first, model=model)
    try:
        name = Template("{model}_{first}/{first}.{ext}").fill(values)
    except InputError:
        return
    parts = PurePosixPath(name).parts
    assert len(parts) == 2
    assert ".." not in parts
    assert not name.startswith("/")
    assert "\0" not in name
