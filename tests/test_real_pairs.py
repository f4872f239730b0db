"""Photos of people to pairs: who is who, one frame for two photos, registration, other places behind the head, blocks that `train` reads."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from discontrolface.common.errors import UserError
from discontrolface.editing.registration import displaced, motion, registered
from discontrolface.editing.same_person import plane_similarity
from discontrolface.synthetic.portraits import HELD_OUT, make_scene, random_parameters, render_scene
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import CHANNELS, PairDataset, channels
from discontrolface.training.draws import draw
from discontrolface.training.people import list_people, prepare_album, prepare_people
from discontrolface.training.real_pairs import PairSettings, doubt, read_photos
from discontrolface.training.samples import reader
from discontrolface.training.walls import cut_out

SIZE = 128
SETTINGS = PairSettings(size=SIZE, max_error=5.0, backgrounds=0.0)


def picture(seed: int, yaw: float, size: int = 320) -> Image.Image:
    scene = make_scene(HELD_OUT + seed, detail=0.3)
    parameters = random_parameters(scene, np.random.default_rng(seed)).edit(yaw=yaw, pitch=0, roll=0)
    return Image.fromarray((render_scene(scene, parameters, size).image * 255 + 0.5).astype(np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann in two photos, Bob in one and in a file that is no picture."""
    folder = tmp_path_factory.mktemp("photos")
    for name, yaw in (("front", 0), ("side", 18)):
        (folder / "ann").mkdir(exist_ok=True)
        picture(4, yaw).save(folder / "ann" / f"{name}.png")
    (folder / "bob").mkdir()
    picture(5, 0).save(folder / "bob" / "only.png")
    (folder / "bob" / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def pairs(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pairs")
    prepare_people(photos, "folders", out, SETTINGS)
    return out


def test_people_by_folder_and_by_table(photos: Path, tmp_path: Path) -> None:
    by_folder = list_people(photos, "folders")
    assert {name: len(found.photos) for name, found in by_folder.items()} == {"ann": 2, "bob": 2}
    table = tmp_path / "people.csv"
    table.write_text("file,person,age\nann/front.png,p1,30\nbob/only.png,p2,40\nann/side.png,p1,30\n")
    assert {name: [Path(p).name for p in found.photos] for name, found in list_people(photos, str(table)).items()} == {
        "p1": ["front.png", "side.png"],
        "p2": ["only.png"],
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,person\nann/front.png,p1\n", "no column 'file'"),
        ("file,person\nann/gone.png,p1\n", "gone.png"),
        ("file,person\n", "nobody found"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(photos: Path, tmp_path: Path, text: str, said: str) -> None:
    table = tmp_path / "people.csv"
    table.write_text(text)
    with pytest.raises(UserError, match=said):
        list_people(photos, str(table))


def test_blocks_hold_both_directions_in_one_frame(pairs: Path) -> None:
    block = np.load(pairs / "block_ann.npy")
    assert block.shape == (2, CHANNELS, SIZE, SIZE)
    assert block.dtype == np.uint8
    for row in block.astype(np.float32) / 255:
        a, b, ab, ba = (row[channels(name)] for name in ("image_a", "image_b", "preview_ab", "preview_ba"))
        shown_ab, shown_ba = row[channels("visibility_ab")] > 0.8, row[channels("visibility_ba")] > 0.8
        for moved, truth, before, shown in ((ab, b, a, shown_ab), (ba, a, b, shown_ba)):
            where = shown & (np.abs(moved - before).max(0, keepdims=True) > 0.02)
            error = [float(np.abs(p - truth).mean(0, keepdims=True)[where].mean()) for p in (moved, before)]
            assert error[0] < 0.6 * error[1]


def test_a_single_photo_gives_return_pairs_that_run_one_way(pairs: Path) -> None:
    data = PairDataset(pairs)
    assert len(data) == 3
    assert data.one_way_from == 2
    row = np.load(pairs / "return_bob.npy")[0]
    config = TrainConfig(batch=16, snapshot_maps=("normals", "lambertian", "preview", "visibility"), flip=False, mask_patch=16)
    draws = draw(config, 0, 16, len(data), data.size)
    last = draws.index == 2
    assert bool(draws.reverse[last].any())
    batch = data.batch(draws, config)
    photo = row[channels("image_b")].astype(np.float32) / 255 * 2 - 1
    for k in np.flatnonzero(last.numpy()):
        assert np.allclose(batch.target[k].numpy(), photo, atol=1e-6)


def test_what_was_left_out_is_reported_and_a_second_run_makes_nothing(photos: Path, pairs: Path) -> None:
    said = json.loads((pairs / "report.json").read_text())
    assert (said["people"], said["photos"], said["real"], said["return"]) == (2, 4, 2, 1)
    assert list(said["left_out"]) == ["bob/broken.jpg"]
    before = (pairs / "block_ann.npy").stat().st_mtime_ns
    assert prepare_people(photos, "folders", pairs, SETTINGS) == said
    assert (pairs / "block_ann.npy").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="other settings"):
        prepare_people(photos, "folders", pairs, PairSettings(size=64))


@pytest.mark.heavy
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra `ray`)")
def test_ray_makes_the_same_pairs_and_the_same_album(photos: Path, pairs: Path, tmp_path: Path) -> None:
    assert prepare_people(photos, "folders", tmp_path / "pairs", SETTINGS, 1, engine="ray")["real"] == 2
    for name in ("block_ann.npy", "return_bob.npy"):
        assert (tmp_path / "pairs" / name).read_bytes() == (pairs / name).read_bytes()
    for engine in ("local", "ray"):
        prepare_album(photos, "folders", tmp_path / f"{engine}.zip", SETTINGS, engine=engine)
    assert (tmp_path / "ray.zip").read_bytes() == (tmp_path / "local.zip").read_bytes()


def test_an_unknown_engine_is_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'spark'.*local, ray"):
        prepare_people(photos, "folders", tmp_path / "pairs", SETTINGS, engine="spark")


def test_plane_similarity_finds_what_moved_the_points() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 2))
    turn = 1.3 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    found = plane_similarity(points, points @ turn.T + [3, -2])
    assert np.allclose(found, np.column_stack([turn, [3, -2]]))


