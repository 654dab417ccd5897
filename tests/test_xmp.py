"""XMP of the fused picture: everything kept but what is no longer true, and a line of history."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mefuse import xmp
from mefuse.provenance import Making

TRUE = xmp.Corrections(300, 200, "mefuse 1.2.3", "fused from a & b")
GONE = xmp.Corrections(300, 200, "mefuse 1.2.3", "fused", strip_gps=True)


def packet(attributes: str = "", inner: str = "", about: str = "") -> bytes:
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="{about}"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"
 xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
 xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" dc:format="image/jpeg" {attributes}>{inner}
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()


def finished(data: bytes | None, true: xmp.Corrections = TRUE) -> str:
    out = xmp.finished(data, true).decode()
    ET.fromstring(out.partition("?>")[2].rpartition("<?xpacket")[0])  # still XML
    return out


def test_without_a_packet_there_is_one_with_the_history() -> None:
    out = finished(None)
    assert "mefuse 1.2.3" in out
    assert "fused from a &amp; b" in out


def test_size_and_orientation_are_corrected_as_attribute_and_as_element() -> None:
    out = finished(
        packet(
            'tiff:Orientation="6" exif:PixelXDimension="4000"',
            "<tiff:ImageWidth>4000</tiff:ImageWidth><tiff:ImageLength>3000</tiff:ImageLength>",
        )
    )
    assert 'tiff:Orientation="1"' in out
    assert 'exif:PixelXDimension="300"' in out
    assert "<tiff:ImageWidth>300<" in out
    assert "<tiff:ImageLength>200<" in out
    assert 'dc:format="image/jpeg"' in out


def test_what_the_file_no_longer_holds_is_not_claimed() -> None:
    out = finished(packet('hdrgm:Version="1.0"'))
    assert "hdrgm:Version" not in out


def test_waiting_develop_settings_are_marked_as_applied_to_the_pixels() -> None:
    assert 'crs:HasSettings="False"' in finished(packet('crs:HasSettings="True"'))
    applied = packet('crs:HasSettings="True" crs:AlreadyApplied="True"')
    assert 'crs:HasSettings="True"' in finished(applied)


def test_packets_of_old_programs_get_their_history_in_place() -> None:
    mm = 'xmlns:xapMM="http://ns.adobe.com/xap/1.0/mm/"'
    old = "<xapMM:History><rdf:Seq><rdf:li>saved</rdf:li></rdf:Seq></xapMM:History>"
    done = finished(packet(mm, old))
    assert done.count("MM:History>") == 2
    assert done.index("saved") < done.index("derived") < done.index("</xapMM:History>")
    bare = finished(packet(about="uuid:1").replace(b"rdf:about", b"about"))
    assert bare.count('about="uuid:1"') == 2


def test_history_grows_and_is_about_the_same_thing() -> None:
    first = finished(packet(about="uuid:1"))
    assert first.count('rdf:about="uuid:1"') == 2
    second = finished(first.encode())
    assert second.count("<xmpMM:History>") == 1
    assert second.count("<stEvt:action>") == 2


@pytest.mark.parametrize(
    "place",
    [
        packet('exif:GPSLatitude="52,31.2N" exif:GPSAltitude="34/1"'),
        packet(inner="<exif:GPSLatitude>52,31.2N</exif:GPSLatitude>"),
    ],
)
def test_positions_go_when_asked_and_stay_otherwise(place: bytes) -> None:
    assert "52,31.2N" in finished(place)
    assert "GPS" not in finished(place, GONE)
    assert "image/jpeg" in finished(place, GONE)


def test_a_packet_whose_positions_cannot_be_taken_out_goes_whole() -> None:
    assert "GPS" not in finished(packet(inner="<dc:source>GPS 52,31.2N</dc:source>"), GONE)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"no xml at all", b""])
def test_what_is_no_xmp_is_replaced(data: bytes) -> None:
    assert "mefuse 1.2.3" in finished(data)


def test_kilobytes_of_blanks_cost_no_time() -> None:
    data = packet().replace(b"<?xpacket end", b" " * 60_000 + b"<?xpacket end")
    start = time.process_time()
    xmp.finished(data, TRUE)
    assert time.process_time() - start < 1


def test_an_extended_packet_is_joined() -> None:
    main = xmp.with_extension("0" * 32)
    assert b"HasExtendedXMP" in main
    joined = xmp.joined(main, packet())
    assert b"image/jpeg" in joined
    assert b"HasExtendedXMP" not in joined
    assert xmp.joined(main, None) == main


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_mutated_packets_never_raise(data: st.DataObject) -> None:
    block = bytearray(packet('exif:GPSLatitude="52,31.2N"'))
    places = st.integers(0, len(block) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        block[at] = value
    for true in (TRUE, GONE):
        assert b"mefuse 1.2.3" in xmp.finished(bytes(block), true)


def test_names_that_no_xml_can_hold_are_told_readably() -> None:
    note = Making("1", "ipl", ["caf\udce9.jpg", "a\x01<&>\n.jpg"]).note
    assert note == "fused by model ipl from 2 frames: caf\ufffd.jpg, a\u2401<&>\u240a.jpg"
    note.encode("utf-8")
