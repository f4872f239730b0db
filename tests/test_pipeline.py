"""The one edit pipeline: batches, threads, starts; and that personal weights go through."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.networks import write_tiny_preset
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.common.snapshot_spec import PAPER_MAPS, SnapshotSpec
from discontrolface.diffusion.sampling import Step, sample
from discontrolface.diffusion.settings import STARTS, Sampling
from discontrolface.editing.carried import carried
from discontrolface.editing.detail import down
from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import Networks, denoise, prepare
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.snapshot import Snapshot
from discontrolface.synthetic.portraits import HELD_OUT, make_pair
from discontrolface.weights.manifest import open_folder
from discontrolface.weights.preset import read_manifest

PHOTO = example_photo()


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture(scope="module")
def editor(preset: Path) -> Editor:
    return Editor.load(preset, cache=preset / "cache")


@pytest.fixture(scope="module")
def people(editor: Editor) -> list[Person]:
    """The example photo, read, and a drawn portrait with its true parameters."""
    pair = make_pair(HELD_OUT + 3, 64)
    drawn = Person.known((pair.source * 255).astype(np.uint8), pair.source_parameters, editor.reader.geometry)
    return [editor.read(PHOTO), drawn]


def targets_of(person: Person) -> list[FaceParameters]:
    """Eight edits."""
    looks = [{"yaw": 10 - 5 * k} for k in range(4)] + [{"expression": {"jawOpen": 0.2 * k}, "light": "left"} for k in range(4)]
    return [person.parameters.edit(**look) for look in looks]


@pytest.mark.parametrize("start", STARTS)
def test_a_batch_gives_what_single_edits_give(editor: Editor, people: list[Person], start: str) -> None:
    """To 1e-5 in the networks' pictures: of one photo (which share noise, masks and code), and of different photos and seeds."""
    sampling = Sampling(steps=4, start=start, strength=0.5, mask_patch=4, temperature=0.7)
    networks = editor.networks
    for edits in (
        [prepare(people[0], target, editor.size, networks.maps, 3) for target in targets_of(people[0])],
        [prepare(person, targets_of(person)[1], editor.size, networks.maps, seed) for seed, person in enumerate(people)],
    ):
        batch = denoise(networks, edits, sampling)
        single = torch.cat([denoise(networks, [edit], sampling) for edit in edits])
        assert (batch - single).abs().max() < 1e-5
        assert (batch[0] - batch[1]).abs().max() > 1e-3


def test_edit_many_gives_the_pictures_of_edit(editor: Editor, people: list[Person]) -> None:
    person = people[0]
    many = editor.edit_many(person, targets_of(person), steps=2, seed=5)
    for result, target in zip(many, targets_of(person), strict=True):
        one = editor.edit(person, target, steps=2, seed=5)
        assert np.abs(np.asarray(result.image, int) - np.asarray(one.image, int)).max() <= 1  # rounding to 8 bits
        assert result.record == one.record
        assert result.parameters == target


def test_eight_threads_on_one_editor_give_the_bits_of_serial_runs(editor: Editor, people: list[Person], preset: Path) -> None:
    """Reading and editing two photos from eight threads at a time, with what is kept between edits (previews, personal networks) still empty."""
    jobs = [(k % 2, target, start) for k in range(2) for target in targets_of(people[k])[::3] for start in ("noise", "draft")]

    def run(own: list[Person], job: tuple[int, FaceParameters, str]) -> np.ndarray:
        which, target, start = job
        picture = editor.edit(own[which], target, start=start, steps=2).image
        if which == 0:
            again = editor.read(PHOTO)
            assert again.parameters == people[0].parameters
        return np.asarray(picture)

    personal = [editor.personalize(person) for person in people]
    serial = [run([dataclasses.replace(p) for p in personal], job) for job in jobs]
    fresh = Editor.load(preset, cache=preset / "cache", reader=editor.reader)
    again = [fresh.personalize(editor.read(PHOTO)), fresh.personalize(people[1])]
    with ThreadPoolExecutor(8) as pool:
        threaded = list(pool.map(lambda job: run(again, job), jobs * 2))
    for k, picture in enumerate(threaded):
        assert np.array_equal(picture, serial[k % len(jobs)]), jobs[k % len(jobs)][2]


