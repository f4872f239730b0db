"""The crop, its inverse, and the way back into the photo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, laplace, map_coordinates

from discontrolface.common.example import example_photo
from discontrolface.common.pixels import to_float
from discontrolface.editing.composite import Motion, paste_back
from discontrolface.editing.detail import DISAGREE_ABOVE, FINEST_BAND, UNLIKE_ABOVE, down, fuse_detail, restored, sharpened, up
from discontrolface.face.crop import Crop, cut_square, ffhq_square, make_crop
from discontrolface.face.landmark_sets import IBUG_68, MOUTH_CORNERS
from discontrolface.face.landmarks import FaceLandmarker, Landmarks
from discontrolface.geometry.affine import apply_affine, invert_affine
from discontrolface.render.carry import PHASES, TAPS, reading_table
from discontrolface.render.flow import moved_by

PHOTO = example_photo()


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return np.asarray(Image.open(PHOTO).convert("RGB"))


@pytest.fixture(scope="module")
def landmarks(photo: NDArray[np.uint8]) -> Landmarks:
    return FaceLandmarker().find_face(photo)


@pytest.fixture(scope="module")
def crop(photo: NDArray[np.uint8], landmarks: Landmarks) -> Crop:
    return make_crop(photo, landmarks, 256)


def disc(size: int, x: float = 0.5, y: float = 0.55, radius: float = 0.33) -> NDArray[np.float32]:
    ys, xs = (np.mgrid[0:size, 0:size] + 0.5) / size
    return ((xs - x) ** 2 + (ys - y) ** 2 < radius**2).astype(np.float32)


def similarity(side: float, angle: float, x: float, y: float, size: int) -> NDArray[np.float64]:
    """photo_to_crop of a square of that side, turned by angle, centred at (x, y) of the photo."""
    c, s = np.cos(angle) * side / size, np.sin(angle) * side / size
    half = size / 2
    return invert_affine(np.array([[c, -s, x - half * (c - s)], [s, c, y - half * (s + c)]]))


squares = st.tuples(st.floats(20, 200), st.floats(-3.2, 3.2), st.floats(0, 90), st.floats(0, 70), st.sampled_from([24, 48, 96]))


def noise(seed: int, height: int = 70, width: int = 90) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# ---- the crop


@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0, -3.0])
def test_ffhq_square_by_hand(angle: float) -> None:
    """Eyes 20 apart, mouth 20 below: half side max(2 * 20, 1.8 * 20) = 40, centre a tenth of the way down; turned, all of it turns."""
    points = np.zeros((468, 3))
    points[list(IBUG_68[36:42]), :2] = (40, 50)
    points[list(IBUG_68[42:48]), :2] = (60, 50)
    points[list(MOUTH_CORNERS), :2] = ((42, 70), (58, 70))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points[:, :2] = points[:, :2] @ turn.T
    centre, x_axis = ffhq_square(points)
    assert centre == pytest.approx(turn @ (50, 52))
    assert x_axis == pytest.approx(turn @ (40, 0))


def test_a_long_face_is_sized_by_its_height() -> None:
    points = np.zeros((468, 3))
    points[list(IBUG_68[36:42]), :2] = (45, 50)
    points[list(IBUG_68[42:48]), :2] = (55, 50)
    points[list(MOUTH_CORNERS), :2] = ((42, 80), (58, 80))
    assert ffhq_square(points)[1] == pytest.approx((54, 0))


def test_the_face_lies_where_ffhq_puts_it(crop: Crop, landmarks: Landmarks) -> None:
    eyes = crop.to_crop(landmarks.points[list(IBUG_68[36:48]), :2]) / crop.size
    assert eyes[:6].mean(axis=0) == pytest.approx((0.38, 0.47), abs=0.03)  # the mean FFHQ face at 1024: (385, 480), (640, 480)
    assert eyes[6:].mean(axis=0) == pytest.approx((0.62, 0.47), abs=0.03)
    assert eyes[:6, 1].mean() == pytest.approx(eyes[6:, 1].mean(), abs=0.02)
    assert crop.image.shape == (256, 256, 3)


@given(squares, st.tuples(st.floats(-500, 500), st.floats(-500, 500)))
def test_points_go_and_come_back(square: tuple[float, float, float, float, int], point: tuple[float, float]) -> None:
    crop = Crop(np.zeros((square[-1], square[-1], 3), np.uint8), similarity(*square), np.zeros((70, 90, 3), np.uint8))
    assert crop.to_photo(crop.to_crop(np.array(point))) == pytest.approx(point, abs=1e-6)
    assert crop.scale == pytest.approx(square[-1] / square[0])
    assert crop.native_size == pytest.approx(square[0], abs=0.501)


def test_pixels_agree_with_points(photo: NDArray[np.uint8]) -> None:
    """Against an independent sampler (SciPy) on a blurred photo, at another size, turned."""
    soft = np.stack([gaussian_filter(photo[..., c].astype(float), 4) for c in range(3)], axis=-1).astype(np.uint8)
    crop = cut_square(soft, similarity(200, 0.4, 230, 150, 128), 128)
    where = crop.to_photo(np.stack(np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5), axis=-1)) - 0.5
    truth = np.stack([map_coordinates(soft[..., c].astype(float), [where[..., 1], where[..., 0]], order=1) for c in range(3)], axis=-1)
    assert np.abs(crop.image - truth).mean() < 0.7
    assert np.abs(crop.image - truth).max() < 5


@pytest.mark.parametrize("period", [2, 3, 5])
def test_shrinking_does_not_alias(period: int) -> None:
    """Stripes finer than the crop's pixels become grey, whatever the ratio."""
    stripes = np.zeros((900, 900, 3), np.uint8)
    stripes[:, np.arange(900) % period < period / 2] = 255
    mean = stripes.mean()
    for side in (420.0, 600.0, 873.0):
        image = cut_square(stripes, similarity(side, 0.0, 450, 450, 60), 60).image.astype(float)
        assert np.abs(image[4:-4, 4:-4] - mean).max() < 255 * 0.17
    turned = cut_square(stripes, similarity(600, 0.3, 450, 450, 60), 60).image.astype(float)
    assert turned.std() < 12


