"""The files that the user brings (asset_table.py): recognising, checking, converting, storing them.

Nothing is downloaded here and nothing licensed is passed on: the user brings the official files, and `import_asset` says what each one is by its
content, converts it to safetensors (no pickle stays behind) and writes it into one folder, with a manifest of checksums.
"""

from __future__ import annotations

import hashlib
import json
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from discontrolface.common.errors import UserError
from discontrolface.common.files import replace_folder, write_atomically
from discontrolface.common.folders import default_folder
from discontrolface.common.pixels import to_float
from discontrolface.weights.asset_table import ASSETS, PAPER_HEAD, PEER_ASSETS, Asset

if TYPE_CHECKING:
    import torch

MANIFEST: Final = "assets.json"


@dataclass(frozen=True)
class AssetStatus:
    """What is there of an asset. state: "ok", "missing" or "damaged" (its checksum is not the one of the import). note: a sentence."""

    asset: Asset
    path: Path
    state: str
    note: str


def list_assets(folder: str | Path | None = None, assets: Sequence[Asset] = ASSETS) -> list[AssetStatus]:
    """Every asset of the paper preset (or of another table), in order, checked against the manifest's checksums."""
    place = _place(folder)
    manifest = _manifest(place)
    return [_status(asset, place, manifest.get(asset.key)) for asset in assets]


def paper_missing(folder: str | Path | None = None) -> list[str]:
    """What `Editor.load("paper")` lacks, a sentence each: the asset, the file that brings it and its page. Empty if nothing."""
    out = []
    for status in list_assets(folder):
        asset = status.asset
        if asset.needed and status.state != "ok":
            how = f"get {asset.official} from {asset.source}, then `discontrolface assets import FILE`"
            if asset.key == "exp_facenet":
                how = f"{asset.source} with `discontrolface train`, then `discontrolface assets import exp_facenet`"
            out.append(f"{asset.what} is {status.state} ({how})")
    return out


def import_asset(path: str | Path, folder: str | Path | None = None) -> AssetStatus:
    """Recognise an official file by its content, convert it, store it. Its name plays no part.

    Raises UserError for a file that is none of `ASSETS` and `PEER_ASSETS`, is damaged, or has a wrong shape; nothing in it is executed.
    """
    path, place = Path(path), _place(folder)
    if not path.exists():
        raise UserError(f"{path} does not exist; give the path of an official file.")
    key, content = recognise(path)
    asset = next(a for a in (*ASSETS, *PEER_ASSETS) if a.key == key)
    place.mkdir(parents=True, exist_ok=True)
    if callable(content):
        replace_folder(content, place / asset.filename)
    else:
        from safetensors.numpy import save

        write_atomically(place / asset.filename, save({name: np.ascontiguousarray(value) for name, value in content.items()}))
    manifest = _manifest(place)
    manifest[key] = {"from": path.name, "source_sha256": _sha256(path), "stored_sha256": _sha256(place / asset.filename)}
    _write_manifest(place, manifest)
    _write_preset(place)
    return _status(asset, place, manifest[key])


# ---- recognising

Content = dict[str, Any] | Callable[[Path], None]  # arrays for one file, or what writes a folder


def recognise(path: Path) -> tuple[str, Content]:
    """(key of the asset, its content, checked). Raises UserError for files that are none."""
    if path.is_dir():
        return _recognise_folder(path)
    with path.open("rb") as file:
        head = file.read(512)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "detail_mask", _read_mask(path)
    if _is_obj(head):
        return "topology", _read_topology(path)
    if _is_checkpoint(path, head):
        return _recognise_checkpoint(path)
    from discontrolface.common.unpickle import load_file

    content = load_file(path)
    for key, test, parse in _ARRAYS:
        if test(content):
            return key, parse(content, str(path))
    raise UserError(f"{path} is none of the files that are known: {', '.join(a.official for a in (*ASSETS, *PEER_ASSETS))}.")


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda content: isinstance(content, dict) and all(key in content for key in keys)


def _read_flame(content: Any, name: str) -> dict[str, Any]:
    from discontrolface.face.flame import FLAME_KEYS, check_flame

    check_flame(content, name)
    return {key: np.asarray(content[key]).astype(np.int32 if key in ("f", "kintree_table") else np.float32) for key in FLAME_KEYS}