def test_a_callback_is_told_every_prediction(editor: Editor, people: list[Person]) -> None:
    for start, count in (("noise", 4), ("draft", 2), ("predicted", 3)):
        steps: list[Step] = []
        editor.edit(
            people[0],
            people[0].parameters.edit(yaw=5),
            steps.append,
            start=start,
            steps=4,
            **({} if start == "noise" else {"strength": 0.5}),
        )
        assert [(s.index, s.count) for s in steps] == [(k, count) for k in range(count)]


def test_a_snapshot_of_other_maps_or_another_head_is_refused(editor: Editor, people: list[Person]) -> None:
    networks, target = editor.networks, people[0].parameters.edit(yaw=10)
    few = prepare(people[0], target, editor.size, PAPER_MAPS)
    with pytest.raises(
        UserError, match=r"reads snapshots with normals, lambertian, preview, visibility .*, not with normals, lambertian of"
    ):
        denoise(networks, [few], Sampling(steps=1, start="noise"))
    whole = prepare(people[0], target, editor.size, networks.maps)
    other = dataclasses.replace(whole, snapshot=dataclasses.replace(whole.snapshot, spec=SnapshotSpec("smpl", networks.maps)))
    with pytest.raises(UserError, match=r"of the head model 'open', not with .* of the head model 'smpl'; read the photo with this editor"):
        denoise(networks, [whole, other], Sampling(steps=1, start="noise"))


def by_hand(networks: Networks, crop: torch.Tensor, snapshot: torch.Tensor) -> Callable[..., tuple[torch.Tensor, object]]:
    """What steers an edit whose crop is not masked."""
    z = networks.backbone.encode(crop)
    return lambda step, t, x_t: (z, networks.control(x_t, t, z, snapshot, backbone=networks.backbone))


def in_a_mirror(snapshot: Snapshot) -> torch.Tensor:
    """Flipped, with normals that point the other way."""
    signs = torch.ones(snapshot.image.shape[1])
    for name in {"normals", "source_normals"} & set(snapshot.spec.maps):
        signs[snapshot.spec.slice(name).start] = -1
    return snapshot.image.flip(-1) * signs[:, None, None]


def test_predicted_refines_its_own_prediction(editor: Editor, people: list[Person]) -> None:
    """By hand: the mean of one prediction from noise and of the mirrored one's, that picture noised to the level of the last steps, these steps."""
    edit = prepare(people[0], people[0].parameters.edit(yaw=10), editor.size, editor.networks.maps, 7)
    sampling = Sampling(steps=4, start="predicted", strength=0.5, masking="A", temperature=0.6)
    networks = editor.networks
    condition = by_hand(networks, edit.crop, edit.snapshot.image)
    mirror = by_hand(networks, edit.crop.flip(-1), in_a_mirror(edit.snapshot))
    generator = torch.Generator().manual_seed(7)
    first, second = (torch.randn(1, 3, 32, 32, generator=generator) for _ in range(2))
    x0 = sample(networks.backbone, 0.6 * first, steps=1, condition=condition)
    other = sample(networks.backbone, 0.6 * first.flip(-1), steps=1, condition=mirror).flip(-1)
    assert (x0 - other).abs().max() > 1e-3, "untrained networks see another face in the mirror"
    steps = sample(networks.backbone, second, steps=4, condition=condition, start=(x0 + other) / 2, strength=0.5)
    assert torch.allclose(denoise(networks, [edit], sampling), steps, atol=1e-6)


def test_a_closed_lid_that_the_networks_smear_keeps_the_previews_lashes(editor: Editor, people: list[Person]) -> None:
    """At the photo's own resolution, on the example photo; an eye that stays open is left to the networks."""
    person = people[0]
    target = person.parameters.edit(expression={"blink": 1.0})
    edit = prepare(person, target, editor.size, editor.networks.maps)
    smeared = gaussian_filter(down(edit.fine.image, 256), (3, 3, 0))
    bare = dataclasses.replace(edit, fine=dataclasses.replace(edit.fine, lids=np.zeros_like(edit.fine.lids)))
    lids = edit.fine.lids > 0.9
    assert lids.sum() > 100
    left, lost = (np.abs(carried(each, smeared)[0] - edit.fine.image)[lids].mean() for each in (edit, bare))
    assert left < 0.5 * lost
    still = prepare(person, person.parameters.edit(yaw=8), editor.size, editor.networks.maps)
    assert not still.fine.lids.any()