def test_resize_samples_the_photo_again(photo: NDArray[np.uint8], landmarks: Landmarks) -> None:
    small, large = make_crop(photo, landmarks, 64), make_crop(photo, landmarks, 200)
    again = small.resize(200)
    assert np.abs(again.image.astype(int) - large.image).max() <= 1
    assert again.photo_to_crop == pytest.approx(large.photo_to_crop)
    assert small.resize(64) is small


def test_a_turned_photo_gives_the_same_crop(photo: NDArray[np.uint8], landmarks: Landmarks) -> None:
    quarter = np.ascontiguousarray(np.rot90(photo))  # counter-clockwise: (x, y) -> (y, W - x)
    points = landmarks.points.copy()
    points[:, 0], points[:, 1] = landmarks.points[:, 1], 512 - landmarks.points[:, 0]
    there, here = make_crop(quarter, Landmarks(points, 1.0), 128).image, make_crop(photo, landmarks, 128).image
    assert np.abs(there.astype(int) - here).max() <= 3


def test_beyond_the_photo_the_crop_is_soft_and_inside_it_is_the_photo(photo: NDArray[np.uint8], landmarks: Landmarks) -> None:
    left, top = 165, 60
    tight = np.ascontiguousarray(photo[top:190, left:290])
    points = landmarks.points - np.array([left, top, 0], dtype=np.float32)
    crop, whole = make_crop(tight, Landmarks(points, 1.0), 256), make_crop(photo, landmarks, 256)
    assert crop.scale == pytest.approx(whole.scale)
    where = crop.to_photo(np.stack(np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5), axis=-1))
    inside = ((where > 3) & (where < (tight.shape[1] - 3, tight.shape[0] - 3))).all(axis=-1)
    assert 0.1 < inside.mean() < 0.9
    assert np.abs(crop.image.astype(int) - whole.image)[inside].max() <= 1
    corner = crop.image[:12, :12].astype(float)
    assert np.abs(np.diff(corner, axis=1)).max() <= 3  # far outside: nearly one colour


