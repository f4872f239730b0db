"""Exchange of face codes with DECA, EMOCA, GIF and DiffusionRig, as files and as our face parameters.

Fields, their order and units: docs/paper-preset.md. Files from outside are read without executing anything.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing
from discontrolface.common.unpickle import load_file
from discontrolface.face.deca_crop import HALF_PIXEL, move_camera
from discontrolface.face.layout import EYE_LEFT, GLOBAL, JAW, NECK
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.regress import CODE_SIZES, DETAIL, INPUT_SIZE, Codes
from discontrolface.geometry.rotations import to_axis_angle, to_matrix
from discontrolface.render.shade import light_preset

if TYPE_CHECKING:
    from discontrolface.face.heads.base import HeadModel
    from discontrolface.face.transfer import BlendshapeTable

# What the fields are called in others' files.
ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "shape": ("shape", "shapecode"),
    "tex": ("tex", "texcode"),
    "exp": ("exp", "expcode", "expression"),
    "pose": ("pose", "posecode"),
    "cam": ("cam", "camera"),
    "light": ("light", "lightcode", "lit"),
    "detail": ("detail", "detailcode"),
}
SIZES: Final = {**CODE_SIZES, "detail": DETAIL}
# Fields that a file may lack, and what is taken instead: EMOCA's saved codes have no camera and no light.
NEUTRAL: Final[dict[str, Callable[[], NDArray[np.float32]]]] = {
    "tex": lambda: np.zeros(CODE_SIZES["tex"], np.float32),
    "cam": lambda: np.array([8.0, 0.0, 0.0], np.float32),
    "light": lambda: _even_light().reshape(-1),
}
# GIF's flat order (its constants.INDICES and DECA_IDX): shape, expression, pose, camera, then texture and light.
GIF_ORDER: Final = ("shape", "exp", "pose", "cam", "tex", "light")
FORMATS: Final = (".npz", ".mat", ".pkl", ".npy")


def to_gif(codes: Codes) -> Tensor:
    """(B, 236) in GIF's order. DiffusionRig and DECA have `Codes.flat()`."""
    return torch.cat([getattr(codes, name).flatten(1) for name in GIF_ORDER], 1)


def from_gif(flat: Tensor) -> Codes:
    """The inverse of `to_gif`."""
    if flat.ndim != 2 or flat.shape[1] != sum(CODE_SIZES.values()):
        raise UserError(f"GIF's flat code must be (B, {sum(CODE_SIZES.values())}), not {tuple(flat.shape)}")
    parts = dict(zip(GIF_ORDER, flat.split([CODE_SIZES[name] for name in GIF_ORDER], 1), strict=True))
    return Codes.from_flat(torch.cat([parts[name] for name in CODE_SIZES], 1))


# ---- files


def read_codes(path: str | Path, order: str = "deca") -> Codes:
    """Codes from a .npz, .mat, .pkl or .npy file with DECA's or EMOCA's field names, from a folder as EMOCA's `save_codes` writes it (shape.npy,
    exp.npy, ...), or from a flat array of 236 numbers in the order of `deca` (DiffusionRig too) or `gif`.

    Missing texture, camera and light become neutral ones; missing detail stays missing. Raises UserError that names what is missing or misshapen.
    """
    path = Path(path)
    if order not in ("deca", "gif"):
        raise UserError(f"order {order!r} of a flat code is not known; choose deca or gif")
    if path.is_dir():
        content: Any = {file.stem: load_file(file) for file in sorted(path.glob("*.npy"))}
    elif path.suffix.lower() == ".mat":
        content = _read_mat(path)
    else:
        content = load_file(path)
    if isinstance(content, dict) and len(content) == 1 and not _has_fields(content):
        content = next(iter(content.values()))  # GIF keeps one dict per picture under its name; a .npz of one flat array
    if isinstance(content, np.ndarray):
        flat = torch.from_numpy(np.atleast_2d(content).astype(np.float32))
        return _finite(from_gif(flat) if order == "gif" else Codes.from_flat(flat), path)
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no codes; give a file with {', '.join(CODE_SIZES)}.")
    return _finite(_from_fields(content, path), path)


