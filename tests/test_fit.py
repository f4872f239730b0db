"""Landmarks and pixels to parameters. Round trips on the head model itself, with noise, and one real photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.face.blendshape_network import NAMES
from discontrolface.face.box_qp import solve_box_qp
from discontrolface.face.embeddings import LandmarkEmbedding
from discontrolface.face.fit import LandmarkFit, fit_landmarks, fit_many, landmark_error, read_face
from discontrolface.face.fit_expression import calibration
from discontrolface.face.fit_priors import NOT_FITTED, coefficient_priors
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.landmark_basis import LandmarkBasis
from discontrolface.face.landmark_response import as_detected, response
from discontrolface.face.light_fit import fit_light
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.cameras import ndc_to_pixels, project
from discontrolface.geometry.rotations import head_rotation, to_axis_angle
from discontrolface.render.light_presets import LIGHT_PRESETS
from discontrolface.render.shade import mean_face_shading
from discontrolface.render.snapshot import render_snapshot

ASTRONAUT = example_photo()
SIZE = 256


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.open()


@pytest.fixture(scope="module")
def basis(head: HeadModel) -> LandmarkBasis:
    return LandmarkBasis.of(head)


def posed(face: FaceParameters, yaw: float, pitch: float, roll: float) -> FaceParameters:
    """The turn in the global joint, as the fit gives it, and the face in the middle of the crop."""
    pose = face.pose.copy()
    pose[0] = to_axis_angle(head_rotation(yaw, pitch, roll))
    return face.with_(pose=pose)


def centred(face: FaceParameters, head: HeadModel) -> FaceParameters:
    tensors = face.tensors()
    middle = head(tensors["shape"], tensors["expression"], tensors["pose"]).landmarks_2d[0].mean(0).numpy()
    return face.with_(camera=np.array([8.0, -middle[0], -middle[1]]))


def seen(face: FaceParameters, head: HeadModel, rng: np.random.Generator | None = None, size: int = SIZE) -> np.ndarray:
    """Landmarks (468, 3) in pixels of the crop, half a pixel of 256 off, their depth three; exact without rng."""
    tensors = face.tensors()
    ndc = project(head(tensors["shape"], tensors["expression"], tensors["pose"]).landmarks_2d, tensors["camera"])
    points = torch.cat([ndc_to_pixels(ndc, size, size), -ndc[..., 2:] * size / 2], -1)[0].numpy().astype(np.float64)
    return points if rng is None else points + rng.normal(size=points.shape) * np.array([0.5, 0.5, 3.0]) * size / 256


def as_face(fit: LandmarkFit, like: FaceParameters) -> FaceParameters:
    return like.with_(shape=fit.shape, expression=fit.expression, pose=fit.pose, camera=fit.camera)


# ---- the solver


@pytest.mark.parametrize("seed", range(8))
def test_box_qp_is_scipys_bounded_least_squares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(40, 25)), rng.normal(size=40) * 3
    low = np.where(rng.random(25) < 0.6, 0.0, -np.inf)
    high = np.where(rng.random(25) < 0.5, low + rng.random(25), np.inf)
    high[~np.isfinite(high)] = np.inf
    expected = lsq_linear(a, b, (low, high), tol=1e-14).x
    found = solve_box_qp(a.T @ a, a.T @ b, low, high, rng.normal(size=25))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert ((found >= low) & (found <= high)).all()


def test_box_qp_holds_a_variable_whose_bounds_meet() -> None:
    found = solve_box_qp(np.eye(3), np.array([1.0, 2.0, 3.0]), np.array([-9.0, 0.5, -9.0]), np.array([9.0, 0.5, 2.0]), np.zeros(3))
    np.testing.assert_allclose(found, [1.0, 0.5, 2.0])


def test_prior_is_convex(head: HeadModel) -> None:
    priors = coefficient_priors(head.shape_count, head.expression_count, head.expression_names)
    np.testing.assert_allclose(priors.precision, priors.precision.T)
    assert np.linalg.eigvalsh(priors.precision).min() > -1e-9


# ---- geometry


def test_what_the_fit_says_is_what_the_model_draws(head: HeadModel, basis: LandmarkBasis) -> None:
    rng = np.random.default_rng(0)
    start = FaceParameters.default(head).with_(shape=rng.normal(size=80) * 0.8).edit(expression={"jawOpen": 0.5})
    face = centred(posed(start, 20, -10, 5), head)
    points = seen(face, head, rng)
    fit = fit_landmarks(points, basis, SIZE)
    np.testing.assert_allclose(seen(as_face(fit, face), head)[:, :2], fit.landmarks, atol=0.05)
    distance = np.linalg.norm(fit.landmarks - points[:, :2], axis=1)
    assert fit.report.mean_pixels == pytest.approx(distance.mean(), rel=1e-4)
    assert fit.report.worst_pixels == pytest.approx(distance.max(), rel=1e-4)
    assert fit.report.mean_pixels < 1.1  # half a pixel of noise a coordinate is 0.63 on average
    assert fit.expression.min() >= 0
    assert fit.expression.max() <= 1
    assert all(fit.expression[head.expression_names.index(name)] == 0 for name in NOT_FITTED)
    np.testing.assert_array_equal(fit.pose[1:], 0)  # all in the global joint


def test_round_trip(head: HeadModel, basis: LandmarkBasis) -> None:
    """16 faces of unknown people: yaw within 1, pitch 2, roll 0.3 degrees on average; what opens and closes within 0.1."""
    rng = np.random.default_rng(1)
    start = FaceParameters.default(head)
    angles, actions = [], []
    for _ in range(16):
        asked = {
            name: float(rng.uniform(0.2, 1)) for name in rng.choice(["jawOpen", "smile", "blink", "pucker", "browsUp"], 2, replace=False)
        }
        face = start.with_(shape=(rng.normal(size=80) * 0.8).clip(-3, 3)).edit(expression=asked)
        face = centred(posed(face, rng.uniform(-35, 35), rng.uniform(-20, 20), rng.uniform(-20, 20)), head)
        read = as_face(fit_landmarks(seen(face, head, rng), basis, SIZE), face)
        angles.append([read.yaw - face.yaw, read.pitch - face.pitch, read.roll - face.roll])
        true, got = face.expression_dict(), read.expression_dict()
        actions.append(
            [got[name] - true[name] for name in ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight")]
        )
    assert (np.abs(angles).mean(0) < (1.0, 2.0, 0.3)).all()
    assert (np.abs(angles).max(0) < (3.0, 6.0, 1.0)).all()
    assert (np.abs(actions).mean(0) < 0.1).all()
    assert (np.abs(actions).max(0) < 0.3).all()


def test_a_known_person_is_read_closely(head: HeadModel, basis: LandmarkBasis) -> None:
    """Identity fixed, offsets of the first reading given: angles within 1 degree, actions within 0.1."""
    rng = np.random.default_rng(2)
    start = posed(FaceParameters.default(head).with_(shape=rng.normal(size=80) * 0.8), 4, -3, 2)
    quirks = rng.normal(size=(468, 3)) * 0.001  # a millimetre that the model does not know of
    quirks[:, 2] = 0

    def picture(face: FaceParameters) -> np.ndarray:
        pixels = quirks @ head_rotation(face.yaw, face.pitch, face.roll).T * face.camera[0] * SIZE / 2
        return seen(face, head, rng) + pixels * [1, -1, 0]

    start = centred(start, head)
    first = fit_landmarks(picture(start), basis, SIZE)
    for change in (
        {"yaw": 15},
        {"pitch": 10},
        {"expression": {"jawOpen": 0.6}},
        {"expression": {"smile": 0.8}},
        {"expression": {"blink": 1}},
    ):
        face = start.edit(**change)
        read = as_face(fit_landmarks(picture(face), basis, SIZE, shape=first.shape, offsets=first.report.offsets), face)
        before = as_face(first, face)
        np.testing.assert_array_equal(read.shape, first.shape)
        turned = np.subtract((read.yaw, read.pitch, read.roll), (before.yaw, before.pitch, before.roll))
        asked = np.subtract((face.yaw, face.pitch, face.roll), (start.yaw, start.pitch, start.roll))
        np.testing.assert_allclose(turned, asked, atol=1.0)
        for name, value in change.get("expression", {}).items():
            names = {"smile": "mouthSmile", "blink": "eyeBlink"}
            sides = [names[name] + side for side in ("Left", "Right")] if name in names else [name]
            for action in sides:
                assert read.expression_dict()[action] - before.expression_dict()[action] == pytest.approx(value, abs=0.1)


def test_the_size_of_the_picture_does_not_matter(head: HeadModel, basis: LandmarkBasis) -> None:
    face = centred(posed(FaceParameters.default(head).edit(expression={"smile": 0.5}), 10, 5, 0), head)
    small = fit_landmarks(seen(face, head, np.random.default_rng(0)), basis, 256)
    large = fit_landmarks(seen(face, head, np.random.default_rng(0), 512), basis, 512)
    np.testing.assert_allclose(large.expression, small.expression, atol=1e-4)
    np.testing.assert_allclose(large.camera, small.camera, atol=1e-4)
    assert large.report.mean_percent == pytest.approx(small.report.mean_percent, rel=1e-3)
    assert large.report.mean_pixels == pytest.approx(2 * small.report.mean_pixels, rel=1e-3)


def test_several_faces_at_once(head: HeadModel, basis: LandmarkBasis) -> None:
    rng = np.random.default_rng(3)
    faces = [centred(posed(FaceParameters.default(head), yaw, 0, 0), head) for yaw in (-10, 0, 20)]
    points = np.stack([seen(face, head, rng) for face in faces])
    for one, alone in zip(fit_many(points, head, SIZE), points, strict=True):
        np.testing.assert_array_equal(one.expression, fit_landmarks(alone, basis, SIZE).expression)
    known = fit_many(points, head, SIZE, shape=np.zeros(80))
    assert all((fit.shape == 0).all() for fit in known)


def test_a_head_without_names_opens_its_jaw(head: HeadModel) -> None:
    """As FLAME: expression coefficients without bounds, and the mouth opens by the jaw joint."""
    bare = HeadModel(
        template=head.template.numpy(),
        faces=head.faces,
        shape_dirs=head.shape_dirs.numpy().reshape(80, -1, 3)[:20],
        expression_dirs=head.expression_dirs.numpy().reshape(52, -1, 3)[:20] * 0.3,
        joint_regressor=head.joint_regressor.numpy(),
        weights=head.weights.numpy(),
        parents=head.parents,
        embedding=head.embedding,
        name="bare",
    )
    rng = np.random.default_rng(4)
    for jaw in (0, 10, 20):
        face = FaceParameters.default(bare).with_(expression=rng.normal(size=20) * 0.5).edit(jaw=jaw)
        face = centred(posed(face, 15, 5, 0), bare)
        fit = fit_landmarks(seen(face, bare, rng), bare, SIZE)
        read = as_face(fit, face)
        assert read.jaw == pytest.approx(jaw, abs=1.5)
        assert read.yaw == pytest.approx(15, abs=1.5)
        np.testing.assert_allclose(seen(read, bare)[:, :2], fit.landmarks, atol=0.05)


# ---- eyes


def irises(face: FaceParameters, head: HeadModel) -> np.ndarray:
    """(2, 5, 2) pixels: where the gaze meets the eyeballs; only the centres are used."""
    tensors = face.tensors()
    out = head(tensors["shape"], tensors["expression"], tensors["pose"])
    radius = LandmarkBasis.of(head).eye_radius * 0.9
    centres = out.joints[:, 3:] + out.rotations[:, 3:, :, 2] * radius
    return ndc_to_pixels(project(centres, tensors["camera"]), SIZE, SIZE)[0].numpy()[:, None].repeat(5, 1)


@pytest.mark.parametrize("gaze", [(0, 0), (20, 0), (-15, 10), (0, -15)])
def test_gaze_is_read_and_the_lids_follow(head: HeadModel, basis: LandmarkBasis, gaze: tuple[float, float]) -> None:
    face = centred(posed(FaceParameters.default(head), 12, -5, 4).edit(gaze=gaze), head)
    read = as_face(fit_landmarks(seen(face, head, np.random.default_rng(0)), basis, SIZE, irises(face, head)), face)
    assert read.gaze == pytest.approx(gaze, abs=3)
    looks = {name: value for name, value in read.edit(gaze=read.gaze).expression_dict().items() if name.startswith("eyeLook")}
    assert {name: value for name, value in read.expression_dict().items() if name.startswith("eyeLook")} == pytest.approx(looks, abs=1e-5)


def test_closed_eyes_look_nowhere(head: HeadModel, basis: LandmarkBasis) -> None:
    face = centred(FaceParameters.default(head).edit(expression={"blink": 1}), head)
    fit = fit_landmarks(seen(face, head), basis, SIZE, irises(face.edit(gaze=(20, -20)), head))
    assert as_face(fit, face).gaze == (0, 0)


def network_says(**values: float) -> np.ndarray:
    """(52,) what the network says of a face at rest, and of these blendshapes in full more by `slope`."""
    out = np.zeros(len(NAMES), np.float32)
    for i, name in enumerate(NAMES):
        row = calibration(name)
        if row is not None:
            out[i] = row.neutral + row.slope * values.get(name, 0.0)
    return out


@pytest.mark.parametrize("name", ["mouthSmileLeft", "jawOpen", "eyeBlinkRight"])
def test_the_network_moves_the_fit_and_the_landmarks_hold_it(head: HeadModel, basis: LandmarkBasis, name: str) -> None:
    """Landmarks of a face at rest and a network that sees a blendshape: the reading lies between; the other way round too."""
    rest = centred(FaceParameters.default(head), head)
    full = centred(FaceParameters.default(head).edit(expression={name: 0.8}), head)

    def read(face: FaceParameters, network: np.ndarray | None) -> float:
        fit = fit_landmarks(seen(face, head), basis, SIZE, blendshapes=network)
        return as_face(fit, face).blendshape(name)

    alone = read(full, None)
    assert 0.03 < read(rest, network_says(**{name: 0.8})) < 0.75
    assert read(full, network_says()) < alone - 0.05
    assert abs(read(full, network_says(**{name: 0.8})) - 0.8) < abs(alone - 0.8) + 0.03


def test_detected_landmarks_show_a_share_of_what_moves(head: HeadModel, basis: LandmarkBasis) -> None:
    """Landmarks that follow lids and brows by their share only are read as the whole, and so are jaw and pushed lips; a smile is taken as it is."""
    rest, asked = (
        centred(FaceParameters.default(head), head),
        {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0, "browInnerUp": 1.0, "jawOpen": 0.5, "mouthSmileLeft": 0.5, "mouthSmileRight": 0.5},
    )
    shares = {name: value * response(name) for name, value in asked.items()}
    face = seen(rest.edit(expression=shares), head)  # the head of one shape is linear in each of its blendshapes
    first = fit_landmarks(seen(rest, head), as_detected(basis), SIZE)
    exact, detected = (fit_landmarks(face, b, SIZE, shape=first.shape) for b in (basis, as_detected(basis)))
    names = list(basis.expression_names)
    for name in ("eyeBlinkLeft", "eyeBlinkRight", "browInnerUp", "jawOpen"):
        k = names.index(name)
        assert detected.expression[k] == pytest.approx(exact.expression[k] / response(name), rel=0.2)
    smile = names.index("mouthSmileLeft")
    assert response("jawOpen") < response("mouthSmileLeft") == 1.0
    assert detected.expression[smile] == pytest.approx(exact.expression[smile], abs=0.05)


def test_a_network_that_sees_nothing_leaves_a_neutral_face_neutral(head: HeadModel, basis: LandmarkBasis) -> None:
    rest = centred(FaceParameters.default(head), head)
    fit = fit_landmarks(seen(rest, head), basis, SIZE, blendshapes=network_says())
    assert max(v for n, v in as_face(fit, rest).expression_dict().items() if not n.startswith("eyeLook")) < 0.1


def test_the_networks_habits_with_a_person_cancel(head: HeadModel, basis: LandmarkBasis) -> None:
    """A network that takes a person's brows for raised says so of every photo; a known person's second reading does not."""
    rest = centred(FaceParameters.default(head), head)
    habit = network_says(browInnerUp=2.0, browDownLeft=1.0, mouthSmileLeft=0.4)
    first = fit_landmarks(seen(rest, head), basis, SIZE, blendshapes=habit)
    offsets = first.report.blendshape_offsets
    again = fit_landmarks(
        seen(rest, head), basis, SIZE, shape=first.shape, offsets=first.report.offsets, blendshapes=habit, blendshape_offsets=offsets
    )
    np.testing.assert_allclose(again.expression, first.expression, atol=0.1)


# ---- errors


def test_landmark_error() -> None:
    points = np.zeros((468, 2))
    points[:, 0] = np.linspace(0, 100, 468)  # 100 pixels wide
    moved = points + np.array([0, 3])
    assert landmark_error(moved, points) == pytest.approx((3, 3, 3))


def test_bad_landmarks_are_refused(head: HeadModel) -> None:
    with pytest.raises(UserError, match="468"):
        fit_landmarks(np.zeros((68, 2)), head, SIZE)
    with pytest.raises(UserError, match="not finite or all in one place"):
        fit_landmarks(np.zeros((468, 2)), head, SIZE)
    with pytest.raises(UserError, match="known shape"):
        fit_landmarks(np.random.default_rng(0).random((468, 2)), head, SIZE, shape=np.zeros(3))
    with pytest.raises(UserError, match="crop"):
        read_face(np.zeros((5, 5)), np.zeros((468, 2)), head)
    bare = HeadModel(
        np.zeros((3, 3)), np.array([[0, 1, 2]]), np.zeros((1, 3, 3)), np.zeros((1, 3, 3)), np.zeros((5, 3)), np.zeros((3, 5)), [-1]
    )
    with pytest.raises(UserError, match="no landmark embedding"):
        LandmarkBasis.of(bare)
    bare.embedding = LandmarkEmbedding(torch.zeros(1, dtype=torch.long), torch.ones(1, 3) / 3)
    with pytest.raises(UserError, match="must be"):
        fit_landmarks(np.zeros((2, 2)), bare, SIZE)


# ---- light


def drawn(face: FaceParameters, head: HeadModel) -> np.ndarray:
    """(256, 256, 3) in [0, 1]: the head in its colours under its light, on grey."""
    tensors = face.tensors()
    vertices = head(tensors["shape"], tensors["expression"], tensors["pose"]).vertices
    albedo = tensors["albedo"][:, head.region.astype(int)]
    snapshot = render_snapshot(vertices, head.faces_tensor, tensors["camera"], tensors["light"], albedo, SIZE, ("lambertian",))
    picture = (snapshot.image[0].permute(1, 2, 0).numpy() + 1) / 2
    return np.where(snapshot.mask[0, 0].numpy()[..., None] > 0, picture, 0.4)


def towards(light: np.ndarray) -> np.ndarray:
    """The main direction of a light in the picture: its linear band's x and y, mean of the channels."""
    return light[1:3].mean(1)


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))))