# ---- the way back


def pasted(
    photo: NDArray[np.uint8], edited: NDArray[np.floating], crop: Crop, mask: NDArray[np.floating], motion: Motion | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The whole picture and the whole mask."""
    patch = paste_back(photo, edited, crop, mask, motion)
    return patch.on(photo), patch.mask_on(photo)


@settings(max_examples=60, deadline=None)
@given(squares, st.integers(0, 2**31), st.floats(0, 1), st.floats(0.05, 0.6), st.sampled_from([24, 48, 100]))
def test_nothing_changes_outside_the_mask(
    square: tuple[float, float, float, float, int], seed: int, x: float, radius: float, size: int
) -> None:
    photo = noise(seed)
    before = photo.copy()
    crop = cut_square(photo, similarity(*square), square[-1])
    edited = np.random.default_rng(seed + 1).random((size, size, 3)).astype(np.float32)
    mask = disc(size, x, 1 - x, radius)
    out, photo_mask = pasted(photo, edited, crop, mask)
    assert out.dtype == np.uint8
    assert out.shape == photo.shape
    assert np.array_equal(photo, before)
    assert np.array_equal(out[photo_mask == 0], photo[photo_mask == 0])
    ys, xs = np.mgrid[0:70, 0:90] + 0.5
    where = crop.to_crop(np.stack([xs, ys], axis=-1)) / crop.size  # in parts of the crop
    far = np.hypot(where[..., 0] - x, where[..., 1] - (1 - x)) > radius + 2.5 / size + 2.5 / square[0]
    assert (photo_mask[far] == 0).all()
    assert photo_mask.min() >= 0
    assert photo_mask.max() <= 1


@settings(max_examples=60, deadline=None)
@given(squares, st.integers(0, 2**31), st.sampled_from([24, 48, 100]))
def test_no_edit_gives_the_photo(square: tuple[float, float, float, float, int], seed: int, size: int) -> None:
    photo = noise(seed)
    crop = cut_square(photo, similarity(*square), square[-1])
    out, _ = pasted(photo, crop.resize(size).image / 255, crop, np.ones((size, size)))
    assert np.abs(out.astype(int) - photo).max() <= 1


def test_no_mask_gives_the_photo(photo: NDArray[np.uint8], crop: Crop) -> None:
    out, mask = pasted(photo, np.zeros((256, 256, 3)), crop, np.zeros((256, 256)))
    assert np.array_equal(out, photo)
    assert not mask.any()


@pytest.mark.parametrize("size", [128, 256, 512])
def test_an_edit_arrives_in_its_place(photo: NDArray[np.uint8], crop: Crop, size: int) -> None:
    """A flat patch in the middle of the crop appears in the photo where the crop's geometry says."""
    edited = crop.resize(size).image / 255.0
    patch = disc(size, 0.5, 0.6, 0.1) > 0
    edited[patch] = (0.1, 0.8, 0.2)
    out, mask = pasted(photo, edited, crop, disc(size, 0.5, 0.6, 0.25))
    ys, xs = np.mgrid[0:512, 0:512] + 0.5
    where = crop.to_crop(np.stack([xs, ys], axis=-1)) / crop.size
    distance = np.hypot(where[..., 0] - 0.5, where[..., 1] - 0.6)
    core = distance < 0.08
    assert (mask[core] == 1).all()
    assert np.abs(out[core] / 255 - (0.1, 0.8, 0.2)).max() < 0.03
    ring = (distance > 0.14) & (distance < 0.2)
    assert np.abs(out[ring].astype(int) - photo[ring]).max() <= 12  # not edited: the photo, up to the blur of the change's border
    assert np.abs(out[ring].astype(int) - photo[ring]).mean() < 1


def test_a_colour_shift_leaves_no_seam(photo: NDArray[np.uint8], crop: Crop) -> None:
    """A shifted tone fades to nothing at the border and is all there in the middle."""
    shift = np.array([0.08, 0.0, -0.08])
    edited = np.clip(crop.image / 255 + shift, 0, 1)
    out, mask = pasted(photo, edited, crop, disc(256))
    change = (out.astype(float) - photo) / 255
    ys, xs = np.mgrid[0:512, 0:512] + 0.5
    where = crop.to_crop(np.stack([xs, ys], axis=-1)) / crop.size
    inside = 0.33 - np.hypot(where[..., 0] - 0.5, where[..., 1] - 0.55)  # distance from the border in parts of the crop
    middle = (inside > 0.2) & (photo.min(axis=-1) > 30) & (photo.max(axis=-1) < 225)
    assert change[middle].mean(axis=0) == pytest.approx(shift, abs=0.01)
    near = (inside > 0) & (inside < 0.015)
    assert np.abs(change[near]).mean() < 0.01
    steps = np.abs(np.diff(change[..., 0], axis=1))[mask[:, 1:] > 0]
    assert np.quantile(steps, 0.99) < 0.03  # no step in the change itself: 0.08 over several pixels


def test_relighting_survives_in_the_middle(photo: NDArray[np.uint8], crop: Crop) -> None:
    """Half the light on one side: the border's correction must not undo it."""
    gain = np.linspace(0.5, 1.0, 256)[None, :, None]
    edited = crop.image / 255 * gain
    out, _ = pasted(photo, edited, crop, disc(256))
    aim, _ = pasted(photo, edited, crop, np.ones((256, 256)))
    middle = crop.to_photo(np.array([[110.0, 130.0]]))[0].astype(int)
    window = np.s_[middle[1] - 8 : middle[1] + 8, middle[0] - 8 : middle[0] + 8]
    ratio = out[window].mean() / photo[window].mean()
    assert ratio == pytest.approx(float(np.interp(110, [0, 255], [0.5, 1.0])), abs=0.03)
    assert aim[window].mean() == pytest.approx(out[window].mean(), rel=0.03)


def test_wrong_shapes_are_named(photo: NDArray[np.uint8], crop: Crop) -> None:
    with pytest.raises(ValueError, match=r"\(64, 32, 3\)"):
        pasted(photo, np.zeros((64, 32, 3)), crop, np.zeros((64, 64)))


# ---- fine detail

values = st.integers(0, 65535).map(lambda v: np.float32(v / 65535))


def test_a_soft_edit_gets_the_previews_finest_band_back() -> None:
    """Of waves of 3 pixels, half lost in the edit: a Gaussian of sigma leaves exp(-2 (pi sigma / 3)^2) of them, and that is what stays lost.

    Where another brightness was painted, and where the photo shows nothing, the edit stays.
    """
    waves = (0.1 * np.sin(2 * np.pi * np.arange(256) / 3)).astype(np.float32)
    preview = np.broadcast_to(0.5 + waves[None, :, None], (256, 256, 3))
    soft, shown = 0.5 + 0.5 * (preview - 0.5), np.ones((256, 256), np.float32)
    assert np.array_equal(sharpened(preview, preview, shown), preview)
    lost = np.abs(sharpened(soft, preview, shown) - preview)[:, 8:-8].max() / np.abs(soft - preview).max()
    assert lost == pytest.approx(np.exp(-2 * (np.pi * FINEST_BAND * 256 / 3) ** 2), abs=0.02)
    assert np.array_equal(sharpened(soft, preview, 0 * shown), soft)
    other = soft - np.float32(DISAGREE_ABOVE + 0.05)
    assert np.array_equal(sharpened(other, preview, shown), other)


def test_a_soft_edit_gets_the_photos_structure_back() -> None:
    """Waves of 3 pixels, half lost in the edit, come back whole: nearby they differ by their means, and those are equal.

    Where the edit painted another brightness, and where the photo shows nothing, it stays.
    """
    waves = (0.1 * np.sin(2 * np.pi * np.arange(256) / 3)).astype(np.float32)
    preview = np.broadcast_to(0.5 + waves[None, :, None], (256, 256, 3))
    soft, shown = 0.5 + 0.5 * (preview - 0.5), np.ones((256, 256), np.float32)
    assert np.array_equal(restored(preview, preview, shown), preview)
    assert np.abs(restored(soft, preview, shown) - preview)[:, 48:-48].max() < 0.01 * np.abs(soft - preview).max()
    assert np.array_equal(restored(soft, preview, 0 * shown), soft)
    other = soft - np.float32(UNLIKE_ABOVE + 0.05)
    assert np.array_equal(restored(other, preview, shown), other)


def test_a_restored_edit_keeps_its_tones() -> None:
    """Another light, smooth and moderate: the waves come back, the light stays. A wave of sigma's length leaves nearly nothing in the mean."""
    rows, columns = np.mgrid[0:256, 0:256]
    waves = 0.1 * np.sin(2 * np.pi * columns / 4)[..., None] * np.ones(3)
    light = 0.05 * np.sin(2 * np.pi * rows / 256)[..., None]
    preview, edited = (0.5 + waves).astype(np.float32), (0.5 + light + 0.3 * waves).astype(np.float32)
    out = restored(edited, preview, np.ones((256, 256), np.float32))
    inner = np.s_[16:-16, 16:-16]
    assert np.abs(out - (0.5 + light + waves))[inner].max() < 0.012, "of 0.07 that the waves lack, and 0.05 that the light adds"


def test_no_line_between_an_outline_and_what_the_edit_draws_beyond_it() -> None:
    """A neck before a wall in the preview; in the edit a mist, as broad as a sixth of the picture, lies between the two. The mist stays a mist:
    restored beside the neck alone, the wall would be a line, brighter by 0.12 where only what is unlike itself was left out."""
    columns = np.arange(256)
    wall, mist, neck = (np.full((256, 3), tone, np.float32) for tone in (0.82, 0.66, 0.62))
    row = np.where((columns < 120)[:, None], wall, neck)
    preview = np.broadcast_to(row, (256, 256, 3)).astype(np.float32)
    drawn = np.where(((columns >= 80) & (columns < 120))[:, None], mist, row)
    edited = np.broadcast_to(gaussian_filter(drawn, (2, 0)), (256, 256, 3)).astype(np.float32)
    out = restored(edited, preview, np.ones((256, 256), np.float32))
    between = np.s_[128, 100:124]
    assert (out - edited)[between].max() < 0.06, "measured 0.044"
    assert np.abs(out - edited)[128, 140:].max() < 0.01, "what lies farther off is the neck in both"


def test_no_line_beside_an_outline_that_the_edit_has_not() -> None:
    """A crisp dark head before a pale wall in the preview, a blurred outline in the edit: the wall beside it gets no bright line at either size."""
    size = 512
    head = disc(size, radius=0.25)[..., None]
    preview = (0.8 - 0.7 * (head > 0.5) * np.ones(3)).astype(np.float32)
    edited = down(gaussian_filter(preview, (6, 6, 0)), 256)
    shown = np.ones((size, size), np.float32)
    out = fuse_detail(sharpened(edited, down(preview, 256), down(shown[..., None], 256)[..., 0]), preview, shown)
    assert out.max() < 0.803, "the wall is 0.8"
    assert np.abs(out - up(edited, size)).max() < 0.02, "nothing of an edge that both do not show"


def test_an_outline_becomes_sharp_only_where_the_edit_has_it() -> None:
    """A crisp dark head before a pale wall in the preview. Blurred in the edit, its outline is crisp again, without a line beside it; where the
    edit has it elsewhere the wall gets no bright line, at either size."""
    size = 512
    head = disc(size, radius=0.25)[..., None]
    preview = (0.8 - 0.7 * (head > 0.5) * np.ones(3)).astype(np.float32)
    shown = np.ones((size, size), np.float32)
    low = down(preview, 256)

    def carried_over(edited: NDArray[np.float32]) -> NDArray[np.float32]:
        return fuse_detail(restored(edited, low, down(shown[..., None], 256)[..., 0]), preview, shown)

    blurred = down(gaussian_filter(preview, (6, 6, 0)), 256)
    out = carried_over(blurred)
    assert out.max() < 0.805, "the wall is 0.8; measured 0.801"
    assert np.abs(out - preview).max() < 0.1 * np.abs(up(blurred, size) - preview).max()
    for pixels in (3, 12, 24):  # measured: 0.821, 0.807, 0.831; the finer part of the preview without asking would make a line of 1.0
        assert carried_over(np.roll(blurred, pixels, axis=1)).max() < 0.84


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (24, 24, 3), elements=values), st.sampled_from([5, 8, 12, 24]))
def test_the_split_is_complete(preview: NDArray[np.float32], low: int) -> None:
    """An edit that agrees with the preview returns the preview to the bit."""
    out = fuse_detail(down(preview, low), preview, np.ones((24, 24), np.float32))
    assert np.array_equal(out, preview)


