"""What closed lids and opened mouths look like on drawn people, whose open eyes and closed mouths show nothing of either."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from discontrolface.common.pixels import to_uint8
from discontrolface.editing.composite import Motion, paste_back
from discontrolface.editing.detail import with_lids
from discontrolface.face.crop import Crop
from discontrolface.face.geometry import Geometry
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.similarity import Similarity
from discontrolface.render.covered import COVERED, covered_share, lips_move
from discontrolface.render.grain import STRONGEST, skin_grain
from discontrolface.render.mouth import tooth_like
from discontrolface.render.raster import rasterize
from discontrolface.render.rig import EYE, LOWER_TEETH, MOUTH, SKIN, TONGUE, UPPER_TEETH
from discontrolface.render.source import PreviewSource, prepare_source
from discontrolface.render.sweep import swept
from discontrolface.render.teeth import MOST, lowered_teeth
from discontrolface.render.warp import Preview, preview_of
from discontrolface.synthetic.portraits import HELD_OUT, make_scene, random_parameters, render_scene

SIZE = 384
SEEDS = (HELD_OUT + 1, HELD_OUT + 4, HELD_OUT + 6)


class Drawn(NamedTuple):
    """A person who looks at the camera with open eyes and a closed mouth."""

    parameters: FaceParameters
    source: PreviewSource

    def edited(self, geometry: Geometry, **edit: object) -> tuple[Preview, NDArray[np.uint8]]:
        """The preview, and the layers (SIZE, SIZE) that the target's mesh shows."""
        view = geometry.view(self.parameters.edit(**edit))  # type: ignore[arg-type]
        triangle = rasterize(lowered_teeth(np.ascontiguousarray(view.vertices), geometry.rig), geometry.rig.faces, SIZE, SIZE).triangle
        return preview_of(self.source, view), np.where(triangle >= 0, geometry.rig.face_layer[triangle], np.uint8(255))


@pytest.fixture(scope="module")
def geometry() -> Geometry:
    return Geometry(HeadModel.open())


@pytest.fixture(scope="module")
def people(geometry: Geometry) -> list[Drawn]:
    drawn = []
    for seed in SEEDS:
        scene = make_scene(seed)
        parameters = random_parameters(scene, np.random.default_rng(seed)).edit(neutral=True, yaw=0, pitch=0, roll=0, gaze=(0, 0))
        photo = render_scene(scene, parameters, SIZE).image
        drawn.append(Drawn(parameters, prepare_source(photo, geometry.view(parameters), geometry.rig)))
    return drawn


def fine(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) the picture's fine structure, as a share of its brightness."""
    light = picture.mean(-1)
    return np.asarray(light / gaussian_filter(light, 2.5) - 1.0)


@pytest.mark.parametrize("edit", [{"blink": 1.0}, {"winkLeft": 1.0}, {"winkRight": 1.0}], ids=str)
def test_closed_lids_are_skin(geometry: Geometry, people: list[Drawn], edit: dict[str, float]) -> None:
    for person in people:
        out, layer = person.edited(geometry, expression=edit)
        lid = (person.source.layer == EYE) & (layer == SKIN)
        assert lid.sum() > 60
        upper = lid & np.roll(lid, -4, axis=0)  # above the lashes and the lower lid's rim, where the lid ends
        assert upper.sum() > 30
        ring = binary_dilation(lid, iterations=22) & ~binary_dilation(lid | (layer == EYE) | (person.source.layer == EYE), iterations=12)
        around = np.median(out.image[ring & (layer == SKIN)], axis=0)
        middle = np.median(out.image[upper], axis=0)
        assert 0.7 < middle.mean() / around.mean() < 1.2
        assert np.abs(middle / middle.sum() - around / around.sum()).max() < 0.025  # the tint; grey is 0.06 and more from skin
        assert out.image[lid].mean(1).max() < 1.25 * around.mean()  # no white of the eye, down to the lower lid
        assert out.image[binary_dilation(lid, iterations=4)].mean(-1).min() < 0.7 * middle.mean()  # lashes
        assert out.visibility[upper].mean() < 0.15  # invented, and it says so