@pytest.mark.parametrize("preset", sorted(set(LIGHT_PRESETS) - {"even", "front", "rim"}))
def test_light_is_read_back(head: HeadModel, preset: str) -> None:
    """Direction in the picture within 10 degrees, strength within 30 %, colour of the skin within 10 %."""
    rng = np.random.default_rng(5)
    face = FaceParameters.default(head).with_(shape=rng.normal(size=80) * 0.7)
    face = centred(posed(face, rng.uniform(-20, 20), 5, 0), head).edit(light=preset)
    found = fit_light(drawn(face, head), head, face)
    assert angle_between(towards(found.light), towards(face.light)) < 10
    assert np.linalg.norm(towards(found.light)) == pytest.approx(np.linalg.norm(towards(face.light)), rel=0.3)
    np.testing.assert_allclose(found.albedo[0], face.albedo[0], rtol=0.1)
    np.testing.assert_allclose(mean_face_shading(torch.from_numpy(found.light)).numpy(), 1, atol=1e-4)
    again = drawn(face.with_(light=found.light, albedo=found.albedo), head)
    skin = np.kron(found.weights, np.ones((2, 2))) > 0.5
    assert np.abs(again - drawn(face, head))[skin].mean() < 0.02


def test_even_light_has_no_direction(head: HeadModel) -> None:
    face = centred(FaceParameters.default(head), head)
    found = fit_light(drawn(face, head), head, face)
    np.testing.assert_allclose(found.light[1:], 0, atol=0.02)
    np.testing.assert_allclose(found.albedo[0], face.albedo[0], atol=0.01)


