"""Content Credentials: a signed picture validates, a changed pixel shows, and nothing is written when it cannot be signed. The chain is our own."""

import datetime
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common import credentials
from discontrolface.common.errors import UserError
from discontrolface.common.images import encode_photo, save_photo
from discontrolface.common.provenance import make_record, read_provenance

pytest.importorskip("c2pa", reason="extra `c2pa` is not installed")
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

RECORD = make_record({"yaw": [0.0, 12.0]}, seed=3, weights="abc", source_sha256="0" * 64)
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)


def certificate(subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, root: bool) -> bytes:
    names = [
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"), x509.NameAttribute(NameOID.COMMON_NAME, name)])
        for name in (subject, issuer)
    ]
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=root, crl_sign=root, **usage), critical=True)
    )
    if not root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root, a certificate below it, its key; configured."""
    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "chain.pem").write_bytes(certificate("own", own, "root", root, False) + certificate("root", root, "root", root, True))
    (tmp_path / "key.pem").write_bytes(pem(own))
    monkeypatch.setenv(credentials.CERTIFICATE, str(tmp_path / "chain.pem"))
    monkeypatch.setenv(credentials.KEY, str(tmp_path / "key.pem"))
    return tmp_path


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp"])
def test_a_written_picture_is_signed_and_a_changed_byte_shows(ending: str, chain: Path) -> None:
    path = chain / f"out{ending}"
    save_photo(PICTURE, path, info=RECORD)
    found = credentials.credentials_of(path)
    assert found is not None
    assert found["state"] == "Valid"
    assert found["problems"] == ["signingCredential.untrusted"], "our own root is in nobody's list; nothing else is wrong"
    edited = next(action for action in found["actions"] if action["action"] == "c2pa.edited")
    assert json.loads(edited["parameters"]["edited"]) == {"yaw": [0.0, 12.0]}
    assert edited["parameters"]["source_sha256"] == "0" * 64
    assert read_provenance(path) == json.loads(json.dumps(RECORD)), "the plain record is there too"
    data = bytearray(path.read_bytes())
    mark = {".png": b"IDAT", ".jpg": b"\xff\xda", ".webp": b"VP8 "}[ending]
    data[data.rindex(mark) + 60] ^= 1  # the manifest may hold the same bytes, before it
    path.write_bytes(bytes(data))
    changed = credentials.credentials_of(path)
    assert changed is not None
    assert changed["state"] == "Invalid"
    assert "assertion.dataHash.mismatch" in changed["problems"]


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp"])
def test_a_signature_adds_little(ending: str, chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thumbnail, which would be larger than a WebP."""
    picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    save_photo(picture, chain / f"signed{ending}", info=RECORD)
    monkeypatch.delenv(credentials.KEY)
    monkeypatch.delenv(credentials.CERTIFICATE)
    save_photo(picture, chain / f"plain{ending}", info=RECORD)
    signed, plain = ((chain / f"{name}{ending}").stat().st_size for name in ("signed", "plain"))
    assert 1_000 < signed - plain < 10_000


def test_nothing_is_written_when_signing_fails(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = chain / "out.png"
    (chain / "chain.pem").write_bytes(b"no certificate")
    with pytest.raises(UserError, match="cannot be signed, so it is not written"):
        save_photo(PICTURE, path, info=RECORD)
    (chain / "key.pem").write_bytes(b"no key")
    with pytest.raises(UserError, match=r"key\.pem is not a PEM private key"):
        save_photo(PICTURE, path, info=RECORD)
    (chain / "key.pem").unlink()
    with pytest.raises(UserError, match=r"key\.pem .* cannot be read"):
        save_photo(PICTURE, path, info=RECORD)
    monkeypatch.delenv(credentials.KEY)
    with pytest.raises(UserError, match="is not set"):
        save_photo(PICTURE, path, info=RECORD)
    assert not path.exists()


def test_a_picture_without_a_record_and_one_without_a_certificate_are_plain(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photo(PICTURE, chain / "plain.png")
    assert credentials.credentials_of(chain / "plain.png") is None
    (chain / "bytes.png").write_bytes(encode_photo(PICTURE, "PNG", RECORD))
    assert credentials.credentials_of(chain / "bytes.png") is not None
    monkeypatch.delenv(credentials.KEY)
    monkeypatch.delenv(credentials.CERTIFICATE)
    save_photo(PICTURE, chain / "unsigned.png", info=RECORD)
    assert credentials.credentials_of(chain / "unsigned.png") is None


def test_keys_by_kind() -> None:
    assert credentials.algorithm_of(pem(ec.generate_private_key(ec.SECP384R1())), "k") == "es384"
    assert credentials.algorithm_of(pem(ed25519.Ed25519PrivateKey.generate()), "k") == "ed25519"
    with pytest.raises(UserError, match="does not sign by"):
        credentials.algorithm_of(pem(ec.generate_private_key(ec.SECP192R1())), "k")


def test_inspect_tells(chain: Path) -> None:
    save_photo(PICTURE, chain / "out.png", info=RECORD)
    done = CliRunner().invoke(app, ["inspect", str(chain / "out.png")])
    assert done.exit_code == 0
    assert "Content Credentials, Valid" in done.output
    assert io.StringIO(done.output).readline().startswith(str(chain / "out.png"))


def fails(*arguments: str) -> str:
    """What a command says that ends with an error of the user's."""
    done = CliRunner().invoke(app, [*arguments])
    assert done.exit_code == 2
    return " ".join(done.output.split())


def test_commands_refuse_before_the_work(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.check_signing()

    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded before the certificate was looked at")

    monkeypatch.setattr("discontrolface.cli.source.Source.reader", loaded)
    monkeypatch.setattr("discontrolface.studio.server.serve", loaded)
    monkeypatch.setattr("discontrolface.weights.codes.open_backbone", loaded)
    Image.fromarray(PICTURE).save(chain / "photo.png")
    (chain / "photos").mkdir()
    Image.fromarray(PICTURE).save(chain / "photos" / "a.png")
    (chain / "chain.pem").write_bytes(b"no certificate")
    edited = ["--expression", "smile=0.5"]
    for command in (
        ["edit", str(chain / "photo.png"), "-o", str(chain / "out.png"), *edited],
        ["edit", str(chain / "photos"), "-o", str(chain / "out"), *edited],
        ["sample", "-o", str(chain / "out.png")],
        ["studio"],
    ):
        assert "cannot be signed" in fails(*command), command
    assert not (chain / "out.png").exists()
    assert not (chain / "out").exists()


def test_a_sheet_of_a_reading_has_no_record_and_needs_no_certificate(chain: Path) -> None:
    (chain / "chain.pem").write_bytes(b"no certificate")
    Image.fromarray(np.full((64, 64, 3), 128, np.uint8)).save(chain / "wall.png")
    assert "no face" in fails("read", str(chain / "wall.png"), "--sheet", str(chain / "sheet.png"))
