"""Photos to shards: what is left out and why, restarts, processes that die, what the shards hold, training from them."""

import hashlib
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.groups import group
from PIL import Image

from discontrolface.common import images
from discontrolface.common.errors import UserError
from discontrolface.face.parameters import FaceParameters
from discontrolface.synthetic.portraits import HELD_OUT, make_scene, random_parameters, render_scene
from discontrolface.training import prepare as preparing
from discontrolface.training import samples
from discontrolface.training.config import TrainConfig
from discontrolface.training.prepare import Job, make_plan, make_shard, prepare, run_local
from discontrolface.training.samples import SampleSettings
from discontrolface.training.shards import ShardDataset, write_shard

SMALL = SampleSettings(size=64)


def portrait(seed: int, size: int = 256) -> Image.Image:
    scene = make_scene(HELD_OUT + seed, detail=0.5)
    picture = render_scene(scene, random_parameters(scene, np.random.default_rng(seed)), size).image
    return Image.fromarray((picture * 255 + 0.5).astype(np.uint8))


def make_photos(folder: Path, portraits: int = 6, texts: int = 1, empty: int = 1, pairs: int = 1, cut: int = 1) -> Path:
    """A folder of everything: portraits in sub-folders, non-images, pictures without a face, with two, a cut-off one."""
    rng = np.random.default_rng(0)
    (folder / "more").mkdir(parents=True)
    faces = [portrait(k) for k in range(max(portraits, 2))]
    for k in range(portraits):
        faces[k].save(folder / ("more" if k % 3 == 0 else "") / f"portrait {k:03d}.{'jpg' if k % 2 else 'png'}")
    for k in range(texts):
        (folder / f"text{k}.jpg").write_bytes(b"no picture at all " * (k + 1))
    for k in range(empty):
        noise = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(noise).resize((200, 200)).save(folder / f"landscape{k}.png")
    for k in range(pairs):
        both = Image.new("RGB", (512, 256))
        both.paste(faces[0], (0, 0))
        both.paste(faces[1], (256, 0))
        both.save(folder / f"two {k}.png")
    for k in range(cut):
        out = io.BytesIO()
        faces[0].save(out, "JPEG")
        (folder / f"cut{k}.jpg").write_bytes(out.getvalue()[: len(out.getvalue()) // 2])
    (folder / ".hidden").write_text("not looked at")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def shards(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "GROUP", 4)
        patch.setattr(preparing, "run_local", lambda jobs, processes: map(make_shard, jobs))  # in this process: quick
        report = prepare(photos, output, SMALL)
    assert report["photos"] == 10
    assert report["left_out"] == {"damaged": 1, "no face": 1, "not a picture": 1}
    assert (report["taken"], report["samples"], report["shards"]) == (7, 7, 3)
    return output


def contents(folder: Path) -> dict[str, str]:
    """Every file in every shard, by its hash."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("shard-*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                name = f"{path.name}/{member.name}"
                assert name not in found
                found[name] = hashlib.sha256(tar.extractfile(member).read()).hexdigest()  # type: ignore[union-attr]
    return found


def test_shards_hold_what_the_tar_says(shards: Path) -> None:
    data = ShardDataset(shards)
    assert len(data) == 7
    k = 0
    for path in sorted(shards.glob("*.tar")):
        with tarfile.open(path) as tar:
            for name in tar.getnames():
                if name.endswith("meta.json"):
                    key = name.split(".")[0]
                    for ending in ("crop.png", "snapshot.png", "masks.png", "parameters.json", "meta.json"):
                        assert data.file(k, ending) == tar.extractfile(f"{key}.{ending}").read()  # type: ignore[union-attr]
                    k += 1
    assert k == 7
    about = json.loads(data.file(0, "meta.json"))
    assert np.shape(about["landmarks"]) == (468, 3)
    assert about["landmark_error_percent"] < 3
    masks = data.picture(0, "masks.png", 64)
    assert 0.2 < masks[..., 0].mean() < 0.9
    assert set(np.unique(masks)) == {0.0, 1.0}
    assert isinstance(data.parameters(0), FaceParameters)


def test_webdataset_reads_the_shards(shards: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    urls = [str(p) for p in sorted(shards.glob("*.tar"))]
    read = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb"))
    assert len(read) == 7
    assert read[0]["crop.png"].shape == (64, 64, 3)
    assert read[0]["parameters.json"]["head"] == "open"


def test_report_names_every_file_left_out(shards: Path) -> None:
    report = json.loads((shards / "report.json").read_text())
    assert {f["file"]: f["reason"] for f in report["files"]} == {
        "cut0.jpg": "damaged", "landscape0.png": "no face", "text0.jpg": "not a picture",
    }  # fmt: skip
    text = (shards / "report.md").read_text()
    assert "| damaged | 1 |" in text
    assert "`cut0.jpg`" in text
    assert Image.open(shards / "contact.jpg").size == (4 * 256, 2 * 128)


def test_stored_snapshot_fits_the_parameters(shards: Path) -> None:
    """The snapshot in the shard is the one that the stored parameters draw."""
    data = ShardDataset(shards)
    drawn = data.geometry(2).snapshot(data.parameters(2), 64, ("normals", "lambertian")).image[0].permute(1, 2, 0).numpy() * 0.5 + 0.5
    stored = data.picture(2, "snapshot.png", 128)
    assert np.abs(np.concatenate([drawn[..., :3], drawn[..., 3:]], 1).clip(0, 1) - stored).max() < 1.01 / 255


def test_reasons_follow_from_the_kind_of_error(photos: Path, tmp_path: Path) -> None:
    """Not from its words: each kind of bad file has its reason, and only what a file can be guilty of is one."""
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (20, 20)).save(tmp_path / "small.png")
    Image.new("1", (16_000, 16_000)).save(tmp_path / "large.png")
    (tmp_path / "damaged is empty megapixels.jpg").write_bytes((photos / "cut0.jpg").read_bytes())
    names = {"empty.jpg": "empty", "text.png": "not a picture", "small.png": "too small", "large.png": "too large"}
    for name, reason in {**names, "damaged is empty megapixels.jpg": "damaged", "nowhere.png": "missing", ".": "not a file"}.items():
        with pytest.raises(samples.SkippedError) as caught:
            samples.photo_samples(tmp_path / name, SMALL)
        assert caught.value.reason == reason, name
        assert caught.value.reason in samples.REASONS


@pytest.mark.parametrize("place", ["the shard's files", "colours of a photo", "the fit"])
def test_a_bug_of_ours_ends_the_run(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """It is no property of the file: no report calls the photo unreadable, and the next run comes back to it."""
    monkeypatch.setattr(preparing, "run_local", lambda jobs, processes: map(make_shard, jobs))
    monkeypatch.setattr(preparing, "list_photos", lambda folder, output: ["portrait 001.jpg"])

    def bug(*given: object, **named: object) -> None:
        raise KeyError("a bug of ours")

    with monkeypatch.context() as broken:
        if place == "the fit":
            from discontrolface.face.heads import open as open_head

            broken.setattr(open_head, "read_face", bug)
        else:
            broken.setattr(*{"the shard's files": (samples, "_files"), "colours of a photo": (images, "decoded")}[place], bug)
        for _ in range(preparing.DEATHS + 1):  # however often: it is not taken for a process that died at this file
            with pytest.raises(KeyError, match="a bug of ours"):
                prepare(photos, tmp_path, SMALL)
    assert not (tmp_path / "shard-000000.json").exists()
    report = prepare(photos, tmp_path, SMALL)
    assert (report["samples"], report["left_out"]) == (1, {})


@pytest.mark.parametrize("faces", ["one", "all"])
def test_several_faces(photos: Path, tmp_path: Path, faces: str) -> None:
    path = photos / "two 0.png"
    settings = SampleSettings(64, faces)
    if faces == "one":
        with pytest.raises(samples.SkippedError, match="2 faces") as caught:
            samples.photo_samples(path, settings)
        assert caught.value.reason == "several faces"
    else:
        found = samples.photo_samples(path, settings)
        assert [json.loads(f["meta.json"])["face"] for f in found] == [0, 1]
        assert found[0]["crop.png"] != found[1]["crop.png"]


def die_at(job: Job) -> int:
    """`make_shard` in a process that one file kills."""
    read = samples.photo_samples

    def reading(path: Path, settings: SampleSettings) -> list[dict[str, bytes]]:
        if path.name == "portrait 002.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path, settings)

    samples.photo_samples = reading
    return make_shard(job)


@pytest.mark.heavy
def test_a_file_that_kills_the_process_is_left_out(photos: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "GROUP", 4)
    monkeypatch.setattr(preparing, "run_local", lambda jobs, processes: run_local(jobs, 2, die_at))
    report = prepare(photos, tmp_path / "out", SMALL)
    assert report["left_out"] == {"crash": 1, "damaged": 1, "no face": 1, "not a picture": 1}
    whole = contents(shards)
    assert contents(tmp_path / "out") == {name: digest for name, digest in whole.items() if "000000005_" not in name}
    assert not list((tmp_path / "out").glob("*.trying*"))


def test_killed_and_started_again_it_loses_and_doubles_nothing(photos: Path, shards: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from discontrolface.training import prepare as p; from discontrolface.training.samples import SampleSettings\n"
        "p.GROUP = 4; p.run_local = lambda jobs, processes: map(p.make_shard, jobs)\n"
        "p.prepare(Path(sys.argv[1]), Path(sys.argv[2]), SampleSettings(size=64))"
    )
    output = tmp_path / "out"
    child = subprocess.Popen([sys.executable, "-c", program, str(photos), str(output)])
    while child.poll() is None and not (output / "shard-000001.trying").exists():
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (output / "shard-000001.json").exists()
    before = (output / "shard-000000.tar").stat()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "GROUP", 4)
        patch.setattr(preparing, "run_local", lambda jobs, processes: map(make_shard, jobs))
        report = prepare(photos, output, SMALL)
    assert report["samples"] == 7
    assert (output / "shard-000000.tar").stat().st_mtime_ns == before.st_mtime_ns, "a finished shard was made again"
    assert contents(output) == contents(shards)
    for path in shards.glob("shard-*.tar"):
        assert path.read_bytes() == (output / path.name).read_bytes()
    assert not list(output.glob("*.t[rm]*"))


def test_new_photos_become_new_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "GROUP", 2)
    photos, output = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    output.mkdir()
    for name in ("b.jpg", "d.jpg", "e.jpg"):
        (photos / name).write_bytes(b"x")
    assert [job.files() for job in make_plan(photos, output, SMALL)] == [["b.jpg", "d.jpg"], ["e.jpg"]]
    (photos / "a.jpg").write_bytes(b"x")
    jobs = make_plan(photos, output, SMALL)
    assert [(job.number, job.first, job.files()) for job in jobs] == [(0, 0, ["b.jpg", "d.jpg"]), (1, 2, ["e.jpg"]), (2, 3, ["a.jpg"])]


@pytest.mark.heavy
def test_a_folder_that_moved_goes_on(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    (photos / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.jpg"):
        (photos / name).write_bytes(name.encode() * 1000)
    assert prepare(photos, output, SMALL, group=1)["photos"] == 2
    written = b"".join(path.read_bytes() for path in output.iterdir() if path.suffix in (".json", ".jsonl"))
    assert str(tmp_path).encode() not in written
    first = (output / "shard-000000.json").stat().st_mtime_ns
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    photos.rename(moved)
    (moved / "c.jpg").write_bytes(b"new")
    assert prepare(moved, output, SMALL, group=1)["photos"] == 3
    assert (output / "shard-000000.json").stat().st_mtime_ns == first
    (moved / "sub" / "b.jpg").unlink()  # what is made may go
    assert prepare(moved, output, SMALL, group=1)["photos"] == 3


def test_a_folder_of_other_photos_is_refused(tmp_path: Path) -> None:
    photos, output, other = tmp_path / "photos", tmp_path / "out", tmp_path / "other"
    for folder, content in ((photos, b"a" * 300_000), (other, b"a" * 299_999 + b"b")):  # they differ in the last byte alone
        folder.mkdir()
        (folder / "a.jpg").write_bytes(content)
    prepare(photos, output, SMALL)
    with pytest.raises(UserError, match=r"a\.jpg is not the photo that .* was begun with"):
        prepare(other, output, SMALL)
    (other / "a.jpg").rename(other / "z.jpg")
    with pytest.raises(UserError, match="none of the 1 in its plan is in"):
        prepare(other, output, SMALL)
    (output / "plan.jsonl").write_text('["a.jpg"]\n')
    with pytest.raises(UserError, match="is not a plan of photos"):
        prepare(photos, output, SMALL)


def test_a_small_face_upside_down_is_a_second_face(tmp_path: Path) -> None:
    path = tmp_path / "two.png"
    Image.fromarray(group(420, 300, [(150, 150, 110, 0), (350, 60, 28, 180)])).save(path)
    with pytest.raises(samples.SkippedError, match="2 faces") as caught:
        samples.photo_samples(path, SampleSettings(64, "one"))
    assert caught.value.reason == "several faces"
    (sample,) = samples.photo_samples(path, SampleSettings(64, "largest"))
    assert json.loads(sample["meta.json"])["face"] == 0
    assert json.loads(sample["meta.json"])["faces"] is None  # only the largest was looked for


def test_refusals(photos: Path, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another size"):
        prepare(photos, shards, SampleSettings(size=128))
    with pytest.raises(UserError, match="not a folder"):
        prepare(tmp_path / "none", tmp_path / "out")
    with pytest.raises(UserError, match="engine 'spark'"):
        prepare(photos, tmp_path / "out", SMALL, "spark")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no files"):
        prepare(tmp_path / "empty", tmp_path / "out", SMALL)
    with pytest.raises(UserError, match="faces 'some'"):
        SampleSettings(faces="some")


def test_damaged_shards_are_one_sentence(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no index\.json"):
        ShardDataset(tmp_path)
    entries = write_shard(tmp_path / "shard-000000.tar", [("k", {"crop.png": b"not a picture", "parameters.json": b"{"})])
    (tmp_path / "shard-000000.json").write_text(json.dumps({"samples": entries}))
    (tmp_path / "index.json").write_text(
        json.dumps({"shardlist": [{"url": "shard-000000.tar", "nsamples": 1}], "size": 64, "crop_format": "png", "head": "open"})
    )
    data = ShardDataset(tmp_path)
    assert data.file(0, "crop.png") == b"not a picture"
    with pytest.raises(UserError, match="not the picture"):
        data.photo(0)
    with pytest.raises(UserError, match="not valid JSON"):
        data.parameters(0)
    with pytest.raises(UserError, match="cannot be read"):
        data.file(0, "other")
    (tmp_path / "shard-000000.tar").write_bytes(b"")
    with pytest.raises(UserError, match="cut off"):
        data.file(0, "crop.png")
    (tmp_path / "index.json").write_text(
        json.dumps({"shardlist": [{"url": "../x.tar", "nsamples": 1}], "size": 64, "crop_format": "png", "head": "open"})
    )
    with pytest.raises(UserError, match="outside its folder"):
        ShardDataset(tmp_path)


def test_a_folder_of_shard_folders_is_one_data_set(shards: Path, tmp_path: Path) -> None:
    import shutil

    for part in ("a", "b"):
        shutil.copytree(shards, tmp_path / part)
    both, one = ShardDataset(tmp_path), ShardDataset(shards)
    assert len(both) == 14
    assert both.file(9, "crop.png") == one.file(2, "crop.png")
    (tmp_path / "b" / "index.json").write_text(json.dumps({"shardlist": [], "size": 128, "crop_format": "png", "head": "open"}))
    with pytest.raises(UserError, match="several sizes"):
        ShardDataset(tmp_path)


def config(pairs: str, maps: tuple[str, ...]) -> TrainConfig:
    return TrainConfig(network="debug", pairs=pairs, batch=6, mask_patch=8, snapshot_maps=maps, flip=False)


def test_pairs_from_shards(shards: Path) -> None:
    from discontrolface.training.draws import draw

    data = ShardDataset(shards)
    paper = config("self", ("normals", "lambertian"))
    draws = draw(paper, 0, 6, len(data), 64)
    batch = data.batch(draws, paper)
    assert torch.equal(batch.source, batch.target)
    photo = torch.from_numpy(data.photo(int(draws.index[0]))).permute(2, 0, 1)
    assert torch.allclose(batch.target[0], photo * 2 - 1, atol=1e-6)
    own = config("self", ("normals", "lambertian", "preview", "visibility"))
    hidden = data.batch(draws, own)
    assert torch.equal(hidden.snapshot[:, :6], batch.snapshot)
    assert (hidden.snapshot[:, 6:] * draws.mask).abs().max() == 0, "a hidden patch can be copied from the preview"
    assert torch.equal(hidden.snapshot[:, 9:], (~draws.mask).float())
    ours = config("warp", ("normals", "lambertian", "preview", "visibility"))
    warped = data.batch(draws, ours)
    assert torch.equal(warped.source, data.batch(draws, ours).source), "the same draws, other pairs"
    assert not torch.equal(warped.source, warped.target)
    preview, visible = warped.snapshot[:, 6:9], warped.snapshot[:, 9:]
    assert visible.mean() > 0.5
    nearer = ((preview - warped.target).abs() * visible).mean() < ((warped.source - warped.target).abs() * visible).mean()
    assert nearer, "the preview is no nearer to the target than the source is"
    assert set(ours.snapshot_maps) == {"normals", "lambertian", "preview", "visibility"}


@pytest.mark.parametrize("pairs", ["self", "warp"])
def test_training_from_shards(photos: Path, tmp_path: Path, pairs: str) -> None:
    from discontrolface.training.log import read_log
    from discontrolface.training.train import train

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "run_local", lambda jobs, processes: map(make_shard, jobs))
        patch.setattr(preparing, "list_photos", lambda folder, output: ["portrait 001.jpg", "portrait 002.png"])
        prepare(photos, tmp_path / "shards", SampleSettings(size=32))
    data = ShardDataset(tmp_path / "shards")
    run = TrainConfig(stage="diffae", network="debug", pairs=pairs, steps=2, batch=2, mask_patch=8)
    backbone = train(run, data, tmp_path / "backbone")
    run = TrainConfig(stage="expfacenet", network="debug", pairs=pairs, steps=2, batch=2, mask_patch=8)
    train(run, data, tmp_path / "run", backbone, workers=1)
    assert len(read_log(tmp_path / "run" / "log.jsonl")) == 2


@pytest.mark.heavy
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray Data is not installed (extra `ray`)")
def test_ray_makes_the_same_shards(photos: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "GROUP", 4)
    report = prepare(photos, tmp_path / "out", SMALL, "ray", 1)
    assert report["left_out"] == {"damaged": 1, "no face": 1, "not a picture": 1}
    for path in shards.glob("shard-*.tar"):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


@pytest.mark.heavy
def test_two_hundred_photos_through_the_command(tmp_path: Path) -> None:
    """The whole of it: 200 portraits, 5 non-images, 5 without a face, 2 with two faces, 1 cut off; killed once."""
    photos, output = make_photos(tmp_path / "photos", 200, 5, 5, 2, 1), tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "discontrolface",
        "prepare",
        str(photos),
        "-o",
        str(output),
        "--faces",
        "one",
        "--processes",
        "2",
        "--size",
        "128",
    ]
    child = subprocess.Popen(command, start_new_session=True)
    while child.poll() is None and not list(output.glob("shard-*.json")):
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((output / "report.json").read_text())
    left = report["left_out"]
    assert (left["not a picture"], left["damaged"], left["several faces"]) == (5, 1, 2)
    missed = left["no face"] - 5 + left.get("bad fit", 0)
    assert 0 <= missed <= 6, "drawn portraits that the reader does not take"
    assert report["samples"] == 200 - missed
    assert len({name.split("/")[1] for name in contents(output)}) == 5 * report["samples"]
