"""Every written picture says that it was edited, and how; nothing private of the source goes along."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from discontrolface.common import provenance
from discontrolface.common.errors import UserError
from discontrolface.common.images import save_photo
from discontrolface.common.provenance import MAX_RECORD_BYTES, STATEMENT, make_record, metadata_options, read_provenance

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
SUFFIXES = [".png", ".jpg", ".webp"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_record_comes_back(tmp_path: Path, suffix: str) -> None:
    record = make_record({"expression": {"jawOpen": 0.6}, "yaw": 15.0}, seed=7, weights="open-1", source_sha256="ab" * 32, note="naïve ✓")
    path = save_photo(PICTURE, tmp_path / f"out{suffix}", info=record)
    found = read_provenance(path)
    assert found == record
    assert found["edited"] == {"expression": {"jawOpen": 0.6}, "yaw": 15.0}
    assert found["statement"] == STATEMENT
    assert found["version"][0].isdigit()


def test_the_version_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every frame of a clip has a record; a lookup reads the environment's folders."""
    version = make_record({})["version"]

    def refuse(name: str) -> str:
        raise AssertionError(f"{name} was looked up again")

    monkeypatch.setattr(provenance, "installed_version", refuse)
    assert make_record({})["version"] == version


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_programs_can_see_it(tmp_path: Path, suffix: str) -> None:
    """The plain places: a text chunk or EXIF ImageDescription and Software; IPTC's DigitalSourceType in XMP."""
    path = save_photo(PICTURE, tmp_path / f"out{suffix}", info=make_record({}))
    with Image.open(path) as image:
        packet = ElementTree.fromstring(image.info["xmp"].rstrip(b"\0"))  # our own file
        source_type = next(packet.iter("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")).text
        assert source_type == "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
        if suffix == ".png":
            assert image.info["Description"] == STATEMENT
        else:
            assert image.getexif()[0x010E] == STATEMENT
            assert image.getexif()[0x0131].startswith("DisControlFace")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_edit_same_bytes(tmp_path: Path, suffix: str) -> None:
    paths = [save_photo(PICTURE, tmp_path / f"{name}{suffix}", info=make_record({"yaw": 3}, seed=1)) for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edited=st.dictionaries(st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30), max_size=8))
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_names_and_numbers(tmp_path: Path, suffix: str, edited: dict[str, float | str]) -> None:
    path = save_photo(PICTURE, tmp_path / f"any{suffix}", overwrite=True, info=make_record(edited))
    found = read_provenance(path)
    assert found is not None
    assert found["edited"] == edited


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_without_a_record(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plain{suffix}"
    Image.fromarray(PICTURE).save(path)
    assert read_provenance(path) is None


def test_foreign_comments_are_not_records(tmp_path: Path) -> None:
    for i, comment in enumerate([b"ASCII\0\0\0[1, 2]", b"ASCII\0\0\0{", b"UNICODE\0hello", b"", b"ASCII\0\0\0" + b"[" * 40_000]):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = comment
        Image.fromarray(PICTURE).save(tmp_path / f"{i}.jpg", exif=exif)
        assert read_provenance(tmp_path / f"{i}.jpg") is None


def test_gps_and_thumbnail_do_not_go_along(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x010F] = "SecretCamera"
    Image.fromarray(PICTURE).save(tmp_path / "source.jpg", exif=exif, comment=b"SecretComment")
    with Image.open(tmp_path / "source.jpg") as source:
        for suffix in SUFFIXES:
            path = save_photo(source, tmp_path / f"out{suffix}", info=make_record({}))
            with Image.open(path) as image:
                assert not image.getexif().get_ifd(0x8825)
            assert b"Secret" not in path.read_bytes()


def test_limits_and_faults(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bytes, more than"):
        metadata_options({"x": "y" * MAX_RECORD_BYTES}, "PNG")
    with pytest.raises(ValueError, match=r"JSON|float"):
        metadata_options({"x": float("nan")}, "PNG")
    with pytest.raises(UserError, match="does not exist"):
        read_provenance(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UserError, match=r"text\.png is not a PNG"):
        read_provenance(tmp_path / "text.png")


def test_a_picture_of_any_size_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's guard against large pictures is no reason to know nothing of one: no pixel of it is decoded."""
    path = save_photo(PICTURE, tmp_path / "large.jpg", info=make_record({"yaw": 3}))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    record = read_provenance(path)
    assert record is not None
    assert record["edited"] == {"yaw": 3}
