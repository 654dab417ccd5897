"""The metadata measurement itself: what counts as kept, what as a new warning."""

from __future__ import annotations

from mefuse.bench.metadata import kept, new_warnings

BEFORE = {
    "EXIF:IFD0:Make": "A Maker",
    "EXIF:IFD0:Orientation": 6,
    "EXIF:IFD0:StripOffsets": 9,
    "EXIF:IFD1:Compression": 6,
    "EXIF:ExifIFD:ISO": 100,
    "XMP:XMP-dc:Creator": "Somebody",
}


def test_changed_and_lost_tags_are_not_kept() -> None:
    assert kept(BEFORE, BEFORE, "EXIF") == (3, 3)
    assert kept(BEFORE, BEFORE | {"EXIF:IFD0:Orientation": 1}, "EXIF") == (3, 3)
    assert kept(BEFORE, BEFORE | {"EXIF:ExifIFD:ISO": 200}, "EXIF") == (2, 3)
    assert kept(BEFORE, {}, "EXIF") == (0, 3)
    assert kept(BEFORE, {}, "XMP") == (0, 1)


def test_a_history_may_grow() -> None:
    for old, new, share in (
        ("a", ["a", "b"], 1),
        (["a", "b"], ["a", "b", "c"], 1),
        ("a", ["c"], 0),
    ):
        assert kept({"XMP:X:H": old}, {"XMP:X:H": new}, "XMP") == (share, 1)


def test_only_new_warnings_count() -> None:
    before = ["[minor] of old", "other"]
    assert new_warnings(before, ["[minor] of old", "a new one"]) == ["a new one"]
    assert new_warnings([], ["alone"]) == ["alone"]
    assert new_warnings(before, []) == []


def test_a_directory_that_was_broken_before_is_not_new() -> None:
    before = ["Bad NikonScanIFD SubDirectory start", "odd ExifIFD tag"]
    assert new_warnings(before, ["Bad NikonScanIFD directory"]) == []
    assert new_warnings(before, ["another ExifIFD tag"]) == ["another ExifIFD tag"]