def write_codes(path: str | Path, codes: Codes) -> None:
    """To .npz, .mat, .pkl (a plain dict of arrays, DECA's field names; light (B, 9, 3)) or .npy (the flat 236 numbers). Atomic."""
    path = Path(path)
    if path.suffix not in FORMATS:
        raise UserError(f"{path} has no known ending for codes; choose one of {', '.join(FORMATS)}.")
    fields = codes.numpy()
    with replacing(path, "the codes") as file:
        if path.suffix == ".npz":
            np.savez(file, **fields)  # type: ignore[arg-type]
        elif path.suffix == ".mat":
            from scipy.io import savemat

            savemat(file, fields)
        elif path.suffix == ".pkl":
            pickle.dump(fields, file, protocol=4)
        else:
            np.save(file, codes.flat().detach().cpu().numpy())


def _read_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        return {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    except Exception as error:  # scipy raises many kinds for damaged files
        raise UserError(f"{path} cannot be read as a MATLAB file ({type(error).__name__}); save it as version 7 or earlier.") from None


def _has_fields(content: dict[str, Any]) -> bool:
    return any(alias in content for names in ALIASES.values() for alias in names)


def _from_fields(content: dict[str, Any], path: Path) -> Codes:
    arrays: dict[str, NDArray[np.float32]] = {}
    for name, names in ALIASES.items():
        key = next((alias for alias in names if alias in content), None)
        if key is None:
            continue
        value = np.asarray(content[key])
        if value.dtype.kind not in "iuf" or value.size == 0 or value.size % SIZES[name]:
            raise UserError(f"{key} of {path} has the shape {value.shape}; (B, {SIZES[name]}) numbers are needed.")
        arrays[name] = value.astype(np.float32).reshape(-1, SIZES[name])
    missing = [name for name in CODE_SIZES if name not in arrays and name not in NEUTRAL]
    if missing:
        raise UserError(f"{path} has no {', '.join(missing)}; codes of DECA or EMOCA have {', '.join(CODE_SIZES)}.")
    count = len(arrays["shape"])
    for name, neutral in NEUTRAL.items():
        arrays.setdefault(name, np.tile(neutral(), (count, 1)))
    if any(len(value) != count for value in arrays.values()):
        raise UserError(
            f"the fields of {path} are for different numbers of faces: {', '.join(f'{k} {len(v)}' for k, v in arrays.items())}."
        )
    flat = torch.from_numpy(np.concatenate([arrays[name] for name in CODE_SIZES], 1))
    return Codes.from_flat(flat, torch.from_numpy(arrays["detail"]) if "detail" in arrays else None)


def _finite(codes: Codes, path: Path) -> Codes:
    if not all(bool(np.isfinite(value).all()) for value in codes.numpy().values()):  # type: ignore[call-overload]
        raise UserError(f"{path} holds NaN or infinite numbers.")
    return codes


def _even_light() -> NDArray[np.float32]:
    return light_preset("even").numpy()


# ---- face parameters


def to_parameters(
    codes: Codes,
    head: HeadModel,
    index: int = 0,  # which of the codes
    affine: NDArray[np.floating] | None = None,  # (2, 3) from pixels of DECA's crop to pixels of ours; None: the same crop
    size: int = 256,  # pixels of our crop
    blendshapes: BlendshapeTable | None = None,  # for a head whose first expressions are blendshapes (transfer.py)
    albedo: NDArray[np.floating] | None = None,  # (R, 3) per region; None: the head's default colours
) -> FaceParameters:
    """One face of `codes` as parameters of a FLAME head, with camera and light as our crop needs them.

    With `blendshapes` the expression and jaw are split: what they can explain in [0, 1] is theirs, the rest stays as coefficients.
    Texture and detail codes have no place in face parameters; keep the codes for them.
    """
    face = {name: value[index] for name, value in codes.numpy().items()}  # type: ignore[index]
    default = FaceParameters.default(head)
    shape = _fitted(face["shape"], head.shape_count, "shape")
    pose = codes.head_pose()[index].detach().cpu().numpy().astype(np.float32)
    if blendshapes is None:
        expression = _fitted(face["exp"], head.expression_count, "expression")
    else:
        expression, pose[JAW] = blendshapes.split(face["exp"], pose[JAW])
    root = _joints(head, shape, expression)[GLOBAL]
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) * (size / INPUT_SIZE) if affine is None else affine
    pose, camera, light = move_camera(pose, face["cam"], face["light"], root, matrix, INPUT_SIZE, size, HALF_PIXEL)
    colours = default.albedo if albedo is None else np.asarray(albedo, np.float32)
    return default.with_(shape=shape, expression=expression, pose=pose, camera=camera, light=light, albedo=colours)