def test_a_lid_has_the_grain_of_the_cheek(geometry: Geometry, people: list[Drawn]) -> None:
    rng = np.random.default_rng(0)
    person = people[0]
    noisy = np.clip(person.source.image * (1.0 + 0.03 * rng.standard_normal((SIZE, SIZE, 1))), 0, 1).astype(np.float32)
    source = prepare_source(noisy, geometry.view(person.parameters), geometry.rig)
    out, layer = Drawn(person.parameters, source).edited(geometry, expression={"blink": 1.0})
    lid = (source.layer == EYE) & (layer == SKIN)
    upper = lid & ~binary_dilation(layer == EYE, iterations=3)
    upper[np.flatnonzero(lid.any(1))[-1] - 5 :] = False  # the lashes
    assert 0.3 < fine(out.image)[upper].std() / 0.03 < 1.3


def test_an_edge_is_not_grain(geometry: Geometry, people: list[Drawn]) -> None:
    """The rim of glasses on the cheek does not come up on the lid."""
    person = people[0]
    photo = np.full((SIZE, SIZE, 3), 0.6, np.float32)
    photo[::9] = 0.1
    grain = skin_grain(photo, person.source.vertices, geometry.rig)
    assert np.abs(grain).max() < STRONGEST


def test_a_wink_leaves_the_other_eye_alone(geometry: Geometry, people: list[Drawn]) -> None:
    for person in people:
        out, _ = person.edited(geometry, expression={"winkLeft": 1.0})
        right = person.source.eyes > 0
        between = np.mean([person.source.vertices[eye, 0].mean() for eye in geometry.rig.eyes])
        right[:, int((between + 1) * 0.5 * SIZE) :] = False  # the subject's left eye is on the picture's right
        assert right.sum() > 40
        assert not out.mask[right].any()


def test_a_preview_says_where_lids_have_closed(geometry: Geometry, people: list[Drawn]) -> None:
    for person in people:
        out, layer = person.edited(geometry, expression={"winkLeft": 1.0})
        lid = (person.source.layer == EYE) & (layer == SKIN)
        assert out.lids[lid].mean() > 0.9
        assert not out.lids[~binary_dilation(lid, iterations=40)].any()
        assert not out.lids[(person.source.layer == EYE) & ~lid].any(), "the other eye"
        assert not person.edited(geometry, expression={"smile": 1.0}, yaw=12)[0].lids.any()


def test_a_smeared_lid_gets_its_lashes_back_and_keeps_its_colour(geometry: Geometry, people: list[Drawn]) -> None:
    """What a network makes of lashes a pixel thick, and of a lid in a colour of its own."""
    tint = np.array([0.05, -0.02, 0.03], np.float32)
    for person in people:
        out, layer = person.edited(geometry, expression={"blink": 1.0})
        lid = binary_dilation((person.source.layer == EYE) & (layer == SKIN), iterations=3)
        smeared = np.asarray(gaussian_filter(out.image, (4, 4, 0)) + tint, np.float32)
        edited = with_lids(smeared, out.image, out.lids)
        assert np.array_equal(edited[out.lids == 0], np.clip(smeared, 0, 1)[out.lids == 0])
        lost, left = (np.abs(fine(picture) - fine(out.image))[lid].mean() for picture in (smeared, edited))
        assert left < 0.25 * lost
        assert np.abs((edited - out.image)[lid].mean(0) - tint).max() < 0.02


