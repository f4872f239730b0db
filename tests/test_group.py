"""Several faces of one photo: which are meant, in what order, and one picture of several edits."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.groups import group, matched
from helpers.networks import write_tiny_preset
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from discontrolface import Editor, UserError
from discontrolface.cli.app import app
from discontrolface.cli.controls import OtherFace
from discontrolface.cli.faces import parse_edit, read_edits
from discontrolface.common.example import example_photo
from discontrolface.common.provenance import read_provenance
from discontrolface.editing import editor as editor_room
from discontrolface.editing.composite import Patch
from discontrolface.editing.group import join
from discontrolface.editing.person import Person
from discontrolface.render.source import PreviewSource

FACES = [(130, 130, 100, 0), (290, 150, 84, 8), (450, 120, 70, 180)]


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("photos") / "party.png"
    Image.fromarray(group(540, 260, FACES)).save(path)
    return path


def run(*arguments: object) -> str:
    """What a command prints; it must work."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def refused(*arguments: object) -> str:
    """The one sentence of a command that is refused."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 2, (done.output, done.exception)
    return done.output


# ---- which faces there are


def test_read_lists_the_faces_and_says_which_one_it_read(photo: Path, tmp_path: Path) -> None:
    listed = run("read", photo, "--faces", "-o", tmp_path / "faces.json", "--sheet", tmp_path / "faces.png")
    rows = json.loads((tmp_path / "faces.json").read_text())["faces"]
    assert [row["face"] for row in rows] == [0, 1, 2]
    assert matched([row["box"] for row in rows], FACES) == (3, 0)
    assert [row["size"] for row in rows] == sorted((row["size"] for row in rows), reverse=True)
    assert all(",".join(map(str, row["box"])) in listed for row in rows)
    with Image.open(tmp_path / "faces.png") as sheet:
        drawn = (np.asarray(sheet).astype(int) != np.asarray(Image.open(photo).convert("RGB"))).any(-1)
    x0, y0, x1, y1 = rows[2]["box"]
    assert drawn[y0 - 2 : y1 + 3, x0 - 2 : x1 + 3].any()
    assert not drawn[:30].any()
    assert "3 found; face 1 is read" in " ".join(run("read", photo, "--face", "1").replace("│", " ").split())
    assert "--face 1 does nothing" in refused("read", photo, "--faces", "--face", "1")
    assert "neither a number nor 'all'" in refused("read", photo, "--face", "left")
    assert "--face all is for `edit` alone" in refused("read", photo, "--face", "all")


def test_all_faces_are_read_in_the_order_of_their_numbers(preset: Path, photo: Path) -> None:
    editor = Editor.load(preset)
    every = editor.read_all(photo)
    assert len(every) == 3
    for number, person in enumerate(every):
        assert np.array_equal(editor.read(photo, number).landmarks.points, person.landmarks.points)
    first, last = editor.reader.read_several(photo, [0, 2])
    assert np.array_equal(first.landmarks.points, every[0].landmarks.points)
    assert np.array_equal(last.landmarks.points, every[2].landmarks.points)


def test_a_face_of_another_photo_is_chosen_by_its_number(preset: Path, photo: Path, tmp_path: Path) -> None:
    source = example_photo()
    edit = ["edit", source, "-q", "--preset", preset, "--steps", "1"]
    written = {}
    for name, options in {
        "largest": ["--pose-from", photo],
        "by mark": ["--pose-from", f"{photo}#1"],
        "by option": ["--pose-from", photo, "--from-face", "1"],
    }.items():
        run(*edit, "-o", tmp_path / f"{name}.png", "--save-parameters", tmp_path / f"{name}.json", *options)
        written[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert written["by mark"] == written["by option"] != written["largest"]
    for name, number in (("largest", 0), ("by mark", 1)):
        run("read", photo, "--face", number, "-o", tmp_path / f"{number}.json")
        assert written[name]["pitch"] == pytest.approx(json.loads((tmp_path / f"{number}.json").read_text())["pitch"], abs=0.01)
    assert "no face 7" in refused(*edit, "-o", tmp_path / "x.png", "--pose-from", f"{photo}#7")


def test_a_file_whose_name_has_the_mark_is_itself(tmp_path: Path) -> None:
    named = tmp_path / "me#2"
    assert OtherFace.of(named, 0) == OtherFace(tmp_path / "me", 2)
    named.touch()
    assert OtherFace.of(named, 0) == OtherFace(named, 0)
    assert OtherFace.of(Path("a.jpg"), 3) == OtherFace(Path("a.jpg"), 3)
    assert OtherFace.of(Path("a#b.jpg"), 0) == OtherFace(Path("a#b.jpg"), 0)


# ---- several edits, one picture


def test_several_edits_make_one_picture(preset: Path, photo: Path, tmp_path: Path) -> None:
    edit = ["edit", photo, "-q", "--preset", preset, "--steps", "1"]
    (tmp_path / "edits.json").write_text('{"2": {"yaw": 10}, "0": {"smile": 0.8, "light": "left"}}')
    single = ["--edit", "0:smile=0.8,light=left", "--edit", "2:yaw=10"]
    run(*edit, "-o", tmp_path / "both.png", *single, "--sheet", tmp_path / "s.png", "--save-parameters", tmp_path / "p.json")
    run(*edit, "-o", tmp_path / "json.png", "--edits", tmp_path / "edits.json")
    run(*edit, "-o", tmp_path / "one.png", "--face", "2", "--yaw", "10")
    before, both, json_form, one = (
        np.asarray(Image.open(path).convert("RGB")).astype(int)
        for path in (photo, tmp_path / "both.png", tmp_path / "json.png", tmp_path / "one.png")
    )
    assert np.array_equal(both, json_form)
    changed = np.abs(both - before).max(-1) > 0
    for (x, y, size, _), edited in zip(FACES, (True, False, True), strict=True):
        half = int(size * 0.3)
        assert changed[y - half : y + half, x - half : x + half].any() == edited
    assert np.array_equal(both[:, 400:], one[:, 400:])  # far from the other edit it is the picture of that edit alone, to the bit
    record = read_provenance(tmp_path / "both.png")
    assert record is not None
    assert ["yaw" in face["edited"] for face in record["edited"]["faces"]] == [False, True]
    assert set(json.loads((tmp_path / "p.json").read_text())) == {"0", "2"}
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.width == 4 * 384


def test_all_faces_are_edited(preset: Path, photo: Path, tmp_path: Path) -> None:
    text = run(
        "edit",
        photo,
        "-q",
        "--preset",
        preset,
        "--steps",
        "1",
        "--face",
        "all",
        "--yaw",
        "9",
        "--edit",
        "1:yaw=-9",
        "-o",
        tmp_path / "x.png",
    )
    assert "3 faces edited" in text
    record = read_provenance(tmp_path / "x.png")
    assert record is not None
    assert [face["edited"]["yaw"][1] for face in record["edited"]["faces"]] == pytest.approx([9, -9, 9])


def test_of_many_faces_only_the_patches_are_kept(preset: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven megabytes a face, of hundreds. The picture is the same."""
    editor = Editor.load(preset)
    people = editor.read_all(photo)
    targets = [person.parameters.edit(yaw=9) for person in people]
    read_before = [set(vars(person)) for person in people]

    class NotKeptError(Exception):
        pass

    def kept(persons: list[Person]) -> list[bool]:
        def read() -> PreviewSource:
            raise NotKeptError

        there = []
        for person in persons:
            try:
                person.sources.get(256, read)
                there.append(True)
            except NotKeptError:
                there.append(False)
        return there

    monkeypatch.setattr(editor_room, "MANY", 2)
    many = editor.edit_group(people, targets, steps=1)
    assert kept(people) == [False] * 3
    assert [set(vars(person)) for person in people] == read_before, "no picture was worked out and left with the person"
    held = [part for edit in many.edits for part in (edit.patch, edit.native, edit.alpha) if part is not None]
    assert sum(part.pixels.nbytes + part.mask.nbytes for part in held) < 3 * many.photo.array.nbytes, (
        "patches, no larger than the photo's pixels"
    )
    monkeypatch.setattr(editor_room, "MANY", 3)
    few = editor.edit_group(people, targets, steps=1)
    assert kept(people) == [True] * 3
    assert np.array_equal(np.asarray(few.image), np.asarray(many.image))