def _read_landmarks(content: Any, name: str) -> dict[str, Any]:
    from discontrolface.face.flame import check_landmarks

    check_landmarks(content, name)
    return {key: np.asarray(value) for key, value in content.items() if np.asarray(value).dtype.kind in "iuf"}


def _read_texture(content: Any, name: str) -> dict[str, Any]:
    from discontrolface.face.flame import FlameTexture, texture_keys

    mean, basis = texture_keys(content, name)
    FlameTexture.of(content, name, 1)
    return {key: np.asarray(content[key], np.float32) for key in (mean, basis)}


def _read_masks(content: Any, name: str) -> dict[str, Any]:
    from discontrolface.face.flame import MASK_REGIONS, check_masks

    masks = {key: np.asarray(content[key]).astype(np.int64).reshape(-1) for key in MASK_REGIONS if key in content}
    check_masks(masks, name, max((int(v.max()) for v in masks.values() if v.size), default=0) + 1)
    return masks


def _read_fixed(content: Any, name: str) -> dict[str, Any]:
    if not np.isfinite(content).all() or np.abs(content).max() > 0.05:
        raise UserError(f"{name} is not a displacement map: its values reach {np.abs(content).max():g} m; give fixed_displacement_256.npy.")
    return {"fixed": content.astype(np.float32)}


_ARRAYS: Final[tuple[tuple[str, Callable[[Any], bool], Callable[[Any, str], dict[str, Any]]], ...]] = (
    ("flame", _has("v_template", "shapedirs"), _read_flame),
    ("landmarks", _has("full_lmk_faces_idx"), _read_landmarks),
    ("landmarks", _has("landmark_indices", "lmk_face_idx"), _read_landmarks),
    ("texture", _has("mean", "tex_dir"), _read_texture),
    ("texture", _has("MU", "PC"), _read_texture),
    ("masks", _has("scalp", "lips"), _read_masks),
    ("detail_fixed", lambda c: isinstance(c, np.ndarray) and c.shape == (256, 256) and c.dtype.kind == "f", _read_fixed),
)


def _is_obj(head: bytes) -> bool:
    lines = head.decode("latin1").splitlines()
    return any(line.split()[:1] == ["v"] and len(line.split()) >= 4 for line in lines)


def _read_topology(path: Path) -> dict[str, Any]:
    from discontrolface.face.flame import read_obj

    mesh = read_obj(path)
    return {"uv": mesh.uv, "faces": mesh.faces, "faces_uv": mesh.faces_uv}


def _read_mask(path: Path) -> dict[str, Any]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.width != image.height or not 64 <= image.width <= 4096:
                raise UserError(f"{path} is a picture of {image.width}x{image.height}; uv_face_eye_mask.png is square.")
            values = to_float(np.asarray(image.convert("RGB"))[..., 0])
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as a picture ({type(error).__name__}); it is damaged.") from None
    if not 0.01 < float((values > 0.5).mean()) < 0.99:
        raise UserError(f"{path} is not a mask: {100 * float((values > 0.5).mean()):.0f} % of it is white; give uv_face_eye_mask.png.")
    return {"mask": values}


ELSEWHERE: Final = {  # a key of checkpoints that are no part of the preset -> what they are, and who reads them
    "latent_net.layers.0.linear.weight": "a latent DPM without its autoencoder; `sample --latent FILE` reads it",
    "classifier.weight": "an attribute classifier; `attributes apply --directions FILE` reads it",
    "ema_classifier.weight": "an attribute classifier; `attributes apply --directions FILE` reads it",
}


def _is_checkpoint(path: Path, head: bytes) -> bool:
    """PyTorch's zip format, or its old one (five pickles, the first is a magic number)."""
    import zipfile

    if head[:4] != b"PK\x03\x04":
        return head[:2] == b"\x80\x02" and b"\xfc\x9cF\xf9 j\xa8P\x19" in head[:32]
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        raise UserError(f"{path} is a damaged zip file; download it again.") from None


