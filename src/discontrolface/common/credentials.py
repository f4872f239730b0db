"""Content Credentials (C2PA): a signed manifest in every picture that is written with a record, when a certificate and its key are configured.

    DISCONTROLFACE_C2PA_CERTIFICATE   a PEM file: the signing certificate, then its chain
    DISCONTROLFACE_C2PA_KEY           a PEM file: its private key (ECDSA P-256, P-384 or P-521, RSA, Ed25519)

Without them nothing is signed; with them a picture that cannot be signed is not written. Extra `c2pa`.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image

from discontrolface.common.errors import UserError

CERTIFICATE, KEY = "DISCONTROLFACE_C2PA_CERTIFICATE", "DISCONTROLFACE_C2PA_KEY"
MEDIA: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
ENDINGS: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
NO_THUMBNAIL: Final = {"builder": {"thumbnail": {"enabled": False}}}  # of a WebP it is a PNG of up to a megabyte, ten times the picture
CURVES: Final = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Signing:
    """PEM files, read. algorithm: C2PA's name of what the key signs by."""

    certificate: bytes
    key: bytes
    algorithm: str

    def sign(self, picture: bytes, file_format: str, record: Mapping[str, Any], title: str) -> bytes:
        """A picture's file with its manifest. file_format: PNG, JPEG or WEBP. UserError when it cannot be signed."""
        c2pa = library()
        out = io.BytesIO()
        try:
            info = c2pa.C2paSignerInfo(alg=self.algorithm.encode(), sign_cert=self.certificate, private_key=self.key, ta_url=None)
            with (
                c2pa.Signer.from_info(info) as signer,
                c2pa.Context(c2pa.Settings.from_dict(NO_THUMBNAIL)) as context,
                c2pa.Builder(json.dumps(manifest(record, title)), context) as builder,
            ):
                builder.sign(signer, MEDIA[file_format], io.BytesIO(picture), out)
        except Exception as error:  # the library's own, of many kinds
            raise UserError(f"the picture cannot be signed, so it is not written ({error}); see {CERTIFICATE} and {KEY}") from error
        return out.getvalue()


def configured(environment: Mapping[str, str] = os.environ) -> Signing | None:
    """What the environment says; None if it says nothing. UserError for one of the two alone, and for files that cannot be used."""
    paths = {name: environment.get(name) for name in (CERTIFICATE, KEY)}
    if not any(paths.values()):
        return None
    content: dict[str, bytes] = {}
    for name, path in paths.items():
        if not path:
            raise UserError(f"{name} is not set; signing needs {CERTIFICATE} and {KEY}, or neither")
        try:
            content[name] = Path(path).read_bytes()
        except OSError as error:
            raise UserError(f"{path} ({name}) cannot be read: {error.strerror}; no picture is written without its signature") from error
    return Signing(content[CERTIFICATE], content[KEY], algorithm_of(content[KEY], str(paths[KEY])))


def check_signing() -> None:
    """Before the long work: UserError where pictures with a record are to be signed and cannot be. A pixel is signed to find out."""
    if (signing := configured()) is not None:
        pixel = io.BytesIO()
        Image.new("RGB", (1, 1)).save(pixel, "PNG")
        signing.sign(pixel.getvalue(), "PNG", {}, "pixel")


def algorithm_of(key: bytes, name: str) -> str:
    """C2PA's name of what a PEM key signs by. UserError for another kind."""
    library()
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise UserError(f"{name} is not a PEM private key without a password ({error})") from error
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        return CURVES[private.curve.name]
    if isinstance(private, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise UserError(f"{name} is a key that C2PA does not sign by; use ECDSA P-256, for instance")


def manifest(record: Mapping[str, Any], title: str) -> dict[str, Any]:
    """What is signed: the action, what was changed, weights and the hash of the photo (C2PA 2.x, `c2pa.actions.v2`)."""
    source = str(record.get("digital_source_type", ""))
    told = {name: record[name] for name in ("edited", "weights", "seed", "source_sha256", "steps", "start") if record.get(name) is not None}
    kept = {
        name: value if isinstance(value, str | int) else json.dumps(value) for name, value in told.items()
    }  # lists get lost in parameters
    # Not "c2pa.opened", though a photo was: that asks for the photo as an ingredient, its bytes hashed and its thumbnail shown.
    actions = [
        {"action": "c2pa.created", "digitalSourceType": source},
        {"action": "c2pa.edited", "digitalSourceType": source, "description": str(record.get("statement", "")), "parameters": kept},
    ]
    return {
        "claim_generator_info": [{"name": str(record.get("software", "DisControlFace")), "version": str(record.get("version", "0"))}],
        "title": title,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def credentials_of(path: Path) -> dict[str, Any] | None:
    """What the credentials of a picture say: {"state", "problems", "title", "actions"}; None without any. UserError without the library."""
    c2pa = library()
    kind = ENDINGS.get(path.suffix.lower())
    if kind is None:
        return None
    try:
        with path.open("rb") as file, c2pa.Reader(kind, file) as reader:
            found = json.loads(reader.json())
    except c2pa.C2paError as error:
        if "ManifestNotFound" in f"{type(error).__name__} {error}":
            return None
        raise UserError(f"the credentials of {path} cannot be read ({error})") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    active = found.get("manifests", {}).get(found.get("active_manifest"), {})
    actions = [
        a for part in active.get("assertions", []) if str(part.get("label", "")).startswith("c2pa.actions") for a in part["data"]["actions"]
    ]
    problems = [status.get("code") for status in found.get("validation_status", [])]
    return {"state": found.get("validation_state"), "problems": problems, "title": active.get("title"), "actions": actions}


def library() -> Any:
    """c2pa-python. UserError where it is not installed."""
    try:
        import c2pa
    except ImportError:
        raise UserError("Content Credentials need c2pa-python: pip install 'discontrolface[c2pa]'") from None
    return c2pa
