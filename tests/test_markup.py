"""Texts of other people in HTML: whatever they hold, they stay text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from mefuse.gallery.markup import Html, element, escaped
from mefuse.words import readable


class Reader(HTMLParser):
    """Takes HTML apart: tags with their attributes, and all text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text())
def test_any_text_is_text_inside_an_element_and_in_an_attribute(text: str) -> None:
    found = Reader(element("p", text, title=text))
    assert [tag for tag, _ in found.tags] == ["p"]
    assert found.tags[0][1] == {"title": readable(text)}
    assert found.text == readable(text)
    element("p", text).encode()  # can be written, whatever the text held


def test_html_passes_once_and_is_never_made_of_a_text() -> None:
    inner = element("b", "<&>")
    assert element("p", inner, "<i>") == "<p><b>&lt;&amp;&gt;</b>&lt;i&gt;</p>"
    assert element("p", [inner, None, "x"]) == "<p><b>&lt;&amp;&gt;</b>x</p>"
    assert isinstance(inner, Html)
    assert not isinstance(inner + "<i>", Html), "what is joined by hand is escaped again"


def test_attributes_stand_alone_or_not_at_all() -> None:
    made = element("input", type="radio", checked=True, disabled=False, value=None, data_kind=3)
    assert made == '<input type="radio" checked data-kind="3">'
    assert element("label", class_="x") == '<label class="x"></label>'


def test_what_turns_the_direction_of_writing_is_told() -> None:
    assert escaped("\u202e") == "&lt;U+202E&gt;"
