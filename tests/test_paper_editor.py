"""The paper preset in the editor and on the command line: read, personalize, edit, export on a synthetic FLAME with tiny networks."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.networks import write_networks
from PIL import Image
from typer.testing import CliRunner, Result

from discontrolface import Editor, UserError
from discontrolface.bench.benchmark import measure
from discontrolface.bench.machine import Effort
from discontrolface.bench.network_stages import edit_stages, personal_stages
from discontrolface.bench.photo_stages import reading_stages
from discontrolface.bench.stage import Workload
from discontrolface.cli.app import app
from discontrolface.common.example import example_photo
from discontrolface.common.provenance import read_provenance
from discontrolface.common.snapshot_spec import OPEN_MAPS, PAPER_MAPS
from discontrolface.editing.person import Person
from discontrolface.editing.personalize import PAPER_ONE_SHOT, OneShot
from discontrolface.editing.reading import Reader
from discontrolface.face.codes import read_codes
from discontrolface.face.geometry import DetailGeometry
from discontrolface.weights.shipped import SHIPPED, list_shipped

PHOTO = example_photo()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def editor(paper_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Editor:
    return Editor.load("paper", cache=tmp_path_factory.mktemp("personal"), assets=paper_folder)


@pytest.fixture(scope="module")
def person(editor: Editor) -> Person:
    return editor.read(PHOTO)


@pytest.fixture(scope="module")
def flame_only(paper_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with FLAME and its landmarks, nothing else."""
    store: Path = tmp_path_factory.mktemp("flame")
    for name in ("flame.safetensors", "landmarks.safetensors", "actions.safetensors"):
        (store / name).write_bytes((paper_folder / name).read_bytes())
    return store