def test_hair_spectacles_and_highlights_do_not_turn_the_light(head: HeadModel) -> None:
    face = centred(FaceParameters.default(head), head).edit(light="top-left")
    picture = drawn(face, head)
    centre = seen(face, head)
    brow = int(centre[9, 1])
    picture[: brow - 2, 90:] = (0.16, 0.1, 0.05)  # dark hair over most of the forehead
    for eye in (33, 263):
        x, y = (int(v) for v in centre[eye, :2])
        picture[y - 12 : y + 12, x - 3 : x + 3] = 0.02  # frames
    tip = centre[205, :2].astype(int)
    picture[tip[1] - 5 : tip[1] + 5, tip[0] - 5 : tip[0] + 5] = 1  # a highlight on a cheek
    found = fit_light(picture, head, face)
    assert angle_between(towards(found.light), towards(face.light)) < 15
    np.testing.assert_allclose(found.albedo[0], face.albedo[0], rtol=0.12)


def test_light_of_a_face_out_of_the_picture_is_even(head: HeadModel) -> None:
    face = FaceParameters.default(head).with_(camera=[7.0, 5.0, 5.0])
    found = fit_light(np.full((64, 64, 3), 0.5), head, face)
    np.testing.assert_array_equal(found.light[1:], 0)
    assert np.isfinite(found.albedo).all()