def test_without_visibility_no_detail(crop: Crop) -> None:
    preview = (crop.image / 255).astype(np.float32)
    edited = down(preview, 64)
    assert np.allclose(fuse_detail(edited, preview, np.zeros((256, 256))), np.clip(up(edited, 256), 0, 1))


def test_no_detail_where_the_edit_departs_from_the_preview(crop: Crop) -> None:
    preview = (crop.image / 255).astype(np.float32)
    edited = down(preview, 64)
    edited[20:44, 20:44] = (0.1, 0.9, 0.1)  # the network drew something of its own
    out = fuse_detail(edited, preview, np.ones((256, 256)))
    assert np.abs(out[110:146, 110:146] - (0.1, 0.9, 0.1)).max() < 0.02
    assert np.array_equal(out[:40], preview[:40])


def test_a_moved_face_stays_sharp_in_a_large_photo(photo: NDArray[np.uint8], landmarks: Landmarks) -> None:
    """Edit at 64 pixels a face that has 350 in the photo. The texture arrives moved, sharp, and once: no ghost at its old place."""
    factor = 2
    large = np.asarray(Image.fromarray(photo).resize((512 * factor, 512 * factor), Image.Resampling.BICUBIC)).astype(float)
    texture = np.random.default_rng(0).normal(0, 14, large.shape[:2])  # pores
    large = np.clip(large + texture[..., None], 0, 255).astype(np.uint8)
    crop = make_crop(large, Landmarks(landmarks.points * factor, 1.0), 64)
    native = crop.native_size
    source = crop.resize(native)
    preview = np.roll(source.image, 9, axis=1).astype(np.float32) / 255
    fused = fuse_detail(down(preview, 64), preview, np.ones((native, native)))
    out, _ = pasted(large, fused, source, disc(native))
    window = np.s_[int(0.5 * native) - 30 : int(0.5 * native) + 30, int(0.5 * native) - 30 : int(0.5 * native) + 30]
    back = cut_square(out, source.photo_to_crop, native).image[window].astype(float)
    moved, old = np.roll(source.image, 9, axis=1)[window].astype(float), source.image[window].astype(float)

    def fine(image: NDArray[np.float64]) -> NDArray[np.float64]:
        grey = image.mean(axis=-1)
        return grey - gaussian_filter(grey, 3)

    # measured after two more resamplings, which soften noise of one pixel a little
    assert fine(back).std() > 0.6 * fine(moved).std()
    assert np.corrcoef(fine(back).ravel(), fine(moved).ravel())[0, 1] > 0.85
    assert abs(np.corrcoef(fine(back).ravel(), fine(old).ravel())[0, 1]) < 0.25
    soft, _ = pasted(large, up(down(preview, 64), native), source, disc(native))  # without the detail it would have been mush
    assert fine(cut_square(soft, source.photo_to_crop, native).image[window].astype(float)).std() < 0.5 * fine(back).std()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_photo_itself_is_carried_however_coarse_the_crop(kind: type[np.unsignedinteger]) -> None:
    """A crop of a third of the photo's resolution says where everything goes; what arrives is the photo's grain, not the crop's."""
    rng = np.random.default_rng(3)
    white = np.iinfo(kind).max
    grain = gaussian_filter(rng.standard_normal((300, 320)), 0.6)
    photo = ((0.5 + 0.1 * grain / grain.std())[..., None] * np.array([0.9, 1.0, 0.8])).clip(0, 1)
    levels = (photo * white).round().astype(kind)
    eight = (photo * 255).round().astype(np.uint8)
    crop = cut_square(eight, similarity(240.0, 0.0, 160, 150, 80), 80)  # three pixels of the photo a pixel
    flow = np.zeros((80, 80, 2), np.float32) + np.float32([2.15, -1.4])  # 6.45 and -4.2 pixels of the photo
    motion = Motion(flow, np.ones((80, 80), np.float32))
    moved = moved_by(to_float(crop.image), flow)
    patch = paste_back(levels, moved, crop, disc(80, radius=0.3), motion)
    out, mask = patch.on(levels), patch.mask_on(levels)
    assert out.dtype == kind
    assert np.array_equal(out[mask == 0], levels[mask == 0])
    ys, xs = np.mgrid[0:300, 0:320].astype(float)
    truth = np.stack([map_coordinates(levels[..., c].astype(float), [ys - 4.2, xs + 6.45], order=5) for c in range(3)], axis=-1)
    inside = mask > 0.999
    assert inside.sum() > 8000
    assert np.abs(out - truth)[inside].mean() < 0.01 * white
    assert sharpness(out, inside) > 0.95 * sharpness(truth, inside)
    assert sharpness(out, inside) > 0.85 * sharpness(levels, inside)  # between two pixels the finest grain is lost, whoever reads it
    soft = paste_back(levels, moved, crop, disc(80, radius=0.3), Motion(flow, np.zeros((80, 80), np.float32)))
    assert sharpness(soft.on(levels), inside) < 0.3 * sharpness(levels, inside)  # without the photo's own pixels


