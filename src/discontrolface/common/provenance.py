"""What every written picture says about itself: that it was edited, by what, how, and from which photo.

The record is JSON. It is written twice: in full (PNG: iTXt chunk "discontrolface"; GIF: the comment; JPEG and WebP: EXIF UserComment, beside
ImageDescription and Software), and as an XMP packet with IPTC's DigitalSourceType, the field that other programs and sites look at.
Metadata of the source photo (GPS position, camera, owner, thumbnail) is *not* copied: an edited portrait should not tell where its
subject lives, and a thumbnail would show the unedited face.
"""

import json
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Final

from PIL import ExifTags, Image, PngImagePlugin

from discontrolface.common.errors import UserError
from discontrolface.common.opening import opened

SOFTWARE: Final = "DisControlFace"
KEY: Final = "discontrolface"  # of the PNG chunk
STATEMENT: Final = "This picture was edited: the face was changed by software and does not show the scene as photographed."
# https://cv.iptc.org/newscodes/digitalsourcetype/: a photo with parts made by a trained model
SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
# fields of the record of a picture that shows nobody, or nobody as photographed
DRAWN: Final = {
    "statement": "This picture was drawn by a trained model; it shows no photographed person.",
    "digital_source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
}
MAX_RECORD_BYTES: Final = 48_000  # EXIF has to fit into one 64 KB segment of a JPEG

_ASCII_COMMENT: Final = b"ASCII\0\0\0"  # EXIF 2.3: the first 8 bytes of UserComment name its character code


def make_record(
    edited: Mapping[str, Any],
    *,
    seed: int | None = None,
    weights: str | None = None,
    source_sha256: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The record of one edit, JSON-ready.

    edited: the parameters that the edit changed, by name; seed: of the noise; weights: name or hash of the weights;
    source_sha256: hex digest of the source file's bytes; more: further fields (steps, masking, ...). It holds no time and no
    path, so that the same edit writes the same bytes.
    """
    return {
        "software": SOFTWARE,
        "version": program_version(),
        "statement": STATEMENT,
        "digital_source_type": SOURCE_TYPE,
        "edited": dict(edited),
        "seed": seed,
        "weights": weights,
        "source_sha256": source_sha256,
        **more,
    }


@cache
def program_version() -> str:
    """Of the installed package, looked up once: a lookup reads the environment's folders, and every frame of a clip has a record."""
    try:
        return installed_version("discontrolface")
    except PackageNotFoundError:
        return "unknown"


def metadata_options(record: Mapping[str, Any], file_format: str) -> dict[str, Any]:
    """Arguments for Pillow's `Image.save` that embed the record. file_format: PNG, JPEG, WEBP or GIF (in full, in its comment; GIF has no XMP here).

    Raises ValueError when the record is not JSON or larger than 48 kB.
    """
    text = json.dumps(record, ensure_ascii=True, allow_nan=False, sort_keys=True)
    if len(text) > MAX_RECORD_BYTES:
        raise ValueError(f"the provenance record has {len(text)} bytes, more than {MAX_RECORD_BYTES}")
    if file_format == "GIF":
        return {"comment": text.encode("ascii")}
    software = f"{record.get('software', SOFTWARE)} {record.get('version', '')}".strip()
    statement = str(record.get("statement", STATEMENT))
    packet = _xmp(software, statement, str(record.get("digital_source_type", SOURCE_TYPE)))
    if file_format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("Software", software)
        chunks.add_itxt("Description", statement)
        chunks.add_itxt(KEY, text)
        chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
        return {"pnginfo": chunks}
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = statement.encode("ascii", "replace").decode()
    exif[ExifTags.Base.Software] = software
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = _ASCII_COMMENT + text.encode("ascii")
    return {"exif": exif.tobytes(), "xmp": packet}


def read_provenance(path: str | Path) -> dict[str, Any] | None:
    """The record of a picture written by this package; None when it carries none. Raises UserError when it is not a picture."""
    try:
        with Path(path).open("rb") as file:
            image = opened(file, ("PNG", "JPEG", "WEBP", "GIF"))
            text = None if image is None else _find_text(image)
        if image is None:
            raise UserError(f"{path} is not a PNG, JPEG, WebP or GIF picture, so it carries no record")
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if text is None or len(text) > 2 * MAX_RECORD_BYTES:
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and record.get("software") == SOFTWARE else None


def _find_text(image: Image.Image) -> str | None:
    if image.format == "PNG":
        text = image.info.get(KEY)
        return text if isinstance(text, str) else None
    if image.format == "GIF":
        comment = image.info.get("comment")
        return comment.decode("ascii", "replace") if isinstance(comment, bytes) else None
    try:
        comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except Exception:  # damaged EXIF fails in many ways inside Pillow; all of them mean: no record of ours
        return None
    if not isinstance(comment, bytes) or not comment.startswith(_ASCII_COMMENT):
        return None
    return comment.removeprefix(_ASCII_COMMENT).decode("ascii", "replace")


def _xmp(software: str, statement: str, source_type: str) -> bytes:
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
<xmp:CreatorTool>{escape(software, quote=False)}</xmp:CreatorTool>
<Iptc4xmpExt:DigitalSourceType>{escape(source_type, quote=False)}</Iptc4xmpExt:DigitalSourceType>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(statement, quote=False)}</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()