def test_a_transparent_group_stays_transparent(preset: Path, photo: Path, tmp_path: Path) -> None:
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:, :12] = 0
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "cut.png")
    run(
        "edit",
        tmp_path / "cut.png",
        "-q",
        "--preset",
        preset,
        "--steps",
        "1",
        "--edit",
        "0:yaw=9",
        "--edit",
        "1:yaw=-9",
        "-o",
        tmp_path / "x.png",
    )
    with Image.open(tmp_path / "x.png") as out:
        assert out.mode == "RGBA"
        written = np.asarray(out)
    assert (written[:, :6, 3] == 0).all()
    assert (written[100:160, 100:160, 3] == 255).all()
    assert (written[100:160, 100:160, :3] != pixels[100:160, 100:160]).any()
    assert np.array_equal(written[:, 420:, :3], pixels[:, 420:])


def test_what_does_not_go_together_is_refused(preset: Path, photo: Path, tmp_path: Path) -> None:
    edit = ["edit", photo, "-q", "--preset", preset, "-o", tmp_path / "x.png"]
    assert "no face 5" in refused(*edit, "--edit", "5:yaw=3")
    assert "no face 5" in refused(*edit, "--face", "all", "--edit", "5:yaw=3")
    assert "--face 1 chooses one face" in refused(*edit, "--face", "1", "--edit", "0:yaw=3")
    assert "--face-box chooses one face" in refused(*edit, "--face-box", "1,2,30,40", "--edit", "0:yaw=3")
    assert "face 0 was given two edits" in refused(*edit, "--edit", "0:yaw=3", "--edit", "0:roll=3")
    assert "is of one person" in refused(*edit, "--face", "all", "--personal", "p.safetensors")
    assert "jawOpen" in refused(*edit, "--edit", "0:jawOpn=0.5")
    assert "also an input" in refused(
        "edit", photo, "-o", tmp_path / "y.png", "--save-parameters", tmp_path / "e.json", "--edits", tmp_path / "e.json"
    )
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("text", ["smile=0.8", "0", "0:", "x:smile=1", "0:smile", "-1:yaw=3", "0:=3", "0:yaw=1,yaw=2"])
def test_an_edit_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--edit"):
        parse_edit(text)


