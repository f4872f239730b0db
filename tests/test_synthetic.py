"""Synthetic portraits: seeded, edits that change what they name and nothing else, masks that agree, framing as in FFHQ."""

from __future__ import annotations

import numpy as np
import pytest

from discontrolface.common.errors import UserError
from discontrolface.synthetic.portraits import HELD_OUT, edit_parameters, make_pair, make_scene, random_parameters, render_scene

SIZE = 96


@pytest.fixture(scope="module")
def scene():
    return make_scene(HELD_OUT + 4, detail=0.4)


def test_pairs_follow_from_the_seed_alone():
    first, second, other = make_pair(HELD_OUT, SIZE), make_pair(HELD_OUT, SIZE), make_pair(HELD_OUT + 1, SIZE)
    assert np.array_equal(first.source, second.source)
    assert np.array_equal(first.target, second.target)
    assert first.source_parameters == second.source_parameters
    assert np.abs(first.source - other.source).mean() > 0.05


def test_the_person_does_not_depend_on_the_size():
    """A small picture is the large one made small, within what fewer strands and noise change."""
    large, small = make_pair(HELD_OUT + 3, 192), make_pair(HELD_OUT + 3, 96)
    assert large.target_parameters == small.target_parameters
    shrunk = large.source.reshape(96, 2, 96, 2, 3).mean((1, 3))
    assert np.abs(shrunk - small.source).mean() < 0.03


def test_pictures_and_masks_are_whole():
    for seed in range(HELD_OUT + 10, HELD_OUT + 14):
        pair = make_pair(seed, SIZE)
        for image, masks in ((pair.source, pair.masks), (pair.target, pair.target_masks)):
            assert image.shape == (SIZE, SIZE, 3)
            assert image.dtype == np.float32
            assert image.min() >= 0
            assert image.max() <= 1
            assert image.std() > 0.03  # not blank
            assert np.allclose(masks["head"] + masks["hair"] + masks["background"], 1, atol=1e-5)
            assert (masks["face"] <= masks["head"] + 1e-5).all()
            assert 0.08 < masks["face"].mean() < 0.6


def test_an_edit_keeps_identity_camera_and_bust(scene):
    rng = np.random.default_rng(0)
    before = random_parameters(scene, rng)
    for _ in range(20):
        after = edit_parameters(before, rng)
        assert np.array_equal(after.shape, before.shape)
        assert np.array_equal(after.camera, before.camera)
        assert np.array_equal(after.pose[0], before.pose[0])
        assert np.array_equal(after.albedo, before.albedo)


def test_a_picture_changes_where_the_edit_is(scene):
    """Opening the mouth changes the lower face, and leaves the background to the bit where it is far from the head (no JPEG: tolerance)."""
    before = random_parameters(scene, np.random.default_rng(1)).edit(neutral=True, yaw=0, pitch=0, roll=0)
    after = before.edit(expression={"jawOpen": 0.8})
    a, b = render_scene(scene, before, SIZE), render_scene(scene, after, SIZE)
    change = np.abs(a.image - b.image).mean(2)
    face = a.masks["face"] > 0.5
    rows = np.nonzero(face)[0]
    middle = int(rows.mean())
    assert change[middle:][face[middle:]].mean() > 2 * change[:middle][face[:middle]].mean()
    background = (a.masks["background"] > 0.99) & (b.masks["background"] > 0.99)
    assert change[background].mean() < 0.02


def test_faces_are_framed_as_ffhq_frames_them():
    """Over several people: the face's middle lies near the picture's, its width is a third to two thirds of it."""
    for seed in range(HELD_OUT + 20, HELD_OUT + 26):
        scene = make_scene(seed, detail=0.4)
        frontal = random_parameters(scene, np.random.default_rng(seed)).edit(neutral=True)
        rows, columns = np.nonzero(render_scene(scene, frontal, SIZE).masks["face"] > 0.5)
        assert 0.3 < columns.mean() / SIZE < 0.7
        assert 0.4 < rows.mean() / SIZE < 0.72
        assert 0.25 < np.ptp(columns) / SIZE < 0.75


def test_most_edits_show_and_few_are_wild():
    """At least nine in ten targets differ from their source by more than the noise; none is another picture."""
    changes = []
    for seed in range(HELD_OUT + 40, HELD_OUT + 52):
        pair = make_pair(seed, 64)
        changes.append(float(np.abs(pair.source - pair.target).mean()))
    assert np.mean(np.array(changes) > 0.002) >= 0.9
    assert max(changes) < 0.35


def test_landmarks_lie_on_the_face(scene):
    """Where the head has landmarks, those of a frontal face lie on its mask (grown by a few pixels)."""
    from scipy.ndimage import binary_dilation

    portrait = render_scene(scene, random_parameters(scene, np.random.default_rng(3)).edit(yaw=0, pitch=0, roll=0, neutral=True), SIZE)
    if portrait.landmarks is None:
        pytest.skip("this head model has no landmark embedding")
    near = binary_dilation((portrait.masks["head"] + portrait.masks["hair"]) > 0.5, iterations=3)
    at = np.clip(portrait.landmarks.astype(int), 0, SIZE - 1)
    assert near[at[:, 1], at[:, 0]].mean() > 0.97


def test_negative_seeds_are_refused():
    with pytest.raises(UserError, match="-1"):
        make_scene(-1)
