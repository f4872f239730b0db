"""Albums: what was read comes back as it was, pairs are made of it as of the photos, a stream of it fills a pool that a run trains on."""

import io
import json
import time
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.face.crop import cut_square
from discontrolface.synthetic.portraits import HELD_OUT, make_scene, random_parameters, render_scene
from discontrolface.training.album import MAX_PICTURE, Album, Entry
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import CHANNELS, PairDataset, StepData, channels
from discontrolface.training.draws import draw
from discontrolface.training.endless import PairMaker
from discontrolface.training.people import list_people, prepare_album, prepare_people
from discontrolface.training.pool import Pool
from discontrolface.training.real_pairs import PairSettings
from discontrolface.training.samples import reader
from discontrolface.training.stream import Stream

SIZE = 64
SETTINGS = PairSettings(size=SIZE, max_error=5.0, backgrounds=0.0)
MAPS = ("normals", "lambertian", "preview", "visibility")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann in two photos, Bob and Cleo in one each, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("photos")
    for person, seed, yaws in (("ann", 4, (0, 18)), ("bob", 5, (0,)), ("cleo", 6, (5,))):
        (folder / person).mkdir()
        scene = make_scene(HELD_OUT + seed, detail=0.2)
        for yaw in yaws:
            parameters = random_parameters(scene, np.random.default_rng(seed)).edit(yaw=yaw, pitch=0, roll=0)
            picture = (render_scene(scene, parameters, 320).image * 255 + 0.5).astype(np.uint8)
            Image.fromarray(picture).save(folder / person / f"{yaw}.png")
    (folder / "bob" / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def album(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("album") / "people.zip"
    kept_back = path.with_name("kept_back.txt")
    kept_back.write_text("# for evaluation\ncleo\n")
    made = prepare_album(photos, "folders", path, SETTINGS, leave_out=kept_back)
    assert (made["photos"], made["people"], list(made["left_out"])) == (3, 2, ["bob/broken.jpg"])
    assert [p.name for p in path.parent.iterdir() if p.name != "kept_back.txt"] == ["people.zip"]
    return path


def test_who_is_kept_back_must_be_somebody(photos: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("ann  # a remark\n\n")
    assert list(list_people(photos, "folders", names)) == ["bob", "cleo"]
    names.write_text("an\n")
    with pytest.raises(UserError, match="'an', which is nobody's name"):
        list_people(photos, "folders", names)


def test_a_photo_comes_back_as_it_was_read(photos: Path, album: Path) -> None:
    read = reader("open", SIZE, None, False).read(photos / "bob" / "0.png")
    opened = Album(album)
    assert {name: len(found) for name, found in opened.people.items()} == {"ann": 2, "bob": 1}
    back = opened.person(opened.people["bob"][0], SIZE)
    assert back.parameters == read.parameters
    assert np.abs(back.crop.image.astype(float) - read.crop.image).mean() < 3
    # A square elsewhere in the photo is the same one, cut out of the album's picture: the truth of a pair is such a square.
    other = read.crop.photo_to_crop @ np.array([[1.05, -0.1, 9.0], [0.1, 1.05, -14.0], [0.0, 0.0, 1.0]])
    to_album = np.vstack([read.crop.photo_to_crop, [0, 0, 1]])
    to_album = np.linalg.inv(np.vstack([back.crop.photo_to_crop, [0, 0, 1]])) @ to_album  # photo -> album's picture
    of_album = (np.vstack([other, [0, 0, 1]]) @ np.linalg.inv(to_album))[:2]
    cuts = [cut_square(p.photo.array, m, SIZE).image.astype(float) for p, m in ((read, other), (back, of_album))]
    assert np.abs(cuts[0] - cuts[1]).mean() < 3
    assert np.abs(cuts[0] - np.roll(cuts[1], 2, 0)).mean() > 2 * np.abs(cuts[0] - cuts[1]).mean()


def test_one_shape_for_a_person_is_in_the_album(album: Path) -> None:
    opened = Album(album)
    a, b = (opened.person(k, SIZE).parameters for k in opened.people["ann"])
    assert np.array_equal(a.shape, b.shape)
    assert not np.array_equal(a.expression, b.expression)


def test_blocks_of_an_album_are_those_of_the_photos(photos: Path, album: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("cleo\n")
    said = prepare_people(album, None, tmp_path / "album", SETTINGS)
    prepare_people(photos, "folders", tmp_path / "photos", SETTINGS, leave_out=names)
    assert (said["real"], said["return"], said["people"]) == (2, 1, 2)
    for name in ("block_ann.npy", "return_bob.npy"):
        one, other = (np.load(tmp_path / way / name).astype(float) for way in ("album", "photos"))
        assert one.shape == other.shape
        for key in ("normals_a", "normals_b", "image_a", "image_b"):
            assert np.abs(one[:, channels(key)] - other[:, channels(key)]).mean() < 4, key


def test_an_album_that_is_none_is_refused(album: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.zip"
    text.write_text("no zip")
    with pytest.raises(UserError, match="not an album"):
        Album(text)
    with zipfile.ZipFile(album) as whole:
        about, picture = json.loads(whole.read("album.json")), whole.read("pictures/000000.webp")
    for name, change in (
        ("newer", {"version": 99}),
        ("gone", {"photos": [{**about["photos"][0], "file": "pictures/9.webp"}]}),
        ("flat", {"photos": [{**about["photos"][0], "photo_to_crop": [[0, 0, 0], [0, 0, 0]]}]}),
        ("vast", {"photos": [{**about["photos"][0], "file": "vast"}]}),
    ):
        path = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as changed:
            changed.writestr("album.json", json.dumps({**about, **change}))
            changed.writestr("pictures/000000.webp", picture)
            changed.writestr("vast", bytes(MAX_PICTURE + 1))
        with pytest.raises(UserError, match=str(path)):
            Album(path)


def test_no_more_of_a_photo_is_kept_than_pairs_need(photos: Path) -> None:
    person = reader("open", SIZE, None, False).read(photos / "bob" / "0.png")
    entry = Entry.of(person, "bob")
    width, height = Image.open(io.BytesIO(entry.picture)).size
    assert max(width, height) <= 1.9 * 1.25 * SIZE


def test_pairs_come_in_their_shares_and_follow_from_the_seed(album: Path) -> None:
    def some(seed: int) -> list[tuple[str, bool, bytes]]:
        pairs = PairMaker(Album(album), SIZE, (0.5, 0.5, 0.0), (seed,)).endless()
        return [(p.kind, p.one_way, p.pair.pictures.tobytes()) for p in (next(pairs) for _ in range(8))]

    one = some(0)
    assert Counter((kind, one_way) for kind, one_way, _ in one) == {("real", False): 4, ("return", True): 4}
    assert some(0) == one
    assert some(1) != one


def test_a_pool_of_a_folder_gives_the_batches_of_the_folder(album: Path, tmp_path: Path) -> None:
    prepare_people(album, None, tmp_path, SETTINGS)
    config = TrainConfig(batch=6, snapshot_maps=MAPS, colour_jitter=0.1, crop=32, mask_patch=16, hidden_weight=0.5)
    data = PairDataset(tmp_path)
    pool = Pool.of(data, config, "cpu")
    for step in range(3):
        one, other = (StepData(source, config)[step][0].tensors() for source in (data, pool))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_pairs_say_where_their_faces_are(album: Path, tmp_path: Path) -> None:
    """Of the folder and of the pool, those of the targets, in the mirror too; a run that asks for a person refuses a folder that does not say."""
    prepare_people(album, None, tmp_path, SETTINGS)
    config = TrainConfig(stage="expfacenet", batch=8, snapshot_maps=MAPS, mask_patch=16, identity_weight=1.0)
    data = PairDataset(tmp_path)
    pool = Pool.of(data, config, "cpu")
    draws = draw(config, 3, 8, len(data), SIZE)
    chips = data.batch(draws, config).chip
    assert chips is not None
    assert torch.equal(chips, pool.batch(draws, config).chip)
    for k, (number, mirrored) in enumerate(zip(draws.index.tolist(), draws.mirrored.tolist(), strict=True)):
        side = 0 if bool(draws.reverse[k]) and number < data.one_way_from else 1
        right, down, width, angle = data.chips()[number, side].tolist()
        expected = [1 - right, down, width, -angle] if mirrored else [right, down, width, angle]
        assert torch.allclose(chips[k], torch.tensor(expected))
    assert data.batch(draws, replace(config, identity_weight=0.0)).chip is None
    for file in tmp_path.glob("chips_*.npy"):
        file.unlink()
    with pytest.raises(UserError, match=r"no chips_.*make the pairs again, or write identity_weight: 0"):
        PairDataset(tmp_path).batch(draws, config)


def test_a_full_pool_forgets_the_oldest() -> None:
    pool = Pool(4, SIZE, "open", "cpu")
    for k in range(3):
        pool.put(np.full((2, CHANNELS, SIZE, SIZE), 10 * k, np.uint8), [k == 1] * 2, torch.full((2, 2, 4), float(k)))
        assert len(pool) == min(2 * k + 2, 4)
    assert [int(v) for v in pool.pairs[:, 0, 0, 0]] == [20, 20, 10, 10]
    assert pool.one_way.tolist() == [False, False, True, True]
    assert pool.chips[:, 0, 0].tolist() == [2, 2, 1, 1]


def test_a_stream_fills_its_pool_and_ends_its_processes(album: Path) -> None:
    config = TrainConfig(batch=2, snapshot_maps=MAPS, pool=8, pool_first=3, stream_shares=(0.5, 0.5, 0.0), mask_patch=16)
    said: list[str] = []
    with Stream(album, config, SIZE, "cpu", workers=1) as stream:
        stream.start(0)
        stream.fill(said.append)
        assert len(stream) >= 3
        deadline = time.monotonic() + 60
        while sum(stream.counts.values()) <= 9 and time.monotonic() < deadline:
            stream.take(wait=1.0)
        assert len(stream) == 8
        assert set(stream.counts) == {"real", "return"}
        batch = StepData(stream, config)[0][0]
        assert batch.target.shape == (2, 3, SIZE, SIZE)
        processes = list(stream._processes)
        assert all(p.is_alive() for p in processes)
    assert not any(p.is_alive() for p in processes)
    assert said
    alone = Album(album)
    alone.people = {"bob": alone.people["bob"]}
    with pytest.raises(UserError, match="nobody with two photos"):
        PairMaker(alone, SIZE, (1.0, 0.0, 0.0), (0,))


def test_a_process_that_is_ended_from_outside_ends_the_run(album: Path) -> None:
    config = TrainConfig(batch=2, snapshot_maps=MAPS, pool=8, pool_first=8, stream_shares=(0.0, 1.0, 0.0))
    with Stream(album, config, SIZE, "cpu", workers=1) as stream:
        stream.start(0)
        stream._processes[0].kill()
        with pytest.raises(UserError, match="was ended"):
            stream.fill(lambda text: None)
