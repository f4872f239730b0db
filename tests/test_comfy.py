"""The nodes as ComfyUI's loader and executor see them: a small executor by its documented contract runs the example workflows' nodes."""

import importlib.util
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.networks import write_tiny_preset
from PIL import Image
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.comfy.controls import AS_IT_IS, CONTROL_NODES
from discontrolface.comfy.plan import Plan
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.common.video import clip_frames, clip_info, write_clip
from discontrolface.face.controls import CONTROLS
from discontrolface.face.heads.registry import find_head
from discontrolface.face.parameters import FaceParameters

FOLDER = Path(__file__).parents[1] / "comfyui"
PHOTO = example_photo()
BUILT_IN = {"IMAGE", "MASK", "STRING", "INT", "FLOAT", "BOOLEAN"}


@pytest.fixture(scope="module")
def nodes() -> dict[str, Any]:
    """Loaded as ComfyUI loads a folder of `custom_nodes`."""
    spec = importlib.util.spec_from_file_location("custom_nodes.discontrolface", FOLDER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    assert module.NODE_DISPLAY_NAME_MAPPINGS.keys() == module.NODE_CLASS_MAPPINGS.keys()
    return dict(module.NODE_CLASS_MAPPINGS)


@pytest.fixture(scope="module")
def face() -> FaceParameters:
    return FaceParameters.default(find_head("open").geometry().head)


class LoadImage:
    """Stands in for ComfyUI's own."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("STRING", {})}}

    def run(self, image: str) -> tuple[torch.Tensor]:
        return (torch.from_numpy(np.array(Image.open(image).convert("RGB"))).float()[None] / 255,)


def execute(workflow: dict[str, Any], classes: dict[str, Any], wanted: str) -> tuple[Any, ...]:
    """Run a workflow in the API format up to node `wanted`: each node once, links checked as ComfyUI's validation does."""
    done: dict[str, tuple[Any, ...]] = {}

    def run(number: str) -> tuple[Any, ...]:
        if number in done:
            return done[number]
        node = workflow[number]
        cls = classes[node["class_type"]]
        declared = cls.INPUT_TYPES()
        accepted = {**declared.get("required", {}), **declared.get("optional", {})}
        assert set(declared.get("required", {})) <= set(node["inputs"]), "a required input is missing"
        values = {}
        for name, given in node["inputs"].items():
            kind = accepted[name][0]
            if isinstance(given, list):
                origin = classes[workflow[given[0]]["class_type"]]
                assert origin.RETURN_TYPES[given[1]] == kind, f"{name} takes {kind}"
                values[name] = run(given[0])[given[1]]
            else:
                if isinstance(kind, list):
                    assert given in kind
                elif kind in ("INT", "FLOAT"):
                    limits = accepted[name][1]
                    assert limits["min"] <= given <= limits["max"]
                values[name] = given
        done[number] = getattr(cls(), cls.FUNCTION)(**values)
        assert len(done[number]) == len(cls.RETURN_TYPES)
        return done[number]

    return run(wanted)


def test_every_node_keeps_the_contract(nodes: dict[str, Any]) -> None:
    for name, cls in nodes.items():
        declared = cls.INPUT_TYPES()
        assert set(declared) <= {"required", "optional", "hidden"}, name
        assert callable(getattr(cls(), cls.FUNCTION))
        assert cls.CATEGORY == "DisControlFace"
        assert len(cls.DESCRIPTION) > 20
        assert all(kind in BUILT_IN or kind.startswith("DCF_") for kind in cls.RETURN_TYPES)
        for kind, *options in (*declared["required"].values(), *declared.get("optional", {}).values()):
            assert isinstance(kind, list) or kind in BUILT_IN or kind.startswith("DCF_")
            if isinstance(kind, list) or kind in ("INT", "FLOAT"):
                assert "default" in options[0]
    json.dumps({name: cls.INPUT_TYPES() for name, cls in nodes.items()})  # as ComfyUI's /object_info sends them


def test_sliders_are_those_of_the_table(face: FaceParameters) -> None:
    shown = {key for cls in CONTROL_NODES.values() for key in cls.INPUT_TYPES()["required"]}
    listed = {control.key.replace(".", "_") for control in CONTROLS.table.rows if getattr(control, "kind", "") in ("number", "choice")}
    assert shown <= listed
    assert {"yaw", "gaze_pitch", "expression_jawOpen", "expression_winkLeft", "light", "light_rotation"} <= shown
    for cls in CONTROL_NODES.values():
        still = {name: options[1]["default"] for name, options in cls.INPUT_TYPES()["required"].items()}
        (plan,) = cls().run(**still)
        assert plan.apply(face) == face, "untouched sliders change nothing, to the bit"


def test_controls_by_name(nodes: dict[str, Any], face: FaceParameters) -> None:
    named = nodes["DisControlFaceNamed"]()
    (plan,) = named.run("smile=0.8, yaw=12\nlight=left")
    (plan,) = nodes["DisControlFaceNeutral"]().run(plan)
    changed = plan.apply(face)
    assert changed.yaw == pytest.approx(12, abs=1e-3)
    assert changed.blendshape("mouthSmileLeft") == 0, "nodes act one after the other"
    for wrong, said in (("smile", "NAME=VALUE"), ("smiel=1", "smile"), ("smile=9", "out of range")):
        with pytest.raises(UserError, match=said):
            named.run(wrong)[0].apply(face)


@pytest.fixture(scope="module")
def workflows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The examples, with the example photo and a tiny preset."""
    preset = tmp_path_factory.mktemp("comfy") / "preset"
    write_tiny_preset(preset)
    text = {path.stem: path.read_text() for path in (FOLDER / "workflows").glob("*.json")}
    files = {'"photo.png"': json.dumps(str(PHOTO)), '"other.png"': json.dumps(str(PHOTO)), '"open"': json.dumps(str(preset))}
    for old, new in files.items():
        text = {name: value.replace(old, new) for name, value in text.items()}
    return {name: json.loads(value) for name, value in text.items()}


def test_the_example_edits_run(nodes: dict[str, Any], workflows: dict[str, Any]) -> None:
    classes = {**nodes, "LoadImage": LoadImage}
    image, mask, crop, parameters = execute(workflows["smile_and_turn"], classes, "5")
    photo = LoadImage().run(str(PHOTO))[0]
    assert image.shape == photo.shape
    assert image.dtype == torch.float32
    assert mask.shape == photo.shape[:3]
    assert torch.equal(image[mask == 0], photo[mask == 0])
    assert not torch.equal(image, photo)
    assert crop.shape[0] == 1
    assert FaceParameters.from_json(parameters).blendshape("mouthSmileLeft") == pytest.approx(0.8, abs=1e-4)
    (preview,) = execute(workflows["expression_of_another"], classes, "7")
    assert preview.ndim == 4
    assert 0 <= preview.min() <= preview.max() <= 1


def test_animate_takes_a_batch(nodes: dict[str, Any], workflows: dict[str, Any]) -> None:
    start = {k: v for k, v in workflows["animate"].items() if k in ("1", "2", "3")}
    classes = {**nodes, "LoadImage": LoadImage}
    (person, *_), (editor,) = execute(start, classes, "3"), execute(start, classes, "1")
    photo = LoadImage().run(str(PHOTO))[0]
    frames = photo.expand(3, -1, -1, -1)
    given = {k: v for k, v in workflows["animate"]["6"]["inputs"].items() if not isinstance(v, list)}
    (moved,) = nodes["DisControlFaceAnimate"]().run(editor=editor, person=person, frames=frames, frame_rate=25.0, **given)
    assert moved.shape == frames.shape
    assert torch.equal(moved[0], moved[2]), "the same frame gives the same picture"
    with pytest.raises(UserError, match="Animate"):
        nodes["DisControlFaceRead"]().run(editor, frames, 0)
    with pytest.raises(UserError, match="face 7 is not there"):
        nodes["DisControlFaceRead"]().run(editor, photo, 7)


def command_line(workflow: dict[str, Any], *arguments: object) -> None:
    preset = workflow["1"]["inputs"]["preset"]
    done = CliRunner().invoke(app, [*(str(argument) for argument in arguments), "--preset", preset, "-q"])
    assert done.exit_code == 0, done.output


def test_an_edit_is_the_command_lines(nodes: dict[str, Any], workflows: dict[str, Any], tmp_path: Path) -> None:
    image, *_ = execute(workflows["smile_and_turn"], {**nodes, "LoadImage": LoadImage}, "5")
    asked = ["--expression", "smile=0.8", "--yaw", "12", "--no-personal"]
    command_line(workflows["smile_and_turn"], "edit", PHOTO, *asked, "-o", tmp_path / "edited.png")
    with Image.open(tmp_path / "edited.png") as edited:
        assert np.array_equal(np.asarray(edited), np.rint(image[0].numpy() * 255))


def test_a_moving_photo_is_the_command_lines(nodes: dict[str, Any], workflows: dict[str, Any], tmp_path: Path) -> None:
    """The whole workflow, with stand-ins for ComfyUI's own nodes that read clips."""
    pytest.importorskip("av", reason="extra `video` is not installed")
    with Image.open(PHOTO) as photo:
        turns = [np.asarray(photo.convert("RGB").rotate(angle)) for angle in (0, 4, 8)]
    write_clip(tmp_path / "clip.mp4", turns, Fraction(25), {})

    class LoadVideo(LoadImage):
        RETURN_TYPES = ("VIDEO",)

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"file": ("STRING", {})}}

        def run(self, file: str) -> tuple[Any]:  # type: ignore[override]
            return (tmp_path / file,)

    class GetVideoComponents(LoadImage):
        RETURN_TYPES = ("IMAGE", "AUDIO", "FLOAT")

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"video": ("VIDEO", {})}}

        def run(self, video: Path) -> tuple[Any, ...]:  # type: ignore[override]
            return torch.from_numpy(np.stack(list(clip_frames(video)))).float() / 255, None, float(clip_info(video).rate)

    built_in = {"LoadImage": LoadImage, "LoadVideo": LoadVideo, "GetVideoComponents": GetVideoComponents}
    (moved,) = execute(workflows["animate"], {**nodes, **built_in}, "6")
    command_line(workflows["animate"], "animate", PHOTO, "--drive", tmp_path / "clip.mp4", "-o", tmp_path / "frames")
    for k, frame in enumerate(moved):
        with Image.open(tmp_path / "frames" / f"{k:06d}.png") as made:
            assert np.abs(np.asarray(made) - np.rint(frame.numpy() * 255)).max() <= 1, "but for the rounding of another number of threads"
    assert not torch.equal(moved[0], moved[2])


def test_plans_do_not_change(face: FaceParameters) -> None:
    plan = Plan()
    assert plan.then(lambda f: f.edit(yaw=5)).apply(face).yaw == pytest.approx(5, abs=1e-3)
    assert plan.apply(face) == face
    assert AS_IT_IS not in CONTROLS.table.groups