def test_registration_undoes_a_small_shift_and_leaves_what_lies_right() -> None:
    rng = np.random.default_rng(1)
    truth = gaussian_filter(rng.random((SIZE, SIZE, 3)), (2, 2, 0)).astype(np.float32)
    truth = (truth - truth.min()) / np.ptp(truth)
    shown = np.ones((SIZE, SIZE), np.float32)
    preview = displaced(truth, np.full((SIZE, SIZE, 2), 1.2, np.float32))
    inner = slice(16, -16)
    error = [float(np.abs(p - preview)[inner, inner].mean()) for p in (truth, registered(truth, preview, shown))]
    assert error[1] < 0.35 * error[0]
    assert np.abs(motion(truth, truth, shown)).max() < 0.05
    assert np.abs(motion(truth, preview, np.zeros_like(shown))).max() == 0


def test_a_head_comes_off_a_plain_wall_only() -> None:
    size = 240
    rows, columns = np.mgrid[0:size, 0:size] / size
    wall = np.stack([0.8 - 0.1 * columns, 0.8 - 0.1 * rows, 0.78 + 0.05 * columns], -1)
    disc = np.clip((0.3 - np.hypot(columns - 0.5, rows - 0.55)) * size / 2 + 0.5, 0, 1)[..., None]
    photo = ((disc * [0.35, 0.2, 0.15] + (1 - disc) * wall) * 255).astype(np.uint8)
    head = cut_out(photo)
    assert head is not None
    alpha = head.alpha[..., 0] / 255
    assert np.abs(alpha - disc[..., 0]).mean() < 0.01
    blue = np.broadcast_to(np.array([0.1, 0.2, 0.6], np.float32), (size, size, 3))
    moved = head.before(blue, np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    wanted = disc * [0.35, 0.2, 0.15] + (1 - disc) * blue
    assert np.abs(moved - wanted).mean() < 0.01
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8)
    assert cut_out(noise) is None


def test_a_reading_that_is_not_trusted_is_left_out(photos: Path) -> None:
    paths = sorted((photos / "ann").iterdir())
    read = [reader("open", SIZE, None, False).read(path) for path in paths]
    assert not any(doubt(person, SETTINGS) for person in read)
    between = sorted(person.confidence.value for person in read)[0] + 1e-6
    strict = PairSettings(size=SIZE, max_error=5.0, min_confidence=between)
    people, left_out = read_photos(paths, reader("open", SIZE, None, False), strict)
    assert len(people) + len(left_out) == 2
    assert left_out
    assert all(why.startswith("confidence") for why in left_out.values())
    assert "landmark error" in doubt(read[0], PairSettings(size=SIZE, max_error=0.0))


def test_settings_that_make_no_sense_are_refused() -> None:
    for bad in ({"size": 8}, {"backgrounds": 1.5}, {"returns": -1}):
        with pytest.raises(UserError, match=next(iter(bad))):
            PairSettings(**bad)  # type: ignore[arg-type]