@pytest.mark.parametrize("opening", [0.4, 0.7, 1.0])
def test_an_opened_mouth_is_dark_and_has_depth(geometry: Geometry, people: list[Drawn], opening: float) -> None:
    for person in people:
        out, layer = person.edited(geometry, expression={"jawOpen": opening})
        light = out.image.mean(-1)
        soft = (layer == MOUTH) | (layer == TONGUE)
        edge = binary_dilation(layer == SKIN, iterations=2)
        skin = np.median(light[binary_dilation(soft, iterations=30) & (layer == SKIN)])
        inside = soft & ~edge
        assert inside.sum() > 40
        assert np.median(light[inside]) < 0.55 * skin
        assert light[inside].std() > 0.12 * light[inside].mean()  # no plate of one colour
        rows = np.nonzero(inside)[0]
        top, bottom = np.quantile(rows, (0.15, 0.75))
        index = np.indices(inside.shape)[0]
        assert light[inside & (index <= top)].mean() < light[inside & (index >= bottom)].mean()  # the upper lip's shadow
        red, green = out.image[inside & (index >= bottom)][:, 0].mean(), out.image[inside & (index >= bottom)][:, 1].mean()
        assert red > 1.15 * green  # flesh, not grey


def test_a_wide_open_mouth_shows_the_edge_of_the_upper_teeth(geometry: Geometry, people: list[Drawn]) -> None:
    for person in people:
        out, layer = person.edited(geometry, expression={"jawOpen": 1.0})
        light = out.image.mean(-1)
        teeth, deep = layer == UPPER_TEETH, layer == MOUTH
        assert teeth.sum() > 30
        assert np.median(light[teeth]) > 1.6 * np.median(light[deep])
        skin = np.median(light[binary_dilation(deep, iterations=30) & (layer == SKIN)])
        assert np.median(light[(layer == UPPER_TEETH) | (layer == LOWER_TEETH)]) < 1.1 * max(skin, 0.5)  # in the photo's light


def test_teeth_hang_by_a_few_millimetres_and_only_in_an_open_mouth(geometry: Geometry, people: list[Drawn]) -> None:
    rig, parameters = geometry.rig, people[0].parameters
    closed = np.ascontiguousarray(geometry.view(parameters).vertices)
    assert lowered_teeth(closed, rig) is closed
    for turn in ((0, 0, 0), (25, 10, 20)):
        after = np.ascontiguousarray(geometry.view(parameters.edit(expression={"jawOpen": 1.0}, turn=turn)).vertices)
        moved = lowered_teeth(after, rig) - after
        teeth = rig.vertex_layer == UPPER_TEETH
        assert not moved[~teeth].any()
        skull = Similarity.between(rig.template[rig.skull], after[rig.skull])
        scale = float(np.cbrt(np.linalg.det(skull.matrix)))
        down = moved[teeth] @ skull.matrix[:, 1] / scale**2
        assert (down < -1e-4).all()
        assert (down > -3 * MOST).all()
        assert np.allclose(moved[teeth], down[:, None] * skull.matrix[:, 1], atol=1e-6)


def test_closed_lips_stay_closed_when_they_smile(geometry: Geometry, people: list[Drawn]) -> None:
    """A fit often opens a closed mouth by a few pixels: read so, a smile does not draw a mouth's inside between the lips."""
    person = people[0]
    read = person.parameters.edit(expression={"jawOpen": 0.2})
    opened = prepare_source(person.source.image, geometry.view(read), geometry.rig)
    photo, lips = person.source.image.copy(), np.array([0.5, 0.28, 0.2], np.float32)
    photo[binary_dilation((opened.layer >= MOUTH) & (opened.layer <= TONGUE), iterations=8)] = lips
    source = prepare_source(photo, geometry.view(read), geometry.rig)
    assert source.false_gape is not None
    assert source.false_gape > 0.02
    out, layer = Drawn(read, source).edited(geometry, expression={"smile": 0.5, "jawOpen": 0.2})
    inside = (layer >= MOUTH) & (layer <= TONGUE)
    assert inside.sum() > 60
    assert np.abs(out.image[inside] - lips).mean() < 0.05
    wide, layer = Drawn(read, source).edited(geometry, expression={"jawOpen": 0.8})
    inside = (layer >= MOUTH) & (layer <= TONGUE)
    assert np.median(wide.image[inside].mean(-1)) < 0.6 * lips.mean()