def from_parameters(
    parameters: FaceParameters,
    head: HeadModel,
    affine: NDArray[np.floating] | None = None,  # (2, 3) from pixels of DECA's crop to pixels of ours, as in `to_parameters`
    size: int = 256,
    blendshapes: BlendshapeTable | None = None,
    like: Codes | None = None,  # where texture and detail codes come from; None: zeros, and no detail
) -> Codes:
    """Parameters of a FLAME head as DECA's codes (B = 1): the inverse of `to_parameters`.

    DECA has no neck and no eyes: the whole head gets the turn of neck and global joint together, and the camera shifts so that the face stays where
    it is in the picture (the bust turns along). The gaze is lost. See `losses`.
    """
    pose = parameters.pose.astype(np.float32).copy()
    joints = _joints(head, parameters.shape, parameters.expression)
    root, arm = joints[GLOBAL], joints[NECK] - joints[GLOBAL]
    body, neck = to_matrix(pose[GLOBAL]), to_matrix(pose[NECK])
    pose[GLOBAL] = to_axis_angle(body @ neck)
    own_camera = parameters.camera + np.array([0.0, *(body @ (arm - neck @ arm))[:2]], np.float32)
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) * (size / INPUT_SIZE) if affine is None else np.asarray(affine, np.float64)
    inverse = np.concatenate([np.linalg.inv(matrix[:, :2]), -np.linalg.inv(matrix[:, :2]) @ matrix[:, 2:]], 1)
    inverse[:, 2] -= HALF_PIXEL  # to DECA's pixels
    pose, camera, light = move_camera(pose, own_camera, parameters.light, root, inverse, size, INPUT_SIZE)
    expression, jaw = (parameters.expression, pose[JAW]) if blendshapes is None else blendshapes.join(parameters.expression, pose[JAW])
    tex = np.zeros(CODE_SIZES["tex"], np.float32) if like is None else like.tex[0].detach().cpu().numpy()
    parts = {
        "shape": _fitted(parameters.shape, CODE_SIZES["shape"], "shape"),
        "tex": tex,
        "exp": _fitted(expression, CODE_SIZES["exp"], "expression"),
        "pose": np.concatenate([pose[GLOBAL], jaw]),
        "cam": camera,
        "light": light.reshape(-1),
    }
    flat = np.concatenate([parts[name] for name in CODE_SIZES]).astype(np.float32)
    return Codes.from_flat(torch.from_numpy(flat)[None], None if like is None or like.detail is None else like.detail[:1])


def losses(parameters: FaceParameters) -> list[str]:
    """What DECA's codes cannot hold of these parameters, in words; empty if nothing."""
    out = []
    if np.abs(parameters.pose[NECK]).max() > 1e-6:
        out.append("the neck's turn against the bust (the whole head gets it)")
    if np.abs(parameters.pose[EYE_LEFT:]).max() > 1e-6:
        out.append("the gaze")
    return out


def _joints(head: HeadModel, shape: NDArray[np.floating], expression: NDArray[np.floating]) -> NDArray[np.float32]:
    """(5, 3): the joints at rest, which follow shape and expression."""
    coefficients = (torch.from_numpy(np.array(values, np.float32))[None].to(head.template) for values in (shape, expression))
    return head.rest_joints(head.neutral(*coefficients))[0].cpu().numpy()


def _fitted(values: Any, count: int, what: str) -> NDArray[np.float32]:
    """`count` coefficients: zeros added, or zeros cut; UserError where numbers that count would be lost."""
    array = np.asarray(values, np.float32)
    if len(array) > count and np.abs(array[count:]).max() > 1e-6:
        raise UserError(f"the {what} has {len(array)} coefficients, but only {count} can be kept and the others are not 0")
    out = np.zeros(count, np.float32)
    out[: min(count, len(array))] = array[:count]
    return out