def test_reading_by_the_regressor(editor: Editor, person: Person) -> None:
    assert person.codes is not None
    assert person.parameters.head == "flame"
    assert isinstance(person.geometry, DetailGeometry)
    assert (person.geometry.label, person.without_detail().geometry.label) == ("flame+detail", "flame")
    # the reported landmark error, and the offsets that explain it, are of this reading
    p = person.parameters.tensors()
    seen = person.crop.to_crop(person.landmarks.points[:, :2])
    head = person.geometry.head
    placed = head(p["shape"], p["expression"], p["pose"]).landmarks_3d[0].numpy() + 0.0
    ndc = person.parameters.camera[0] * (placed[:, :2] + person.parameters.camera[1:])
    size = person.crop.size
    pixels = np.stack([(ndc[:, 0] + 1) / 2 * size, (1 - ndc[:, 1]) / 2 * size], 1)
    assert person.fit.mean_pixels == pytest.approx(np.linalg.norm(pixels - seen, axis=1).mean(), rel=1e-4)
    moved = placed + person.fit.offsets @ person.parameters.head_rotation.T
    ndc = person.parameters.camera[0] * (moved[:, :2] + person.parameters.camera[1:])
    assert np.abs(np.stack([(ndc[:, 0] + 1) / 2 * size, (1 - ndc[:, 1]) / 2 * size], 1) - seen).max() < 0.01

    again = editor.reader.reread(person, Image.fromarray(255 - person.photo.array[..., ::-1] // 2))
    assert np.array_equal(again.parameters.shape, person.parameters.shape)
    assert again.codes is not None
    assert again.codes.detail is person.codes.detail
    assert not torch.equal(again.codes.exp, person.codes.exp)


def test_read_personalize_edit(editor: Editor, person: Person) -> None:
    assert (editor.settings.iterations, editor.settings.warps, editor.settings.lr) == (2, 0, PAPER_ONE_SHOT.lr)
    personal = editor.personalize(person)
    path, plain = editor.personal_path(person), editor.personal_path(person.without_detail())
    assert path is not None
    assert path.is_file()
    assert path != plain
    again = editor.personalize(person, progress=lambda *_: pytest.fail("not cached"))
    assert again.codes is person.codes

    target = person.parameters.edit(expression={"jawOpen": 0.7, "mouthSmileLeft": 0.5}, yaw=person.parameters.yaw + 12)
    result = editor.edit(personal, target)
    picture, photo = np.asarray(result.image), person.photo.array
    assert picture.shape == photo.shape
    assert (picture != photo).any()
    assert np.array_equal(picture[~result.mask], photo[~result.mask])
    assert result.record["head"] == "flame+detail"
    assert result.record["start"] == "noise"
    assert np.array_equal(picture, np.asarray(editor.edit(personal, target).image))
    # the paper's ablation: control without the detail vector is another control, hence another picture
    without = editor.edit(person.without_detail(), target)
    assert without.record["head"] == "flame"
    assert not np.array_equal(np.asarray(without.crop), np.asarray(editor.edit(person, target).crop))
    a, b = (p.geometry.snapshot(target, 128, PAPER_MAPS) for p in (person, person.without_detail()))
    assert torch.equal(a.mask, b.mask)
    assert not torch.equal(a.image, b.image)
    ours = person.geometry.snapshot(target, 64, OPEN_MAPS, person.draft(target, 64)).image  # our maps go with wrinkles too
    assert ours.shape == (1, 10, 64, 64)


def test_preview_on_flame(person: Person) -> None:
    still = np.asarray(person.draft(person.parameters, 128).image)
    turned = person.draft(person.parameters.edit(yaw=person.parameters.yaw + 15), 128)
    photo = person.crop.resize(128).image / np.float32(255)
    assert np.abs(still - photo).max() < 1 / 255
    assert turned.mask.any()
    assert np.isfinite(turned.image).all()


def test_flame_alone_reads_and_edits(flame_only: Path, tmp_path: Path) -> None:
    """Without EMOCA and DECA: the landmark fit reads FLAME, and networks of the open kind edit with it."""
    reader = Reader.flame(flame_only)
    person = reader.read(PHOTO)
    assert person.codes is None
    assert person.geometry.label == "flame"
    assert person.fit.mean_percent < 1.5
    assert person.parameters.expression_dict()["mouthSmileLeft"] > 0.2  # she smiles
    write_networks(tmp_path, OPEN_MAPS, "visibility")
    (tmp_path / "preset.json").write_text(json.dumps({"name": "tiny", "head": "open", "start": "draft", "strength": 0.5, "steps": 4}))
    editor = Editor.load(tmp_path, cache=tmp_path / "cache", reader=reader)
    target = person.parameters.edit(yaw=person.parameters.yaw + 15)
    result = editor.edit(person, target)
    assert result.mask.any()
    assert editor.personalize(person, OneShot(iterations=1, batch=1, lr=1e-3, warps=1, mask_patch=4)).personal is not None
    again = reader.reread(person, result.image)
    assert np.array_equal(again.parameters.shape, person.parameters.shape)
    with pytest.raises(UserError, match="head model 'flame', but astronaut"):
        editor.edit(Reader.open().read(PHOTO), target)


def test_what_is_missing_is_said_before_anything_runs(paper_downloads: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert run("assets", "import", paper_downloads / "landmark_embedding.npy", "--assets-dir", store).exit_code == 0
    with pytest.raises(UserError, match="not complete") as error:
        Editor.load("paper", assets=store)
    for words in ("generic_model.pkl", "flame.is.tue.mpg.de", "emoca.is.tue.mpg.de", "phizaz/diffae", "exp_facenet"):
        assert words in str(error.value)
    assert "landmark_embedding" not in str(error.value)
    for command in (("edit", PHOTO, "-o", tmp_path / "out.png", "--yaw", "10"), ("personalize", PHOTO)):
        result = run(*command, "--preset", "paper", "--assets-dir", store)
        assert result.exit_code == 2
        assert result.stderr.strip() == f"error: {error.value}"
    assert "flame.safetensors is missing" in run("read", PHOTO, "--preset", "paper", "--assets-dir", store).stderr
    assert "choose one of open, flame" in run("read", PHOTO, "--head", "smpl").stderr
    assert not (tmp_path / "out.png").exists()


def test_assets_are_listed_and_imported(paper_downloads: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    (tmp_path / "bad.bin").write_bytes(b"hello")
    result = run(
        "assets", "import", paper_downloads / "head_template.obj", tmp_path / "bad.bin", paper_downloads / "diffae", "--assets-dir", store
    )
    assert result.exit_code == 2
    assert "head_template.obj: its texture coordinates, stored as" in result.stdout  # one bad file does not stop the others
    assert "diffae: the backbone" in result.stdout
    assert "still lacks 6" in result.stdout
    assert result.stderr.startswith("error: ")
    assert "bad.bin" in result.stderr
    (store / "topology.safetensors").write_bytes(b"changed")
    for order in (("assets", "--assets-dir", store), ("assets", "--assets-dir", store)):
        listed = run(*order)
        assert listed.exit_code == 0
    text = listed.stdout
    for file in SHIPPED:
        assert file.path in text
    for words in (
        "damaged  its texture coordinates",
        "ok       the backbone, Diff-AE",
        "generic_model.pkl",
        "CC BY-NC-SA",
        "7 needed files lacking",
    ):
        assert words in text


def test_shipped_files_are_checked(tmp_path: Path) -> None:
    states = {status.file.path: status.state for status in list_shipped()}
    assert all(state == "ok" for path, state in states.items() if not path.startswith("open/"))
    assert {status.state for status in list_shipped(tmp_path)} == {"missing"}
    (tmp_path / "landmarks").mkdir()
    (tmp_path / "landmarks" / "face_blendshapes.tflite").write_bytes(b"TFL3")
    (tmp_path / "open_head.npz").write_bytes(b"PK")
    write_networks(tmp_path / "open", OPEN_MAPS, "visibility")
    (tmp_path / "open" / "diffae" / "config.json").write_text("{}")
    states = {status.file.path: status.state for status in list_shipped(tmp_path)}
    assert [path for path, state in states.items() if state == "damaged"] == [
        "open_head.npz",
        "landmarks/face_blendshapes.tflite",
        "open/diffae",
    ]
    assert states["open/exp_facenet"] == "ok"


def test_command_line(paper_folder: Path, tmp_path: Path) -> None:
    paper = ("--preset", "paper", "--assets-dir", paper_folder)
    read = run("read", PHOTO, *paper, "-o", tmp_path / "face.json", "--sheet", tmp_path / "sheet.png", "--codes", tmp_path / "codes.npz")
    assert read.exit_code == 0, read.output
    assert read_codes(tmp_path / "codes.npz").detail is not None
    assert "there are no codes" in run("read", PHOTO, "--codes", tmp_path / "none.npz").stderr
    assert "choose one of .npz" in run("read", PHOTO, "--codes", tmp_path / "codes.txt").stderr
    assert json.loads((tmp_path / "face.json").read_text())["head"] == "flame"
    cache = ("--cache-dir", tmp_path / "cache")
    personal = run("personalize", PHOTO, *paper, *cache)
    assert personal.exit_code == 0, personal.output
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1
    edit = ("edit", PHOTO, *paper, *cache, "--yaw", "10", "--expression", "jawOpen=0.6", "--parameters", tmp_path / "face.json")
    edited = run(*edit, "-o", tmp_path / "out.png")
    assert edited.exit_code == 0, edited.output
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1  # the personal weights were found
    record = read_provenance(tmp_path / "out.png")
    assert record is not None
    assert record["head"] == "flame+detail"
    assert run(*edit, "-o", tmp_path / "plain.png", "--no-detail", "--no-personal").exit_code == 0
    record = read_provenance(tmp_path / "plain.png")
    assert record is not None
    assert record["head"] == "flame"
    wrong = run(
        "edit", PHOTO, "-o", tmp_path / "no.png", "--preset", paper_folder, "--head", "open", "--parameters", tmp_path / "face.json"
    )
    assert wrong.exit_code == 2
    assert "head model 'flame'" in wrong.stderr


def test_export(paper_folder: Path, tmp_path: Path) -> None:
    common = ("--preset", "paper", "--assets-dir", paper_folder, "--texture", "64", "--yaw", "20")
    assert run("export", PHOTO, "-o", tmp_path / "fine.glb", *common).exit_code == 0
    assert run("export", PHOTO, "-o", tmp_path / "head.obj", *common, "--no-detail", "--at-rest").exit_code == 0
    assert {p.name for p in tmp_path.iterdir()} == {"fine.glb", "head.obj", "head.mtl", "head.png"}
    data = (tmp_path / "fine.glb").read_bytes()
    document = json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])
    coarse = (tmp_path / "head.obj").read_text().splitlines()
    triangles = document["accessors"][document["meshes"][0]["primitives"][0]["indices"]]["count"] // 3
    assert triangles == 16 * sum(line.startswith("f ") for line in coarse)  # with the wrinkles
    again = run("export", PHOTO, "-o", tmp_path / "head.obj", *common)
    assert again.exit_code == 2
    assert "exists" in again.stderr
    assert "choose .glb or .obj" in run("export", PHOTO, "-o", tmp_path / "head.stl").stderr
    assert run("export", PHOTO, "-o", tmp_path / "open.glb", "--expression", "smile=1", "--texture", "0").exit_code == 0


def test_every_stage_of_the_benchmark_runs(editor: Editor, person: Person, paper_folder: Path) -> None:
    """The paper preset is read by networks, personalized without drawn pairs and edited from noise: other stages than the open preset's."""
    work = Workload(paper_folder, editor, person.photo, person, batches=(1,), steps=(1,))
    stages = [*reading_stages(work), *personal_stages(work), *edit_stages(work)]
    assert [s.name for s in stages if not s.name.startswith("read:")] == ["read", "personalize: iteration", "edit from noise"]
    assert "read: parameters" in [s.name for s in stages]
    before = {name: value.clone() for name, value in editor.preset.control.state_dict().items()}
    for stage in stages:
        assert min(measure(stage, Effort(0.0, 1, 1)).times) > 0
    assert all(torch.equal(value, before[name]) for name, value in editor.preset.control.state_dict().items()), "measuring changes nothing"
