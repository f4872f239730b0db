"""The head model: rotations, skinning, joints, landmarks. Checked against closed forms, finite differences and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from discontrolface.common.errors import UserError
from discontrolface.face.blendshape_gains import gain
from discontrolface.face.embeddings import LandmarkEmbedding
from discontrolface.face.heads.base import HeadModel, rodrigues
from discontrolface.face.joints import JOINTS


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.open()


def small_head(pose_correctives: bool) -> HeadModel:
    """A made-up head of 12 vertices, in float64."""
    rng = np.random.default_rng(0)
    weights = rng.random((12, 5))
    regressor = rng.random((5, 12))
    head = HeadModel(
        template=rng.normal(size=(12, 3)),
        faces=rng.permutation(12).reshape(4, 3),
        shape_dirs=rng.normal(size=(3, 12, 3)),
        expression_dirs=rng.normal(size=(2, 12, 3)),
        joint_regressor=regressor / regressor.sum(1, keepdims=True),
        weights=weights / weights.sum(1, keepdims=True),
        parents=[-1, 0, 1, 1, 1],
        pose_dirs=rng.normal(size=(36, 12, 3)) if pose_correctives else None,
        embedding=LandmarkEmbedding(torch.tensor([0, 3]), torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]], dtype=torch.float64)),
    )
    return head.double()


def test_rodrigues_is_scipys() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 3)) * np.geomspace(1e-9, 2, 20)[:, None]
    expected = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(rodrigues(torch.from_numpy(vectors)).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.7])
def test_rodrigues_gradient(size: float) -> None:
    vector = torch.tensor([[0.3, -0.5, 0.8]], dtype=torch.float64) * size
    assert torch.autograd.gradcheck(rodrigues, (vector.requires_grad_(),), atol=1e-5)


@pytest.mark.parametrize("pose_correctives", [False, True])
def test_skinning_gradient(pose_correctives: bool) -> None:
    head = small_head(pose_correctives)
    generator = torch.Generator().manual_seed(0)
    inputs = tuple(
        torch.randn(2, *size, generator=generator, dtype=torch.float64).mul_(0.4).requires_grad_() for size in ((3,), (2,), (5, 3))
    )

    def outputs(shape: torch.Tensor, expression: torch.Tensor, pose: torch.Tensor) -> tuple[torch.Tensor, ...]:
        out = head(shape, expression, pose)
        return out.vertices, out.landmarks_2d, out.joints

    assert torch.autograd.gradcheck(outputs, inputs)


def test_skinning_is_the_weighted_sum_of_rigid_motions() -> None:
    head = small_head(False)
    pose = np.random.default_rng(1).normal(size=(5, 3)) * 0.5
    out = head(pose=torch.from_numpy(pose)[None])
    turns = Rotation.from_rotvec(pose).as_matrix()
    rest = (head.joint_regressor @ head.template).numpy()
    world = []  # 4x4 motions, child after parent
    for j, parent in enumerate(head.parents):
        local = np.eye(4)
        local[:3, :3] = turns[j]
        local[:3, 3] = rest[j] - (rest[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    vertices = head.template.numpy()
    expected = np.zeros_like(vertices)
    for j in range(5):
        expected += head.weights.numpy()[:, j : j + 1] * ((vertices - rest[j]) @ world[j][:3, :3].T + world[j][:3, 3])
    np.testing.assert_allclose(out.vertices[0].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(out.joints[0].numpy(), [m[:3, 3] for m in world], atol=1e-6)
    np.testing.assert_allclose(out.rotations[0].numpy(), [m[:3, :3] for m in world], atol=1e-6)


def test_rest_is_the_template(head: HeadModel) -> None:
    out = head(pose=torch.zeros(1, 5, 3))
    torch.testing.assert_close(out.vertices[0], head.template, atol=1e-6, rtol=0)
    torch.testing.assert_close(head().vertices, out.vertices, atol=0, rtol=0)


def test_coefficients_are_linear(head: HeadModel) -> None:
    shape = torch.zeros(1, head.shape_count)
    shape[0, 3] = 2
    moved = head(shape=shape).vertices[0] - head.template
    torch.testing.assert_close(moved, 2 * head.shape_dirs[3].reshape(-1, 3), atol=1e-6, rtol=0)
    fewer = head(shape=shape[:, :10]).vertices
    torch.testing.assert_close(fewer, head(shape=shape).vertices, atol=1e-6, rtol=0)


def test_neck_turns_the_head_rigidly_and_leaves_the_bust(head: HeadModel) -> None:
    pose = torch.zeros(1, 5, 3)
    pose[0, 1] = torch.tensor([0.1, 0.5, -0.2])
    out = head(pose=pose)
    rotation, pivot = rodrigues(pose[0, 1]), out.joints[0, 1]
    rigid = (head.template - pivot) @ rotation.T + pivot
    on_head = head.weights[:, 1:].sum(1) > 0.9999
    on_bust = head.weights[:, 0] > 0.99
    assert on_head.sum() > 2000
    assert on_bust.sum() > 50
    torch.testing.assert_close(out.vertices[0][on_head], rigid[on_head], atol=1e-4, rtol=0)
    torch.testing.assert_close(out.vertices[0][on_bust], head.template[on_bust], atol=3e-3, rtol=0)  # a hundredth of the head's motion
    torch.testing.assert_close(out.rotations[0, 1], rotation)


def test_joints_of_the_open_head(head: HeadModel) -> None:
    assert JOINTS == ("global", "neck", "jaw", "eye_left", "eye_right")
    assert head.parents == (-1, 0, 1, 1, 1)
    rest = head().joints[0]
    assert rest[3, 0] > 0.02  # the subject's left eye lies at the image's right
    torch.testing.assert_close(rest[3] * torch.tensor([-1.0, 1, 1]), rest[4], atol=1e-3, rtol=0)
    assert rest[0, 1] < rest[1, 1] < rest[2, 1] < rest[3, 1]  # from the bottom up
    for joint in (3, 4):  # an eye joint is the centre of its eyeball
        ball = head.template[head.weights[:, joint] > 0.5]
        distance = (ball - rest[joint]).norm(dim=1)
        assert distance.std() < 0.02 * distance.mean()


@pytest.mark.parametrize("edges", [((105, 66, 107), (52, 65, 55)), ((334, 296, 336), (282, 295, 285))], ids=["right", "left"])
def test_a_raised_brow_keeps_its_thickness(head: HeadModel, edges: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """MediaPipe's landmarks on the edges of a brow (but for its thin tail): it was drawn as a line, at 0.58 to 0.66 of its height."""
    raised = torch.zeros(1, len(head.expression_names))
    for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"):
        raised[0, head.expression_names.index(name)] = gain("open", name)
    upper, lower = (list(edge) for edge in edges)
    rest, up = (head.landmarks(head(expression=e).vertices)[0, :, 1] for e in (torch.zeros_like(raised), raised))
    torch.testing.assert_close((up[upper] - up[lower]) / (rest[upper] - rest[lower]), torch.ones(3), atol=0.12, rtol=0)
    assert (up[lower] - rest[lower]).min() > 0.008, "metres: it does rise"


