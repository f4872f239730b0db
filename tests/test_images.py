"""Loading and writing pictures: odd ones work, broken ones give one sentence, outputs appear whole or not at all."""

import hashlib
import io
import os
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.profiles import profile_of
from helpers.rights import locked_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from discontrolface.common import decoding, encoding, images
from discontrolface.common.colour import from_srgb
from discontrolface.common.decoding import Native
from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.images import check_output, load_photo, save_photo
from discontrolface.common.provenance import read_provenance
from discontrolface.common.writing import Lines, write_lines


@pytest.fixture
def colours() -> NDArray[np.uint8]:
    """48 x 64, smooth, different in every corner and channel."""
    ys, xs = np.mgrid[0:48, 0:64].astype(np.float64)
    return np.stack([xs * 4, ys * 5, 255 - xs * 2 - ys * 2], axis=-1).astype(np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds no pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


# ---- what must work


def test_plain_rgb(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(colours).save(path)
    photo = load_photo(path)
    assert np.array_equal(photo.array, colours)
    assert photo.array.flags.c_contiguous
    assert photo.size == photo.stored_size == (64, 48)
    assert photo.alpha is None
    assert photo.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_orientation(tmp_path: Path, colours: NDArray[np.uint8], orientation: int, suffix: str) -> None:
    """Store the picture the way a turned camera would: the inverse of what EXIF 2.3 (4.6.4 A) says the viewer must do."""
    stored = {
        1: colours, 2: colours[:, ::-1], 3: colours[::-1, ::-1], 4: colours[::-1],
        5: colours.swapaxes(0, 1), 6: np.rot90(colours, 1), 7: np.rot90(colours, 2).swapaxes(0, 1), 8: np.rot90(colours, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned{suffix}"
    options = {".jpg": {"quality": 98, "subsampling": 0}, ".png": {}, ".webp": {"lossless": True}}[suffix]
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)
    photo = load_photo(path)
    assert photo.array.shape == colours.shape
    assert np.abs(photo.array.astype(int) - colours).max() <= (8 if suffix == ".jpg" else 0)
    assert photo.stored_size == (stored.shape[1], stored.shape[0])


def test_greyscale_and_one_bit(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    grey = Image.fromarray(colours).convert("L")
    grey.save(tmp_path / "g.png")
    assert np.array_equal(load_photo(tmp_path / "g.png").array, np.repeat(np.asarray(grey)[..., None], 3, axis=2))
    grey.convert("1").save(tmp_path / "one.png")
    assert set(np.unique(load_photo(tmp_path / "one.png").array)) == {0, 255}


def test_sixteen_bit_grey(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    for suffix in (".png", ".tif"):
        Image.fromarray(deep).save(tmp_path / f"deep{suffix}")
        array = load_photo(tmp_path / f"deep{suffix}").array
        assert np.abs(array[..., 1] - deep / 257).max() <= 0.51


def test_sixteen_bit_rgb_png(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    """Pillow does not write these, so the file is put together by hand."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + (row.astype(np.uint16) * 257).astype(">u2").tobytes() for row in colours)
    header = struct.pack(">IIBBBBB", 64, 48, 16, 2, 0, 0, 0)
    path = tmp_path / "deep.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert np.abs(load_photo(path).array.astype(int) - colours).max() <= 1


def test_float_tiff(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    Image.fromarray(values).save(tmp_path / "f.tif")
    assert np.abs(load_photo(tmp_path / "f.tif").array[..., 0] - values * 255).max() <= 0.51
    Image.fromarray(values * 1000).save(tmp_path / "hdr.tif")
    with pytest.raises(UserError, match="cannot be decoded"):
        load_photo(tmp_path / "hdr.tif")


def test_alpha_is_kept_for_writing_back(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    alpha = np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)
    Image.fromarray(np.dstack([colours, alpha])).save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    assert photo.alpha is not None
    assert np.array_equal(photo.array, colours)
    assert np.array_equal(photo.alpha, alpha)
    again = load_photo(save_photo(photo.array, tmp_path / "b.png", alpha=photo.alpha))
    assert again.alpha is not None
    assert np.array_equal(again.array, colours)
    assert np.array_equal(again.alpha, alpha)
    flat = load_photo(save_photo(photo.array, tmp_path / "b.jpg", alpha=photo.alpha))
    assert flat.array[0, 0].min() > 245  # fully transparent: white
    Image.fromarray(np.dstack([colours, np.full_like(alpha, 255)])).save(tmp_path / "opaque.png")
    assert load_photo(tmp_path / "opaque.png").alpha is None


def test_palette_with_and_without_transparency(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    palette = Image.fromarray(colours).quantize(64)
    palette.save(tmp_path / "p.png")
    assert np.array_equal(load_photo(tmp_path / "p.png").array, np.asarray(palette.convert("RGB")))
    palette.save(tmp_path / "t.png", transparency=palette.getpixel((5, 5)))
    photo = load_photo(tmp_path / "t.png")
    assert photo.alpha is not None
    assert photo.alpha[5, 5] == 0
    assert photo.alpha.max() == 255


def test_cmyk(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    Image.fromarray(colours).convert("CMYK").save(tmp_path / "c.jpg", quality=98, subsampling=0)
    assert np.abs(load_photo(tmp_path / "c.jpg").array.astype(int) - colours).mean() < 3
    Image.fromarray(colours).convert("CMYK").save(tmp_path / "c.tif")
    assert np.array_equal(load_photo(tmp_path / "c.tif").array, colours)


def test_animation_gives_its_first_frame(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    frames = [Image.fromarray(colours), Image.fromarray(255 - colours)]
    for suffix in (".gif", ".webp", ".png"):
        path = tmp_path / f"moving{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, **({"lossless": True} if suffix == ".webp" else {}))
        assert np.abs(load_photo(path).array.astype(int) - colours).mean() < 12


def test_colour_profiles_become_srgb(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    """A picture stored in Lab with its profile comes back as the sRGB it was; sRGB itself and broken profiles change nothing."""
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    as_lab = ImageCms.profileToProfile(Image.fromarray(colours), srgb, lab, outputMode="LAB")
    assert as_lab is not None
    as_lab.save(tmp_path / "lab.tif", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    assert np.abs(load_photo(tmp_path / "lab.tif").array.astype(int) - colours).mean() < 3
    Image.fromarray(colours).save(tmp_path / "s.png", icc_profile=ImageCms.ImageCmsProfile(srgb).tobytes())
    assert np.abs(load_photo(tmp_path / "s.png").array.astype(int) - colours).max() <= 1
    Image.fromarray(colours).save(tmp_path / "broken.png", icc_profile=b"not a profile")
    assert np.array_equal(load_photo(tmp_path / "broken.png").array, colours)


# ---- what must fail with a sentence


def test_missing_folder_empty_and_not_a_picture(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jpg does not exist"):
        load_photo(tmp_path / "none.jpg")
    with pytest.raises(UserError, match="is a folder"):
        load_photo(tmp_path)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError, match="is empty"):
        load_photo(tmp_path / "empty.jpg")
    (tmp_path / "text.jpg").write_text("this is no picture\n" * 100)
    with pytest.raises(UserError, match=r"text\.jpg is not a picture that can be read \(known: JPEG"):
        load_photo(tmp_path / "text.jpg")
    (tmp_path / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n")
    with pytest.raises(UserError, match="is not a picture that can be read"):
        load_photo(tmp_path / "program.eps")
    with pytest.raises(UserError, match="cannot be read"):
        load_photo("a\0b.jpg")


@pytest.mark.parametrize(("file_format", "part"), [("JPEG", 0.5), ("JPEG", 0.9), ("PNG", 0.5), ("PNG", 0.9), ("WEBP", 0.5), ("TIFF", 0.5)])
def test_truncated(tmp_path: Path, file_format: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format=file_format)
    path = tmp_path / "cut.img"
    path.write_bytes(buffer.getvalue()[: int(part * len(buffer.getvalue()))])
    with pytest.raises(UserError, match=r"cut\.img is (damaged or cut off|not a picture)"):
        load_photo(path)


@pytest.mark.parametrize("size", [(1, 1), (31, 100), (100, 31)])
def test_too_small(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "s.png")
    with pytest.raises(UserError, match=f"s.png is {size[0]}x{size[1]}, smaller than 32 pixels"):
        load_photo(tmp_path / "s.png")


@pytest.mark.parametrize(
    ("size", "words"), [((30_000, 30_000), "900 megapixels"), ((20_000, 20_000), "20000x20000"), ((16_000, 16_000), "256 megapixels")]
)
def test_too_large_costs_no_memory(tmp_path: Path, size: tuple[int, int], words: str, recwarn: pytest.WarningsRecorder) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header(*size))
    before = Image.MAX_IMAGE_PIXELS
    tracemalloc.start()
    with pytest.raises(UserError, match=f"{words}.*limit of 250 megapixels"):
        load_photo(tmp_path / "bomb.png")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert before == Image.MAX_IMAGE_PIXELS
    assert not recwarn.list


def test_the_limit_can_be_set(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    Image.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="64x48"):
        load_photo(tmp_path / "a.png", max_megapixels=0.003)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), file_format=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]))
def test_damaged_files_never_crash(tmp_path: Path, data: st.DataObject, file_format: str) -> None:
    """Flipped bytes give either a picture or a UserError, nothing else."""
    ys, xs = np.mgrid[0:40, 0:40]
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.stack([xs * 6, ys * 6, xs + ys], axis=-1).astype(np.uint8)).save(buffer, format=file_format, exif=exif.tobytes())
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "flipped"
    path.write_bytes(bytes(content))
    try:
        photo = load_photo(path)
    except UserError as error:
        message = str(error)
    else:
        message = "flipped: still a picture"
        assert photo.array.dtype == np.uint8
        assert photo.array.shape[2] == 3
    assert "flipped" in message
    assert "\n" not in message


# ---- writing


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".PNG"])
def test_written_pictures_come_back(tmp_path: Path, colours: NDArray[np.uint8], suffix: str) -> None:
    path = save_photo(colours, tmp_path / f"out{suffix}")
    difference = np.abs(load_photo(path).array.astype(int) - colours)
    assert difference.max() == 0 if suffix.lower() == ".png" else difference.mean() < 2
    assert os.listdir(tmp_path) == [path.name]  # no temporary file stays


def test_an_existing_file_is_kept(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")
    for call in (lambda: check_output(path), lambda: save_photo(colours, path)):
        with pytest.raises(UserError, match=r"out\.png exists already.*--overwrite"):
            call()
    with pytest.raises(UserError, match="exists already"):
        write_atomically(path, b"raced", overwrite=False)  # appeared after the check
    assert path.read_bytes() == b"precious"
    save_photo(colours, path, overwrite=True)
    assert np.array_equal(load_photo(path).array, colours)
    assert os.listdir(tmp_path) == ["out.png"]


def test_places_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"folder .*nowhere of the output out\.png does not exist"):
        check_output(tmp_path / "nowhere" / "out.png")
    (tmp_path / "dir.png").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_output(tmp_path / "dir.png", overwrite=True)
    for name, words in (("out.xyz", "the ending .xyz"), ("out", "no ending")):
        with pytest.raises(UserError, match=rf"{words}.*\.png, \.jpg"):
            check_output(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_folder_without_write_permission() -> None:
    with locked_folder() as locked, pytest.raises(UserError, match="is not writable"):
        check_output(locked / "out.png")


def test_a_full_disk_leaves_nothing(tmp_path: Path, colours: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images.os, "fsync", full)
    with pytest.raises(UserError, match="cannot be written: No space left"):
        save_photo(colours, tmp_path / "out.png")
    assert os.listdir(tmp_path) == []


def test_a_size_that_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"WEBP cannot hold 17000x40"):
        save_photo(np.zeros((40, 17_000, 3), np.uint8), tmp_path / "long.webp")
    assert os.listdir(tmp_path) == []


# ---- profiles, depth, transparency, size


def test_srgb_is_embedded_and_always_the_same(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    for suffix in (".png", ".jpg", ".webp"):
        first, second = (save_photo(colours, tmp_path / f"{name}{suffix}").read_bytes() for name in "ab")
        assert first == second
        with Image.open(tmp_path / f"a{suffix}") as written:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(written.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_a_wide_profile_is_kept_beside_its_srgb(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    wide = profile_of(2.2)
    Image.fromarray(colours).save(tmp_path / "w.png", icc_profile=wide)
    photo = load_photo(tmp_path / "w.png")
    assert photo.native is not None
    assert photo.native.profile == wide
    assert np.array_equal(photo.native.values, colours)
    assert np.abs(photo.array.astype(int) - colours).max() > 15  # other numbers for the same colours
    save_photo(photo.native.values, tmp_path / "again.png", profile=photo.native.profile)
    again = load_photo(tmp_path / "again.png")
    assert np.array_equal(again.array, photo.array)
    back = from_srgb(photo.array / 255, wide, 3) * 255
    inside = (photo.array > 3).all(-1) & (photo.array < 252).all(-1)  # of sRGB's gamut
    assert np.abs(back - colours)[inside].max() <= 3


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_come_and_go(tmp_path: Path, channels: int) -> None:
    """Our writer, read by Pillow's upper bytes and by our lower ones; and by an independent reader where it is installed."""
    values = np.random.default_rng(1).integers(0, 65536, (70, 300, channels)).astype(np.uint16)
    alpha = values[..., 3] if channels == 4 else None
    path = save_photo(values[..., : min(channels, 3)], tmp_path / "deep.png", alpha=alpha, info={"software": "DisControlFace"})
    with Image.open(path) as upper:
        if channels > 1:
            assert np.array_equal(np.asarray(upper), values >> 8)
        assert "icc_profile" in upper.info or channels == 1
    photo = load_photo(path)
    assert photo.native is not None
    assert photo.native.values.dtype == np.uint16
    assert np.array_equal(photo.native.values, values[..., : min(channels, 3)])
    if alpha is not None:
        assert photo.native.alpha is not None
        assert np.array_equal(photo.native.alpha, alpha)
    assert np.abs(photo.array - values[..., :3] / 257).max() <= 0.51
    assert read_provenance(path) == {"software": "DisControlFace"}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_sixteen_bit_tiff(tmp_path: Path, order: str, compression: str | None) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = np.random.default_rng(2).integers(0, 65536, (50, 60, 3)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "d.tif", values, photometric="rgb", byteorder=order, compression=compression)
    native = load_photo(tmp_path / "d.tif").native
    assert native is not None
    assert np.array_equal(native.values, values)


def test_sixteen_bits_into_eight_are_said(tmp_path: Path) -> None:
    values = np.full((40, 40, 3), 1000, np.uint16)
    assert "holds no more" in write_lines(Lines.of(Native(values, None)), tmp_path / "a.jpg")[0]
    assert write_lines(Lines.of(Native(values, None)), tmp_path / "a.png") == ()


def test_a_transparent_picture_in_a_jpeg_stands_on_the_background(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    alpha = np.zeros(colours.shape[:2], np.uint8)
    alpha[:, 32:] = 255
    remarks = write_lines(Lines.of(Native(colours, None, alpha)), tmp_path / "a.jpg", background="#204080")
    assert "cannot be transparent" in remarks[0]
    written = load_photo(tmp_path / "a.jpg").array.astype(int)
    assert np.abs(written[:, :28] - (0x20, 0x40, 0x80)).max() < 12
    assert np.abs(written[:, 36:] - colours[:, 36:]).mean() < 3
    with pytest.raises(UserError, match=r"'no such colour' is no colour"):
        save_photo(colours, tmp_path / "b.jpg", alpha=alpha, background="no such colour")


def test_cmyk_and_gain_maps_are_said(tmp_path: Path, colours: NDArray[np.uint8]) -> None:
    Image.fromarray(colours).convert("CMYK").save(tmp_path / "c.jpg")
    assert "CMYK" in load_photo(tmp_path / "c.jpg").remarks[0]
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description hdrgm:Version="1.0"/></x:xmpmeta>'
    Image.fromarray(colours).save(tmp_path / "g.jpg", xmp=packet)
    assert "gain map" in load_photo(tmp_path / "g.jpg").remarks[0]
    Image.fromarray(colours).save(tmp_path / "p.jpg")
    assert load_photo(tmp_path / "p.jpg").remarks == ()


def test_avif_and_heic(tmp_path: Path, colours: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(colours).save(tmp_path / "a.avif", quality=95, subsampling="4:4:4")
    assert np.abs(load_photo(tmp_path / "a.avif").array.astype(int) - colours).mean() < 4
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(colours)).save(tmp_path / "h.heic", quality=95)
    assert np.abs(load_photo(tmp_path / "h.heic").array.astype(int) - colours).mean() < 6
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    with pytest.raises(UserError, match=r"is a HEIC photo; install .*discontrolface\[heif\]"):
        load_photo(tmp_path / "h.heic")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_jpeg_is_written_in_strips(tmp_path: Path, channels: int) -> None:
    """With fewer blocks between restart markers than a large photo has: any decoder reads the same picture."""
    ys, xs = np.mgrid[0:203, 0:331]
    values = np.stack([xs * 255 // 331, ys * 255 // 203, (xs + ys) % 256], axis=-1)[..., :channels].astype(np.uint8)
    options = {"quality": 95, "subsampling": 0 if channels == 3 else -1, "comment": b"kept"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "LONGEST_INTERVAL", 130)
        strips = io.BytesIO()
        encoding.write_jpeg(strips, lambda a, b: values[a:b], 331, 203, options)
    whole = io.BytesIO()
    encoding.write_jpeg(whole, lambda a, b: values[a:b], 331, 203, options)
    assert strips.getvalue() != whole.getvalue()
    with Image.open(strips) as first, Image.open(whole) as second:
        assert first.size == (331, 203)
        assert first.info["comment"] == b"kept"
        assert np.array_equal(np.asarray(first), np.asarray(second))


def test_huge_photos_are_not_kept_twice(tmp_path: Path, colours: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(colours).save(tmp_path / "w.png", icc_profile=profile_of(2.2))
    kept = load_photo(tmp_path / "w.png")
    monkeypatch.setattr(decoding, "NATIVE_PIXELS", 3000)
    photo = load_photo(tmp_path / "w.png")
    assert photo.native is None
    assert "too large to keep its own profile" in photo.remarks[0]
    assert np.array_equal(photo.array, kept.array)


def test_every_turn_of_every_kind_of_pixels(tmp_path: Path) -> None:
    """Colours in 16 bits, their 8-bit picture and transparency are turned alike."""
    values = np.random.default_rng(3).integers(0, 65536, (36, 50, 4)).astype(np.uint16)
    upright = save_photo(values[..., :3], tmp_path / "up.png", alpha=values[..., 3])
    first = load_photo(upright)
    assert first.native is not None
    for turn in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        chunk = b"eXIf" + exif.tobytes()[6:]
        content = upright.read_bytes()
        at = content.index(b"IDAT") - 4
        whole = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (tmp_path / "turned.png").write_bytes(content[:at] + whole + content[at:])
        photo = load_photo(tmp_path / "turned.png")
        assert photo.native is not None
        expected = np.asarray(Image.fromarray(first.array).transpose(images._TURNS[turn]))
        assert np.array_equal(photo.array, expected)
        assert np.abs(photo.native.values / 257 - photo.array).max() <= 0.51
        assert photo.alpha is not None
        assert photo.native.alpha is not None
        assert np.abs(photo.native.alpha / 257 - photo.alpha).max() <= 0.51


@pytest.mark.parametrize("size", [(8160, 6144), (8192, 6144), (16_320, 12_240)])
def test_sizes_of_phones_are_not_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "phone.png").write_bytes(png_header(*size))
    assert images._open(tmp_path / "phone.png", (tmp_path / "phone.png").read_bytes(), images.MAX_MEGAPIXELS).size == size
