"""XMP for the fused picture: the reference's packet, corrected, with a line of history. A leaf.

The packet is edited as text at the few places that are no longer true, so that everything else in
it stays byte for byte, whatever namespaces it uses. It knows no container.

Source: ISO 16684-1 (XMP, part 1); Adobe, XMP specification part 3 (extended XMP in JPEG).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

_CLOSING = re.compile(r"</rdf:RDF\s*>")
# Old packets call xmpMM xapMM, and rdf:about about.
_HISTORY = re.compile(r"(<(?:xmp|xap)MM:History\b[^>]*>.*?)(</rdf:Seq\s*>)", re.DOTALL)
_ABOUT = re.compile(r"(?<=\s)(?:rdf:)?about\s*=\s*([\"'])([^\"'<]*)\1")
_EXTENDED = re.compile(r"(?<=\s)xmpNote:HasExtendedXMP\s*=\s*([\"'])[0-9A-Fa-f]*\1")
_INNER = re.compile(r"<rdf:RDF\b[^>]*>(.*)</rdf:RDF\s*>", re.DOTALL)
# Claims about bytes behind the reference's picture that are not in the fused one: gain maps,
# motion photos and other pictures in the same file.
_GONE = ("hdrgm", "Container", "GContainer", "GDepth", "GImage", "HDRGainMap")
_GONE_CAMERA = r"GCamera:(?:MicroVideo|MotionPhoto)\w*"
# Where a photograph was taken, in words: what IPTC says as well.
_PLACES = (
    r"photoshop:(?:City|State|Country)",
    r"Iptc4xmpCore:(?:Location|CountryCode)",
    r"Iptc4xmpExt:Location(?:Created|Shown)",
)
_PACKET_START = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_PACKET_END = '<?xpacket end="w"?>'
_START = (
    f"{_PACKET_START}\n"
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
)
_END = f" </rdf:RDF>\n</x:xmpmeta>\n{_PACKET_END}"
_EVENT_SPACE = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
_HISTORY_SPACE = "http://ns.adobe.com/xap/1.0/mm/"


@dataclass(frozen=True, slots=True)
class Corrections:
    """What is true of the fused picture and was not of the reference's file."""

    width: int
    height: int
    software: str
    note: str  # how it was made
    strip_gps: bool = False


def finished(packet: bytes | None, true: Corrections) -> bytes:
    """Gives the XMP packet of a fused picture.

    Upright, its size corrected, claims about what else the reference's file held taken out; a
    develop setting that waits to be applied is marked as applied, for the pixels have it. The
    history gets one event more. A packet that is no text of XMP is replaced.

    Args:
        packet: of the reference, None where it had none.
        true: what to correct.
    """
    text = _text(packet)
    if text is None or (true.strip_gps and "GPS" in _without_gps(text)):
        text = _START + _END
    if true.strip_gps:
        text = _without_gps(text)
    for name, value in (
        ("tiff:Orientation", 1),
        ("tiff:ImageWidth", true.width),
        ("tiff:ImageLength", true.height),
        ("exif:PixelXDimension", true.width),
        ("exif:PixelYDimension", true.height),
    ):
        text = _with_value(text, name, str(value))
    if not re.search(r"crs:AlreadyApplied\s*=\s*[\"']True|<crs:AlreadyApplied>True", text):
        text = _with_value(text, "crs:HasSettings", "False")
    for name in (*(rf"{prefix}:\w+" for prefix in _GONE), _GONE_CAMERA):
        text = _without(text, name)
    return _wrapped(_with_event(text, true)).encode()


def _wrapped(text: str) -> str:
    """A packet between the marks by which programs find it in any file."""
    return text if "<?xpacket" in text else f"{_PACKET_START}\n{text}\n{_PACKET_END}"


def joined(packet: bytes, extension: bytes | None) -> bytes:
    """A JPEG's main packet with the properties of its extended one put in."""
    main = _text(packet)
    more = _INNER.search(_text(extension) or "") if extension else None
    if main is None or more is None:
        return packet
    closing = _last_closing(main)
    return (_EXTENDED.sub("", main[:closing]) + more[1] + main[closing:]).encode()


def with_extension(guid: str) -> bytes:
    """The main packet of a JPEG whose properties are all in the extended one."""
    note = (
        '  <rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/"\n'
        f'   xmpNote:HasExtendedXMP="{guid}"/>\n'
    )
    return (_START + note + _END).encode()


def _text(packet: bytes | None) -> str | None:
    """A packet that can be edited; None where it is absent, or not XMP in UTF-8."""
    if packet is None:
        return None
    try:
        text = packet.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if _CLOSING.search(text) else None


def _last_closing(text: str) -> int:
    return [found.start() for found in _CLOSING.finditer(text)][-1]


def _with_value(text: str, name: str, value: str) -> str:
    """The text with a simple property set, where it stands, as attribute or as element."""
    text = re.sub(rf"(\b{name}\s*=\s*)([\"']).*?\2", rf"\g<1>\g<2>{value}\g<2>", text)
    return re.sub(rf"(<{name}>)[^<]*(</{name}\s*>)", rf"\g<1>{value}\g<2>", text)


def _without(text: str, name: str) -> str:
    """The text without the properties of that name (a pattern), whether attribute or element."""
    # Not "\s+" in front: packets hold kilobytes of blanks, and each would be tried as a start.
    text = re.sub(rf"(?<=\s){name}\s*=\s*([\"']).*?\1", "", text, flags=re.DOTALL)
    text = re.sub(rf"<({name})\b[^>]*/>", "", text)
    return re.sub(rf"<({name})\b[^>]*>.*?</\1\s*>", "", text, flags=re.DOTALL)


def _without_gps(text: str) -> str:
    """The text without positions and names of places."""
    for name in (*_PLACES, r"\w+:GPS\w*"):
        text = _without(text, name)
    return text


def _with_event(text: str, true: Corrections) -> str:
    """The text with one more event in its history; the first makes the history."""
    event = (
        f'<rdf:li xmlns:stEvt="{_EVENT_SPACE}" rdf:parseType="Resource">'
        "<stEvt:action>derived</stEvt:action>"
        f"<stEvt:softwareAgent>{escape(true.software, quote=False)}</stEvt:softwareAgent>"
        f"<stEvt:parameters>{escape(true.note, quote=False)}</stEvt:parameters></rdf:li>"
    )
    if _HISTORY.search(text):
        return _HISTORY.sub(lambda found: found[1] + event + found[2], text, count=1)
    closing = _last_closing(text)
    named = _ABOUT.search(text)  # all descriptions of a packet are about the same
    about = named[2] if named else ""
    history = (
        f'<rdf:Description rdf:about="{about}" xmlns:xmpMM="{_HISTORY_SPACE}">'
        f"<xmpMM:History><rdf:Seq>{event}</rdf:Seq></xmpMM:History></rdf:Description>\n"
    )
    return text[:closing] + history + text[closing:]