def test_actions_move_what_they_name(head: HeadModel) -> None:
    def moved(name: str) -> torch.Tensor:
        return head.expression_dirs[head.expression_names.index(name)].reshape(-1, 3)

    lips = torch.from_numpy(head.region_mask("lips"))
    left = head.template[:, 0] > 0.02
    assert moved("jawOpen")[lips, 1].min() < -0.02  # the lower lip goes down 2 cm or more
    blink = moved("eyeBlinkLeft")
    assert blink[left, 1].min() < -0.005
    other_lid = torch.from_numpy(head.region_mask("eyelids")) & (head.template[:, 0] < -0.01)
    assert blink[other_lid].abs().max() < 1e-3
    assert moved("mouthSmileLeft")[lips & left].mean(0)[1] > 0.002  # the corner goes up


def test_batches_and_landmarks(head: HeadModel) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = torch.randn(3, head.shape_count, generator=generator)
    pose = 0.2 * torch.randn(3, 5, 3, generator=generator)
    together = head(shape=shape, pose=pose)
    alone = head(shape=shape[1:2], pose=pose[1:2])
    torch.testing.assert_close(together.vertices[1:2], alone.vertices, atol=1e-5, rtol=0)
    assert together.landmarks_2d.shape == (3, 468, 3)
    assert head.embedding is not None
    corner = head.faces[int(head.embedding.triangles[7])]
    expected = (together.vertices[2, corner.astype(int)] * head.embedding.barycentric[7][:, None]).sum(0)
    torch.testing.assert_close(together.landmarks_2d[2, 7], expected, atol=1e-6, rtol=0)


def test_wrong_sizes_are_named(head: HeadModel) -> None:
    with pytest.raises(UserError, match="shape must be"):
        head(shape=torch.zeros(1, 999))
    with pytest.raises(UserError, match="pose must be"):
        head(pose=torch.zeros(1, 4, 3))
    with pytest.raises(UserError, match="unknown region 'hat'"):
        head.region_mask("hat")