@pytest.mark.parametrize(
    ("colour", "skin", "white", "teeth"),
    [
        ((0.42, 0.28, 0.31), (0.45, 0.34, 0.28), 0.69, False),  # lips of dark skin: paler than the skin
        ((0.27, 0.21, 0.21), (0.32, 0.26, 0.21), 0.64, False),
        ((0.70, 0.64, 0.60), (0.35, 0.26, 0.22), 0.60, True),
        ((0.84, 0.81, 0.79), (0.68, 0.55, 0.46), 0.63, True),
        ((0.85, 0.81, 0.79), (0.68, 0.55, 0.46), 0.0, True),  # eyes closed
    ],
)
def test_lips_are_not_taken_for_teeth(colour: tuple[float, ...], skin: tuple[float, ...], white: float, teeth: bool) -> None:
    value = tooth_like(np.array(colour, np.float32), np.float32(np.mean(skin)), np.float32(skin[2] / skin[0]), np.float32(white))
    assert (value > 0.6) == teeth
    assert teeth or value < 0.35


def on_wall(seed: int, geometry: Geometry, tone: tuple[float, float, float]) -> tuple[Drawn, NDArray[np.bool_]]:
    """A drawn person before a plain wall; and where the picture is well away from head, hair and clothes."""
    scene = make_scene(seed)
    parameters = random_parameters(scene, np.random.default_rng(seed)).edit(neutral=True, yaw=0, pitch=0, roll=0)
    portrait = render_scene(scene, parameters, SIZE)
    cover = np.clip(1.0 - portrait.masks["background"], 0, 1)[..., None].astype(np.float32)
    photo = (cover * portrait.image + (1 - cover) * np.array(tone, np.float32)).astype(np.float32)
    far = ~binary_dilation(cover[..., 0] > 0.002, iterations=round(0.02 * SIZE))
    return Drawn(parameters, prepare_source(photo, geometry.view(parameters), geometry.rig)), far


@pytest.mark.parametrize("light", ["left", "right", "top"])
@pytest.mark.parametrize("tone", [(1.0, 1.0, 1.0), (0.8, 0.82, 0.8)], ids=str)
def test_only_the_head_is_relit(geometry: Geometry, light: str, tone: tuple[float, float, float]) -> None:
    for seed in SEEDS:
        person, far = on_wall(seed, geometry, tone)
        out, _ = person.edited(geometry, light=light)
        assert far.mean() > 0.1
        assert np.abs(out.image - person.source.image)[far].max() < 1.5 / 255
        change = np.abs(out.image - person.source.image).mean(-1)
        assert change[person.source.layer == SKIN].mean() > 0.004  # it is relit