# ---- a photo


def test_a_real_photo(head: HeadModel) -> None:
    """skimage's astronaut: landmark error at most 1 % of the face width; she smiles, looks at us, and is lit from the front."""
    from PIL import Image

    from discontrolface.face.crop import make_crop
    from discontrolface.face.landmarks import FaceLandmarker

    photo = np.asarray(Image.open(ASTRONAUT).convert("RGB"))
    landmarks = FaceLandmarker().find_face(photo)
    assert landmarks.iris is not None
    crop = make_crop(photo, landmarks, SIZE)
    points = np.concatenate([crop.to_crop(landmarks.points[:, :2]), landmarks.points[:, 2:] * crop.scale], 1)
    picture = np.asarray(crop.image, np.float32) / 255
    iris, network = crop.to_crop(landmarks.iris), landmarks.blendshapes
    face, report = read_face(picture, points, head, iris, blendshapes=network)
    assert report.mean_percent <= 1.0
    assert abs(face.yaw) < 8
    assert abs(face.pitch) < 8
    assert abs(face.roll) < 4
    assert max(map(abs, face.gaze)) < 8
    actions = face.expression_dict()
    assert min(actions["mouthSmileLeft"], actions["mouthSmileRight"]) > 0.3
    assert max(actions["eyeBlinkLeft"], actions["eyeBlinkRight"]) < 0.2
    assert face.albedo[0, 0] > face.albedo[0, 1] > face.albedo[0, 2] > 0.3  # the colour of skin
    assert face.light[3].mean() > 0.2

    known = {"shape": face.shape, "offsets": report.offsets, "blendshape_offsets": report.blendshape_offsets}
    again = read_face(picture, points, head, iris, blendshapes=network, **known)
    assert again.report.mean_percent < 0.2  # with its own offsets the picture is met
    np.testing.assert_allclose(again.parameters.expression, face.expression, atol=0.2)
    assert again.parameters.yaw == pytest.approx(face.yaw, abs=1.0)
