"""Landmarks to shape, expression, pose and camera: bounded, regularised Gauss-Newton on a linear head model.

    minimise  sum_l w_l |seen_l - (s R (p_l + sum_i x_i d_il) + t)|^2 / noise^2  +  sum_i (x_i - b_i)^2 / noise_i^2  +  prior(x),   low <= x <= high

over the coefficients x (shape, then expression), the rotation R, the scale s and the shift t, all together. b is the expression as the
blendshape network sees it (fit_expression.py). With neck, jaw and eyes at rest the skinning is one rigid motion of the landmarks, so p and d
are plain arrays (landmark_basis.py). A step is a quadratic problem in a box with some 140 unknowns (box_qp.py). All of the head's turn goes
to the `global` joint; edits then turn the neck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face.box_qp import solve_box_qp
from discontrolface.face.colours import region_colours
from discontrolface.face.eye_look import apply_gaze
from discontrolface.face.fit_expression import network_expression, observed
from discontrolface.face.fit_priors import DEPTH_NOISE, INDEPENDENT, NOISE, Priors, coefficient_priors, landmark_weights
from discontrolface.face.gaze import EyeView, eye_shift, read_gaze
from discontrolface.face.landmark_basis import LandmarkBasis
from discontrolface.face.landmark_response import as_detected
from discontrolface.face.landmark_sets import LEFT_EYE, RIGHT_EYE
from discontrolface.face.layout import EYE_LEFT, GLOBAL, JAW
from discontrolface.face.light_fit import fit_light
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.cameras import project
from discontrolface.geometry.rotations import head_rotation, to_axis_angle, to_matrix

if TYPE_CHECKING:
    from discontrolface.face.heads.base import HeadModel

Array = NDArray[np.float64]

MAX_ITERATIONS = 25
CONVERGED = 0.02 / 128  # ndc: no landmark moves more than a fiftieth of a pixel of 256
JAW_LIMITS = (-0.05, 0.6)  # radians
JAW_PRECISION = 4.0  # a prior of about 30 degrees


@dataclass(frozen=True)
class FitReport:
    """How well the fitted head meets the landmarks. `mean_percent` is of the face width, see `landmark_error`."""

    mean_pixels: float
    mean_percent: float
    worst_pixels: float
    iterations: int
    offsets: NDArray[np.float32] = field(repr=False)  # (L, 3) model space, metres: seen - fitted, what `fit_landmarks(offsets=)` takes
    blendshape_offsets: NDArray[np.float32] | None = field(default=None, repr=False)  # (E,) what the blendshape network said - fitted


@dataclass(frozen=True)
class LandmarkFit:
    """Geometry of one face in its crop; arrays as in FaceParameters, `landmarks` (L, 2) the fitted ones in pixels."""

    shape: NDArray[np.float32]
    expression: NDArray[np.float32]
    pose: NDArray[np.float32]
    camera: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    report: FitReport


class FaceReading(NamedTuple):
    """What `read_face` returns."""

    parameters: FaceParameters
    report: FitReport


def landmark_error(fitted: NDArray[np.floating], seen: NDArray[np.floating]) -> tuple[float, float, float]:
    """(mean in pixels, mean in per cent of the face width, worst in pixels) of landmarks (L, 2 or more) against those seen.

    The face width is the width of the seen points along the line of the eyes (for other landmark sets than the 468, along the picture).
    """
    distance = np.linalg.norm(np.asarray(fitted, np.float64)[:, :2] - np.asarray(seen, np.float64)[:, :2], axis=1)
    return float(distance.mean()), float(100 * distance.mean() / face_width(seen)), float(distance.max())


def measure(parameters: FaceParameters, head: HeadModel, landmarks: NDArray[np.floating], size: int) -> FitReport:
    """The report of parameters that were found in another way (a regressor): how well do they meet landmarks (L, 2 or more) in crop pixels?"""
    p = parameters.tensors()
    with torch.no_grad():
        placed = head(p["shape"], p["expression"], p["pose"]).landmarks_3d
        predicted = project(placed, p["camera"])[0, :, :2].numpy().astype(np.float64)
    seen = np.asarray(landmarks, np.float64)[:, :2]
    offsets = (_to_ndc(seen, size) - predicted) / float(parameters.camera[0]) @ parameters.head_rotation[:2]
    return FitReport(*landmark_error(_to_pixels(predicted, size), seen), 0, offsets.astype(np.float32))


def face_width(points: NDArray[np.floating]) -> float:
    """Width of landmarks (L, 2 or more) along the line of the eyes, from cheek to cheek; in their unit."""
    flat = np.asarray(points, np.float64)[:, :2]
    if len(flat) == 468:
        along = flat[list(LEFT_EYE)].mean(0) - flat[list(RIGHT_EYE)].mean(0)
        across = flat @ (along / max(float(np.hypot(*along)), 1e-9))
    else:
        across = flat[:, 0]
    return float(across.max() - across.min())


def fit_landmarks(
    landmarks: NDArray[np.floating],  # (L, 2 or 3) pixels of the crop; z (smaller is nearer, any zero) steadies the pose
    head: HeadModel | LandmarkBasis,
    size: int | tuple[int, int],  # of the crop in pixels, or (height, width)
    iris: NDArray[np.floating] | None = None,  # (2, 5, 2) pixels, Landmarks.iris; without it the eyes look straight ahead
    shape: NDArray[np.floating] | None = None,  # (S,) the identity if it is known: held
    offsets: NDArray[np.floating] | None = None,  # (L, 3) FitReport.offsets of the person's first reading
    blendshapes: NDArray[np.floating] | None = None,  # (52,) Landmarks.blendshapes; for a head with named blendshapes
    blendshape_offsets: NDArray[np.floating] | None = None,  # (E,) FitReport.blendshape_offsets of the person's first reading
) -> LandmarkFit:
    """Fit a head to one face. Raises UserError for landmarks of another set than the head's, or that are not finite.

    To read an edited picture of a known person, give the `shape` and the offsets of the first reading: what the model cannot follow in
    this face, and the detector's and the network's habits, then cancel, and what is left is what the edit did.
    """
    basis = head if isinstance(head, LandmarkBasis) else LandmarkBasis.of(head)
    if offsets is not None:
        basis = replace(basis, points=basis.points + offsets, corner_rest=basis.corner_rest + np.repeat(offsets, 3, axis=0))
    seen, depth = _checked(landmarks, basis, size)
    priors = coefficient_priors(basis.shape_count, len(basis.dirs) - basis.shape_count, basis.expression_names)
    network = None
    if blendshapes is not None and basis.expression_names:
        network = network_expression(blendshapes, basis.expression_names)
        habits = 0.0 if blendshape_offsets is None else np.asarray(blendshape_offsets, np.float64)
        priors = observed(priors, basis.expression_names, network.values - habits, network.noises)
    state = _State.start(basis, seen, depth)
    if shape is not None:
        if np.shape(shape) != (basis.shape_count,):
            raise UserError(f"the known shape must be ({basis.shape_count},) for head model {basis.name!r}, not {np.shape(shape)}")
        state.x[: basis.shape_count] = shape
        priors.low[: basis.shape_count] = priors.high[: basis.shape_count] = shape
    gaze = (0.0, 0.0)
    _hold_gaze(basis, state, priors, gaze)
    own = basis if shape is None else basis.of_person(np.asarray(shape, np.float64))
    iterations = _iterate(own, state, seen, depth, priors)
    if iris is not None:  # the lids follow the gaze: read it with what is known of the eyes now, then the rest once more
        gaze = _gaze(own, state, seen, _to_ndc(np.asarray(iris, np.float64)[:, 0], size))
        _hold_gaze(basis, state, priors, gaze)
    if shape is None:
        own = basis.of_person(state.x[: basis.shape_count])
    if shape is None or iris is not None:
        iterations += _iterate(own, state, seen, depth, priors)
    return _result(own, state, landmarks, size, gaze, iterations, None if network is None else network.values)


def fit_many(
    landmarks: NDArray[np.floating],  # (B, L, 2 or 3)
    head: HeadModel,
    size: int | tuple[int, int],
    iris: Sequence[NDArray[np.floating] | None] | NDArray[np.floating] | None = None,  # (B, 2, 5, 2)
    shape: NDArray[np.floating] | None = None,  # (S,) or (B, S)
) -> list[LandmarkFit]:
    """`fit_landmarks` for B faces of crops of one size, one after the other (a fit is milliseconds of small matrices)."""
    basis = LandmarkBasis.of(head)
    shapes = [None] * len(landmarks) if shape is None else list(np.broadcast_to(shape, (len(landmarks), basis.shape_count)))
    irises = [None] * len(landmarks) if iris is None else list(iris)
    return [fit_landmarks(points, basis, size, eyes, known) for points, eyes, known in zip(landmarks, irises, shapes, strict=True)]


# ---- the fit itself


@dataclass
class _State:
    """Unknowns: x (n,) coefficients, rotation (3, 3), scale, shift (2,), jaw in radians; and the landmarks they give, predicted (L, 2) ndc."""

    x: Array
    rotation: Array
    scale: float
    shift: Array
    jaw: float
    predicted: Array

    @classmethod
    def start(cls, basis: LandmarkBasis, seen: Array, depth: Array | None) -> _State:
        """The mean head in the nearest scaled rotation. With depth that of three-dimensional points (Umeyama, 1991); else of the affine camera,
        by linear least squares, which may take a head that is turned far to one side for one turned to the other."""
        weights = landmark_weights(len(seen))[:, None]
        centre = (weights * basis.points).sum(0) / weights.sum()
        x = np.zeros(len(basis.dirs))
        if depth is not None:
            target = np.concatenate([seen, depth[:, None]], 1)
            middle = (weights * target).sum(0) / weights.sum()
            u, s, vt = np.linalg.svd((weights * (target - middle)).T @ (basis.points - centre))
            signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
            rotation = (u * signs) @ vt
            scale = max(float((s * signs).sum() / (weights * (basis.points - centre) ** 2).sum()), 1e-6)
            return cls(x, rotation, scale, (middle - scale * (rotation @ centre))[:2], 0.0, np.full_like(seen, np.inf))
        root = np.sqrt(weights)
        design = np.concatenate([basis.points - centre, np.ones((len(seen), 1))], 1)
        affine = np.linalg.lstsq(design * root, seen * root, rcond=None)[0]  # (4, 2)
        u, s, vt = np.linalg.svd(affine[:3].T, full_matrices=False)  # (2, 3)
        rows = u @ vt
        rotation = np.stack([rows[0], rows[1], np.cross(rows[0], rows[1])])
        scale = max(float(s.mean()), 1e-6)
        return cls(x, rotation, scale, affine[3] - scale * (rotation @ centre)[:2], 0.0, np.full_like(seen, np.inf))


def _iterate(basis: LandmarkBasis, state: _State, seen: Array, depth: Array | None, priors: Priors) -> int:
    """Gauss-Newton steps until the landmarks rest; returns how many."""
    trust = landmark_weights(len(seen))
    axes = 2 if depth is None else 3
    target = seen if depth is None else np.concatenate([seen, depth[:, None]], 1)  # (L, axes)
    share = np.array([1.0, 1.0, (NOISE / DEPTH_NOISE) ** 2])[:axes]
    low, high = priors.low, priors.high
    state.x = np.clip(state.x, low, high)
    for iteration in range(1, MAX_ITERATIONS + 1):
        points, dirs, by_jaw = basis.at(state.x, state.jaw)
        view = state.scale * points @ state.rotation.T  # (L, 3), without the shift
        predicted = view[:, :2] + state.shift
        moved = float(np.abs(predicted - state.predicted).max())
        state.predicted = predicted
        if moved < CONVERGED:
            return iteration - 1
        facing = (basis.normals(state.x) @ state.rotation.T)[:, 2]
        weights = trust * np.clip((facing + 0.1) / 0.4, 0.03, 1.0)  # points on the far side of the outline slide along it
        weights = weights * (INDEPENDENT / NOISE**2 * len(seen) / trust.sum())
        if depth is not None:  # where depth starts is not known
            depth_shift = float(weights @ (depth - view[:, 2]) / weights.sum())
            predicted = np.concatenate([predicted, view[:, 2:] + depth_shift], 1)

        # Columns: shift (3; the last does nothing without depth), log scale, turn (3), jaw, coefficients. The turn is about the model's
        # origin, where the shift is measured too.
        x, y, z = view.T
        one, zero = np.ones(len(seen)), np.zeros(len(seen))
        moves = [(one, zero, zero), (zero, one, zero), (zero, zero, one), (x, y, z), (zero, -z, y), (z, zero, -x), (-y, x, zero)]
        axis = state.scale * state.rotation[:axes].T  # (3, axes)
        columns = [np.stack(move[:axes], 1) for move in moves] + [by_jaw @ axis]
        jacobian = np.concatenate([np.stack(columns), dirs @ axis]).reshape(8 + len(dirs), -1)  # (8 + n, L * axes)
        weighted = jacobian * (weights[:, None] * share).reshape(-1)
        hessian = weighted @ jacobian.T
        linear = weighted @ (target - predicted).reshape(-1)

        # Unknowns are steps of the camera and the jaw, and new values of the coefficients.
        linear += hessian[:, 8:] @ state.x
        hessian[8:, 8:] += priors.precision
        linear[8:] -= priors.linear
        hessian[2, 2] += 1.0
        hessian[[4, 5, 6], [4, 5, 6]] += 1.0  # on the step, not on the turn
        hessian[7, 7] += JAW_PRECISION
        linear[7] -= JAW_PRECISION * state.jaw
        jaw_low, jaw_high = (JAW_LIMITS[0] - state.jaw, JAW_LIMITS[1] - state.jaw) if basis.has_jaw_angle else (0.0, 0.0)
        box_low = np.concatenate([[-np.inf] * 3, [-0.5] * 4, [jaw_low], low])
        box_high = np.concatenate([[np.inf] * 3, [0.5] * 4, [jaw_high], high])
        solution = solve_box_qp(hessian, linear, box_low, box_high, np.concatenate([np.zeros(8), state.x]))

        state.shift = state.shift + solution[:2]
        state.scale *= float(np.exp(solution[3]))
        state.rotation = to_matrix(solution[4:7]) @ state.rotation
        state.jaw += float(solution[7])
        state.x = solution[8:]
    return MAX_ITERATIONS


def _gaze(basis: LandmarkBasis, state: _State, seen: Array, iris: Array) -> tuple[float, float]:
    """(yaw, pitch) in degrees from iris centres (2, 2) in ndc."""
    centres = basis.joints(state.x)[EYE_LEFT:] @ state.rotation.T * state.scale  # (2, 3) ndc
    centres[:, :2] += state.shift
    if len(seen) == 468:
        centres[:, :2] += eye_shift(seen - state.predicted)
    blinks = [0.0, 0.0]
    for k, side in enumerate(("Left", "Right")):
        name = f"eyeBlink{side}"
        if name in basis.expression_names:
            blinks[k] = float(state.x[basis.shape_count + basis.expression_names.index(name)])
    return read_gaze(EyeView(centres, basis.eye_radius * state.scale, state.rotation), iris, (1 - blinks[0], 1 - blinks[1]))


def _hold_gaze(basis: LandmarkBasis, state: _State, priors: Priors, gaze: tuple[float, float]) -> None:
    """Set the eyeLook actions that go with a gaze, and hold them there."""
    lids = np.zeros(len(basis.expression_names), np.float32)
    apply_gaze(lids, basis.expression_names, {"Left": gaze, "Right": gaze})
    for i, name in enumerate(basis.expression_names):
        if name.startswith("eyeLook"):
            k = basis.shape_count + i
            state.x[k] = priors.low[k] = priors.high[k] = lids[i]


def _result(
    basis: LandmarkBasis,
    state: _State,
    landmarks: NDArray[np.floating],
    size: int | tuple[int, int],
    gaze: tuple[float, float],
    iterations: int,
    network: Array | None,  # (E,) what the blendshape network says
) -> LandmarkFit:
    pose = np.zeros((5, 3), np.float32)
    pose[GLOBAL] = to_axis_angle(state.rotation)
    pose[JAW, 0] = state.jaw
    pose[EYE_LEFT:] = to_axis_angle(head_rotation(*gaze))
    root = basis.joints(state.x)[GLOBAL]  # the head model turns about its root: v -> R (v - root) + root
    shift = state.shift / state.scale - (root - state.rotation @ root)[:2]
    fitted = _to_pixels(state.predicted, size)
    missing = _to_ndc(np.asarray(landmarks, np.float64)[:, :2], size) - state.predicted
    offsets = missing / state.scale @ state.rotation[:2]
    expression = state.x[basis.shape_count :]
    habits = None if network is None else (network - expression).astype(np.float32)
    mean, percent, worst = landmark_error(fitted, landmarks)
    return LandmarkFit(
        shape=state.x[: basis.shape_count].astype(np.float32),
        expression=expression.astype(np.float32),
        pose=pose,
        camera=np.array([state.scale, *shift], np.float32),
        landmarks=fitted.astype(np.float32),
        report=FitReport(mean, percent, worst, iterations, offsets.astype(np.float32), habits),
    )


def _checked(landmarks: NDArray[np.floating], basis: LandmarkBasis, size: int | tuple[int, int]) -> tuple[Array, Array | None]:
    """Landmarks in ndc (L, 2), and their depth (L,), larger is nearer, if they have one."""
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 2 or points.shape[0] != len(basis.points) or points.shape[1] not in (2, 3):
        raise UserError(f"landmarks must be ({len(basis.points)}, 2 or 3) for head model {basis.name!r}, not {points.shape}")
    if not np.isfinite(points).all() or face_width(points) < 1e-3:
        raise UserError("landmarks are not finite or all in one place; detect them again")
    width = size if isinstance(size, int) else size[1]
    return _to_ndc(points[:, :2], size), -points[:, 2] / width * 2 if points.shape[1] == 3 else None


def _to_ndc(pixels: Array, size: int | tuple[int, int]) -> Array:
    height, width = (size, size) if isinstance(size, int) else size
    return np.stack([pixels[..., 0] / width * 2 - 1, 1 - pixels[..., 1] / height * 2], -1)


def _to_pixels(ndc: Array, size: int | tuple[int, int]) -> Array:
    height, width = (size, size) if isinstance(size, int) else size
    return np.stack([(ndc[..., 0] + 1) / 2 * width, (1 - ndc[..., 1]) / 2 * height], -1)


def read_face(
    crop: NDArray[np.floating],  # (H, W, 3) in [0, 1]
    landmarks: NDArray[np.floating],  # (468, 2 or 3) pixels of the crop; a z is in its pixels too
    head: HeadModel,
    iris: NDArray[np.floating] | None = None,  # (2, 5, 2) pixels of the crop
    *,
    shape: NDArray[np.floating] | None = None,  # (S,) the identity if it is known
    offsets: NDArray[np.floating] | None = None,  # (L, 3) FitReport.offsets of the same person's first reading
    blendshapes: NDArray[np.floating] | None = None,  # (52,) Landmarks.blendshapes
    blendshape_offsets: NDArray[np.floating] | None = None,  # (E,) of the same person's first reading
) -> FaceReading:
    """All parameters of one face from detected landmarks: `fit_landmarks`, then `fit_light`. UserError for landmarks or pictures of another form."""
    picture = np.asarray(crop)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise UserError(f"the crop must be a (height, width, 3) picture in [0, 1], not {picture.shape}")
    basis = as_detected(LandmarkBasis.of(head))
    fit = fit_landmarks(landmarks, basis, picture.shape[:2], iris, shape, offsets, blendshapes, blendshape_offsets)
    face = FaceParameters(
        shape=fit.shape,
        expression=fit.expression,
        pose=fit.pose,
        camera=fit.camera,
        light=np.zeros((9, 3), np.float32),
        albedo=region_colours(head.region_names),
        head=head.name,
        expression_names=head.expression_names,
        measures=head.shape_measures,
    )
    lit = fit_light(picture, head, face)
    return FaceReading(face.with_(light=lit.light, albedo=lit.albedo), fit.report)
