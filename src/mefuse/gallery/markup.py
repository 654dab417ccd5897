"""HTML that cannot be broken by what it shows: every text is escaped where it joins an element.

Only `element` makes `Html`, and only `Html` is let through as it is. File names and EXIF are other
people's: what no page should act on (line breaks, marks that turn the direction of writing) is made
visible. A leaf.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TypeAlias

from mefuse.words import readable

_VOID = frozenset(("img", "br", "meta", "link", "input"))


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = "str | int | Sequence[Child] | None"
Attribute: TypeAlias = str | int | float | bool | None


def element(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """Gives an element.

    Args:
        name: of the element.
        children: Html stays as it is, anything else is escaped; lists are joined, None is nothing.
        attributes: underscores become hyphens, one at the end goes away (`class_`). True stands
            without a value; False and None are left out.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    inside = "".join(_child(child) for child in children)
    return Html(f"<{name}{given}>" if name in _VOID else f"<{name}{given}>{inside}</{name}>")


def escaped(text: str) -> Html:
    """Gives any text as HTML that shows it, and does nothing else."""
    return Html(html.escape(readable(text), quote=True))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(str(value))}"'


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if not isinstance(child, str | int):
        return "".join(_child(one) for one in child)
    return escaped(str(child))