def _recognise_checkpoint(path: Path) -> tuple[str, Content]:
    from discontrolface.weights.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(path)
    for peer in PEER_ASSETS:
        if peer.marker and any(key.endswith(peer.marker) for key in checkpoint):
            return peer.key, pkgutil.resolve_name(peer.importer)(path).save_pretrained
    for prefix in ("deca.", ""):
        if f"{prefix}E_flame.layers.2.bias" in checkpoint:
            from discontrolface.face.regress import FaceRegressor

            parts = ("E_flame.", "E_expression.", "E_detail.", "D_detail.")
            names = [key for key in checkpoint if key.startswith(tuple(prefix + part for part in parts))]
            tensors: dict[str, torch.Tensor] = {key.removeprefix(prefix): checkpoint.read(key) for key in names}
            network = FaceRegressor.from_tensors(tensors, str(path))
            return "regressor", {key: value.numpy() for key, value in network.state_dict().items() if value.ndim}
    if any(key.endswith("input_blocks.0.0.weight") for key in checkpoint):
        from discontrolface.weights.official import import_diffae

        return "diffae", import_diffae(path).save_pretrained
    for key, what in ELSEWHERE.items():
        if any(name == key or name.endswith(f".{key}") for name in checkpoint):
            raise UserError(f"{path} is {what}.")
    raise UserError(f"{path} is a checkpoint of networks that the preset does not know; its first key is {next(iter(checkpoint))}.")


def _recognise_folder(path: Path) -> tuple[str, Content]:
    """A network that this program saved: by the class that its config.json names."""
    try:
        name = json.loads((path / "config.json").read_text()).get("_class_name")
    except (OSError, ValueError, AttributeError):
        raise UserError(
            f"{path} is a folder without a config.json of a network; give exp_facenet/ as `discontrolface train` writes it."
        ) from None
    from discontrolface.nets.backbone import BACKBONES, backbone_class
    from discontrolface.nets.exp_facenet import ExpFaceNet
    from discontrolface.weights.control_head import check_control_head

    if name != ExpFaceNet.__name__ and name not in BACKBONES:
        raise UserError(f"{path} holds a {name}, which the preset does not know; give exp_facenet/ or diffae/.")
    key, kind = ("exp_facenet", ExpFaceNet) if name == ExpFaceNet.__name__ else ("diffae", backbone_class(name))
    try:
        network = kind.from_pretrained(path)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} cannot be read as {name}: {str(error).splitlines()[0]}") from None
    if isinstance(network, ExpFaceNet):
        check_control_head(network, PAPER_HEAD, path)
    return key, network.save_pretrained


# ---- storing


def _place(folder: str | Path | None) -> Path:
    return default_folder() if folder is None else Path(folder)


def _sha256(path: Path) -> str:
    """Of a file, or of a folder's files with their names."""
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            total.update(str(file.relative_to(path)).encode())
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def _manifest(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text())
        return {str(key): {str(k): str(v) for k, v in entry.items()} for key, entry in content.items()}
    except (ValueError, AttributeError):
        raise UserError(f"{path} is not readable; delete it and import the files again.") from None


def _write_manifest(folder: Path, manifest: Mapping[str, Mapping[str, str]]) -> None:
    write_atomically(folder / MANIFEST, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())


def _write_preset(folder: Path) -> None:
    """preset.json, once both networks are there (manifest.py). A file that is there already stays: the user may have changed it."""
    if (folder / "preset.json").exists() or not all((folder / part).is_dir() for part in ("diffae", "exp_facenet")):
        return
    # The paper's inference: from random noise, 20 steps, all of them.
    values = {"name": "paper", "head": PAPER_HEAD, "start": "noise", "strength": 1.0, "steps": 20}
    write_atomically(folder / "preset.json", (json.dumps(values, indent=1) + "\n").encode())


def _status(asset: Asset, folder: Path, entry: Mapping[str, str] | None) -> AssetStatus:
    path = folder / asset.filename
    if not path.exists():
        return AssetStatus(asset, path, "missing", f"{asset.official}, from {asset.source}")
    if entry is None:
        return AssetStatus(asset, path, "damaged", f"{path.name} was not put there by an import; import the official file")
    if _sha256(path) != entry.get("stored_sha256"):
        return AssetStatus(
            asset, path, "damaged", f"{path.name} has changed since it was imported from {entry.get('from')}; import it again"
        )
    note = f"from {entry.get('from')}, sha256 {entry.get('source_sha256', '')[:12]}"
    if asset.key == "regressor" and "E_expression.layers.2.bias" not in _tensor_names(path):
        note += "; DECA's own expressions: import an EMOCA checkpoint for the paper's"
    return AssetStatus(asset, path, "ok", note)


def _tensor_names(path: Path) -> set[str]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return set(file.keys())