def test_of_a_pixel_half_of_hair_the_hair_alone_is_relit(geometry: Geometry) -> None:
    """No bright or dark line around dark hair before a bright wall: a mixed pixel does not change more than the hair beside it."""
    person, far = on_wall(SEEDS[1], geometry, (0.9, 0.9, 0.9))
    out, _ = person.edited(geometry, light="left")
    change = (out.image - person.source.image).mean(-1)
    light = person.source.image.mean(-1)
    above = np.zeros_like(far)
    above[: SIZE // 3] = True
    hair = (
        above
        & (light < 0.25)
        & (person.source.matte.repeat(4, 0).repeat(4, 1)[:SIZE, :SIZE] > 0.9 if len(person.source.matte) * 4 == SIZE else True)
    )
    mixed = above & ~far & (light > 0.35) & (light < 0.75) & binary_dilation(far, iterations=12)
    assert mixed.sum() > 50
    assert np.abs(change[mixed]).mean() < 1.5 * np.abs(change[hair]).mean() + 0.01


@pytest.mark.parametrize(
    "edit",
    [{"expression": {"smile": 0.8}}, {"expression": {"jawOpen": 0.7}}, {"yaw": 15}, {"yaw": -25}, {"pitch": 10}, {"light": "left"}],
    ids=str,
)
def test_a_white_wall_stays_white(geometry: Geometry, edit: dict[str, object]) -> None:
    for seed in SEEDS:
        person, far = on_wall(seed, geometry, (1.0, 1.0, 1.0))
        out, layer = person.edited(geometry, **edit)
        new = out.image.min(-1) < 250 / 255
        head = binary_dilation((layer != 255) | (out.image.max(-1) < 0.6), iterations=round(0.03 * SIZE))
        away = far & ~head
        assert away.mean() > 0.05
        assert not (new & away).any()
        if "yaw" not in edit and "pitch" not in edit:
            assert (out.mask[far & ~head] > 0).mean() < 0.03  # the photo's own, to the bit: no network paints there


@pytest.mark.parametrize("yaw", [-25, -15, 15, 25])
def test_what_is_loose_on_a_white_wall_stays_there(geometry: Geometry, yaw: float) -> None:
    """A speck beside the head, with wall all around, is no part of it; a strand of hair that hangs together with the head is."""
    for seed in SEEDS:
        person, far = on_wall(seed, geometry, (1.0, 1.0, 1.0))
        photo = person.source.image.copy()
        row = round(0.45 * SIZE)
        edges = np.flatnonzero(~far[row])[[0, -1]]
        speck = np.zeros(far.shape, bool)
        for y, x in ((row, edges[0] - round(0.03 * SIZE)), (row + 9, edges[1] + round(0.03 * SIZE))):
            speck[y - 2 : y + 3, x - 2 : x + 3] = True
        photo[speck] = (0.4, 0.3, 0.25)
        specked = Drawn(person.parameters, prepare_source(photo, person.source.view, geometry.rig))
        (out, layer), (clean, _) = specked.edited(geometry, yaw=yaw), person.edited(geometry, yaw=yaw)
        new = (out.image.min(-1) < 0.85) & (clean.image.min(-1) >= 250 / 255)
        assert not (new & ~speck & (layer == 255)).any()  # none has moved along (on the mesh, holes are painted as far as the matte says)
        covered = binary_dilation(clean.image.min(-1) < 0.98, iterations=2) | (layer != 255)
        still = speck & ~covered
        assert still.any()
        assert np.array_equal(out.image[still], photo[still])
        strand = person.source.image.copy()
        strand[row - 1 : row + 2, edges[0] : edges[0] + round(0.06 * SIZE)] = 0.2
        assert np.array_equal(prepare_source(strand, person.source.view, geometry.rig).plain.fetched, strand)  # it may be fetched


def test_what_an_edit_leaves_on_a_plain_wall_is_swept_off(geometry: Geometry) -> None:
    """Torn-off hair and a faint double beside the head go; a strand that hangs together with the head stays, and a large thing, too."""
    person, far = on_wall(SEEDS[2], geometry, (1.0, 1.0, 1.0))
    wall, photo = person.source.plain, person.source.image
    assert swept(photo, wall)[photo.min(-1) < 0.9].max() == 0  # nothing of the head
    row = round(0.45 * SIZE)
    edge = int(np.flatnonzero(photo[row].min(-1) < 0.9)[-1])
    edited = photo.copy()
    torn, double, strand = (np.zeros(far.shape, bool) for _ in range(3))
    torn[row - 4 : row, edge + 12 : edge + 20] = True
    double[row - 30 : row - 22, edge + 14 : edge + 22] = True
    strand[row + 10 : row + 13, edge - 10 : edge + 20] = True
    edited[torn], edited[double], edited[strand] = 0.4, 247 / 255, 0.3
    share = swept(edited, wall)
    assert (share[torn] > 0.99).all()
    assert (share[double] > 0.99).all()
    assert share[strand].max() == 0
    # In the picture: without it the wall falls below 250, with it not.
    crop = Crop(to_uint8(photo), np.eye(2, 3), to_uint8(photo))
    flow, mask = np.zeros((SIZE, SIZE, 2), np.float32), np.ones((SIZE, SIZE), np.float32)
    outs = [paste_back(crop.photo, edited, crop, mask, Motion(flow, 0 * mask, swept=s)).on(crop.photo) for s in (None, share)]
    litter = binary_dilation(torn | double, iterations=1)
    assert outs[0][litter].min() < 250 <= outs[1][litter].min()
    assert outs[1][strand].min() < 120
    large = photo.copy()
    part = slice(row, row + round(0.05 * SIZE)), slice(edge + 12, edge + 12 + round(0.05 * SIZE))
    large[part] = 0.3
    assert swept(large, wall)[part].max() == 0  # what a collar parts from the head is no litter
    assert swept(edited, wall._replace(tone=np.zeros(0, np.float32))) is None  # no plain wall


def test_an_ear_that_turns_away_does_not_become_black(geometry: Geometry, people: list[Drawn]) -> None:
    """A fitted light is a guess beside and behind the head: in the photo's own light a turn darkens skin by a third at most."""
    for person in people:
        out, layer = person.edited(geometry, yaw=person.parameters.readable()["yaw"] + 20)
        rows, columns = np.indices(layer.shape, np.float32)
        x = np.clip(np.rint(columns + out.flow[..., 0]).astype(int), 0, SIZE - 1)
        y = np.clip(np.rint(rows + out.flow[..., 1]).astype(int), 0, SIZE - 1)
        fetched = gaussian_filter(person.source.image.mean(-1), 1.5)[y, x]
        ratio = gaussian_filter(out.image.mean(-1), 1.5) / np.maximum(fetched, 0.05)
        seen = (layer == SKIN) & (out.visibility > 0.9) & (fetched > 0.15)
        assert np.quantile(ratio[seen], 0.01) > 0.6


def test_what_is_stretched_is_not_called_seen(geometry: Geometry, people: list[Drawn]) -> None:
    """Off the mesh, too: hair drawn out over the side that a turn uncovers is for the networks to fill."""
    for person in people:
        out, _ = person.edited(geometry, yaw=person.parameters.readable()["yaw"] + 25)
        wide = np.ones(out.visibility.shape, np.float32)
        wide[:, 1:-1] = 1 + (out.flow[:, 2:, 0] - out.flow[:, :-2, 0]) / 2
        drawn_out = binary_dilation((wide > 0.02) & (wide < 0.3), iterations=1) & (wide > 0.02) & (wide < 0.3)
        assert drawn_out.sum() > 50
        assert np.median(out.visibility[drawn_out]) < 0.6


@pytest.mark.parametrize("tone", [(0.85, 0.87, 0.88), (0.35, 0.5, 0.7), (0.08, 0.08, 0.09)], ids=["white mask", "blue mask", "microphone"])
def test_something_before_the_mouth_is_noticed(geometry: Geometry, people: list[Drawn], tone: tuple[float, float, float]) -> None:
    for person in people:
        source = person.source
        assert covered_share(source.image, source.vertices, geometry.rig) < 0.5 * COVERED
        lips = source.vertices[geometry.rig.lips > 0]
        x, y = (lips[:, 0] + 1) * 0.5 * SIZE, (1 - lips[:, 1]) * 0.5 * SIZE
        photo = source.image.copy()
        photo[int(y.min()) - 4 : int(y.max()) + 4, int(x.min()) - 4 : int(x.max()) + 4] = tone
        assert covered_share(photo, source.vertices, geometry.rig) > 0.9
        grey = np.repeat(photo.mean(-1, keepdims=True), 3, axis=2)
        assert covered_share(grey, source.vertices, geometry.rig) == 0.0  # cannot be said


def test_only_edits_of_the_mouth_move_lips(geometry: Geometry, people: list[Drawn]) -> None:
    parameters = people[0].parameters
    before = geometry.view(parameters).vertices
    for edit, moves in (({"yaw": 20}, False), ({"expression": {"blink": 1.0}}, False), ({"expression": {"jawOpen": 0.3}}, True)):
        assert lips_move(before, geometry.view(parameters.edit(**edit)).vertices, geometry.rig) == moves  # type: ignore[arg-type]