@pytest.mark.parametrize("text", ["[1]", '{"a": {}}', '{"0": 3}', "{", "3"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(UserError, match=r"e\.json is not a JSON object of edits by face"):
        read_edits(tmp_path / "e.json")


# ---- overlapping masks


def painted(left: int, mask: NDArray[np.floating], level: int, centre: float) -> tuple[Any, Patch]:
    """A face at `centre`, and an edit that paints a rectangle of a grey photo, in a mask."""
    photo = np.full((*mask.shape, 3), 100.0)
    pixels = np.rint(photo + mask[..., None] * (level - photo)).astype(np.uint8)
    person = SimpleNamespace(landmarks=SimpleNamespace(box=(centre - 20, 10, centre + 20, 50), face_size=40.0))
    return person, Patch(left, 0, pixels, mask.astype(np.float32))


def test_overlapping_edits_share_their_pixels() -> None:
    photo = np.full((60, 200, 3), 100, np.uint8)
    mask = np.ones((60, 80))
    mask[:, :8], mask[:, -8:] = np.linspace(0, 1, 8), np.linspace(1, 0, 8)  # a soft border
    a, b = painted(20, mask, 200, 60), painted(70, mask, 40, 110)
    far = painted(160, np.ones((60, 30)), 7, 175)
    out = join(photo, [a, b, far])
    assert np.array_equal(out, join(photo, [far, b, a]))
    assert np.array_equal(out[:, 20:70], a[1].on(photo)[:, 20:70])  # where only one is: that edit to the bit
    assert np.array_equal(out[:, 160:190], far[1].on(photo)[:, 160:190])
    assert (out[30, 78:80] > 190).all()  # nearer to the first face
    assert (out[30, 90:92] < 50).all()  # nearer to the second
    row = out[30, 20:150, 0].astype(int)
    alone = max(int(np.abs(np.diff(patch.on(photo)[30, :, 0].astype(int))).max()) for _, patch in (a, b))
    assert np.abs(np.diff(row)).max() < 3 * alone  # no seam
    outside = np.ones((60, 200), bool)
    for _, patch in (a, b, far):
        outside[patch.place] &= patch.mask == 0
    assert outside.any()
    assert np.array_equal(out[outside], photo[outside])
    deep = photo.astype(np.uint16) * 257  # the same in 16 bits
    parts = [(person, Patch(p.left, p.top, p.pixels.astype(np.uint16) * 257, p.mask)) for person, p in (a, b, far)]
    assert np.abs(join(deep, parts) / 257 - out).max() < 0.51