def test_between_pixels_the_finest_texture_is_read_better_than_by_lanczos() -> None:
    """Texture known between its pixels: drawn 16 times as fine, seen through a camera's blur of 0.6 pixels, read from its pixels alone."""
    fine, pixels = 16, np.arange(20, 3980)
    drawn = gaussian_filter(np.random.default_rng(5).standard_normal(4000 * fine), 0.6 * fine)
    drawn /= drawn.std()
    photo, table = drawn[::fine], reading_table()
    before = TAPS // 2 - 1
    ours, lanczos, kept, kept_by_lanczos = [], [], [], []
    for phase in range(1, fine):
        truth, share = drawn[pixels * fine + phase], phase / fine
        read = sum(weight * photo[pixels - before + tap] for tap, weight in enumerate(table[phase * PHASES // fine]))
        weights = np.sinc(share - np.arange(-2, 4)) * np.sinc((share - np.arange(-2, 4)) / 3)
        six = sum(weight * photo[pixels - 2 + tap] for tap, weight in enumerate(weights / weights.sum()))
        ours.append(((read - truth) ** 2).mean())
        lanczos.append(((six - truth) ** 2).mean())
        kept.append(np.diff(read, 2).std() / np.diff(truth, 2).std())
        kept_by_lanczos.append(np.diff(six, 2).std() / np.diff(truth, 2).std())
    assert np.mean(ours) < 0.95 * np.mean(lanczos)  # most of the error is in both: what the pixels do not say
    assert 1 - np.mean(kept) < 0.5 * (1 - np.mean(kept_by_lanczos))
    assert np.allclose(table.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(table[0], np.eye(TAPS)[before])  # a pixel is a copy


def test_a_small_motion_half_masked_is_no_blur() -> None:
    """Half of a motion of half a pixel is a motion of a quarter, not the mean of two pictures."""
    rng = np.random.default_rng(4)
    photo = np.clip(128 + 40 * gaussian_filter(rng.standard_normal((120, 120, 3)), (0.6, 0.6, 0)), 0, 255).astype(np.uint8)
    crop = cut_square(photo, similarity(100.0, 0.0, 60, 60, 100), 100)
    flow = np.zeros((100, 100, 2), np.float32) + np.float32([0.5, 0])
    source = to_float(crop.image)
    out, mask = pasted(photo, moved_by(source, flow), crop, 0.5 * disc(100, radius=0.4), Motion(flow, np.ones((100, 100), np.float32)))
    inside = np.abs(mask - 0.5) < 1e-3
    ys, xs = np.mgrid[0:120, 0:120].astype(float)
    truth = np.stack([map_coordinates(photo[..., c].astype(float), [ys, xs + 0.25], order=5) for c in range(3)], axis=-1)
    assert np.abs(out - truth)[inside].mean() < 2
    assert sharpness(out, inside) > 0.9 * sharpness(truth, inside)


def test_a_darker_light_darkens_the_detail_too() -> None:
    rng = np.random.default_rng(5)
    photo = np.clip(160 + 20 * rng.standard_normal((200, 200, 1)) + np.zeros(3), 0, 255).astype(np.uint8)
    crop = cut_square(photo, similarity(160.0, 0.0, 100, 100, 40), 40)
    motion = Motion(np.zeros((40, 40, 2), np.float32), np.ones((40, 40), np.float32))
    out, mask = pasted(photo, to_float(crop.image) * 0.5, crop, disc(40, radius=0.4), motion)
    core = mask > 0.999
    assert sharpness(out, core) == pytest.approx(0.5 * sharpness(photo, core), rel=0.2)


def test_what_the_motion_brings_from_beyond_the_photo_has_no_detail() -> None:
    """The crop mirrors the photo beyond its border; the photo itself has nothing there."""
    photo = noise(6)
    crop = cut_square(photo, similarity(60.0, 0.0, 30, 35, 60), 60)
    flow = np.zeros((60, 60, 2), np.float32) + np.float32([-40, 0])
    moved = moved_by(to_float(crop.image), flow)
    out, mask = pasted(photo, moved, crop, disc(60, radius=0.4), Motion(flow, np.ones((60, 60), np.float32)))
    aim, _ = pasted(photo, moved, crop, disc(60, radius=0.4), Motion(flow, np.zeros((60, 60), np.float32)))
    left = (np.arange(90) < 36)[None] & (mask > 0)
    assert np.array_equal(out[left], aim[left])


def sharpness(picture: NDArray[np.generic], where: NDArray[np.bool_]) -> float:
    """Standard deviation of the Laplacian of the mean of the channels."""
    return float(laplace(np.asarray(picture, np.float64).mean(-1))[where].std())


def test_apply_and_invert_agree() -> None:
    matrix = similarity(50, 0.7, 10, 20, 64)
    assert apply_affine(matrix, np.array([10.0, 20.0])) == pytest.approx((32, 32))