def test_sampling_refuses_what_it_does_not_know() -> None:
    for given, words in (
        ({"start": "nowhere"}, "start 'nowhere' is not known"),
        ({"solver": "euler"}, "solver 'euler' is not known"),
        ({"masking": "G"}, "masking schedule"),
        ({"masking": (0.5,) * 3}, "lists 3 ratios, but the run takes 20"),
        ({"temperature": 0.0}, "temperature 0.0 must"),
        ({"mask_region": "nose"}, "mask_region 'nose'"),
    ):
        with pytest.raises(UserError, match=words):
            Sampling(**given)
    with pytest.raises(UserError, match=r"strength 0\.5 belongs"):
        Sampling().with_choices({"strength": 0.5})
    assert Sampling(masking=0.5).record()["masking"] == 0.5


def test_networks_with_personal_weights_are_put_together_once(editor: Editor, people: list[Person]) -> None:
    person = editor.personalize(people[0])
    assert editor.networks_of(person).control is editor.networks_of(person).control
    assert editor.networks_of(person).control is not editor.networks.control
    assert editor.networks_of(people[0]) is editor.networks
    source = people[0].preview_source(32)
    assert person.preview_source(32) is source, "what was read of the photo is kept when it is personalized"


def test_weights_of_another_seed_and_of_a_file_reach_the_edit(preset: Path, tmp_path: Path) -> None:
    """`personalize --seed 7` and `train oneshot`: the edit that asks for them gets them, and they are not the usual ones."""
    common = [str(PHOTO), "--preset", str(preset), "--steps", "2", "-q", "--yaw", "12"]

    def edit(name: str, *options: str) -> np.ndarray:
        from PIL import Image

        out = tmp_path / f"{name}.png"
        done = CliRunner().invoke(app, ["edit", *common, "-o", str(out), "--cache-dir", str(tmp_path / "cache"), *options])
        assert done.exit_code == 0, done.output
        return np.asarray(Image.open(out))

    done = CliRunner().invoke(
        app, ["personalize", str(PHOTO), "--preset", str(preset), "--seed", "7", "-q", "--cache-dir", str(tmp_path / "cache")]
    )
    assert done.exit_code == 0, done.output
    (kept,) = (tmp_path / "cache").glob("*.safetensors")
    seven = edit("seven", "--personal-seed", "7")
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1, "the weights of seed 7 were found"
    assert np.array_equal(edit("file", "--personal", str(kept)), seven)
    assert not np.array_equal(edit("none", "--no-personal"), seven)
    assert not np.array_equal(edit("usual"), seven)
    both = CliRunner().invoke(app, ["edit", *common, "-o", str(tmp_path / "x.png"), "--personal", str(kept), "--no-personal"])
    assert both.exit_code == 2


def test_a_preset_says_whether_edits_personalize_and_the_user_says_otherwise(preset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "preset"
    shutil.copytree(preset, folder)
    about = json.loads((folder / "preset.json").read_text())

    def made(name: str, personalize: object, *options: str) -> int:
        (folder / "preset.json").write_text(json.dumps({**about, "personalize": personalize}))
        cache = tmp_path / name
        given = ["edit", str(PHOTO), "--preset", str(folder), "--steps", "2", "-q", "--yaw", "12", "--cache-dir", str(cache), *options]
        done = CliRunner().invoke(app, [*given, "-o", str(tmp_path / f"{name}.png")])
        assert done.exit_code == 0 if isinstance(personalize, bool) else done.exit_code != 0, done.output
        return len(list(cache.glob("*.safetensors")))

    assert made("off", False) == 0
    assert made("off-but", False, "--personalize") == 1
    assert made("on", True) == 1
    assert made("on-but", True, "--no-personal") == 0
    assert made("bad", "yes") == 0
    assert not read_manifest(open_folder())["personalize"]
