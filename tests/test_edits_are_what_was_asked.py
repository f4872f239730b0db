"""Read the edited picture again: does it show what was asked, and the same person?

The landmark model under-reads: asked changes come back damped, also on drawings of the true 3D head. So each test states, as a share of the
asked change, the range in which what is read again must lie. Both readings, before and after, are of pictures; identity (shape) is held.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from discontrolface import Editor, FaceParameters, UserError
from discontrolface.common.example import example_photo
from discontrolface.editing.person import Person
from discontrolface.render.shade import sh_shading

PHOTO = example_photo()

Reading = Callable[[FaceParameters], float]


def action(*names: str) -> Reading:
    return lambda p: float(np.mean([p.expression_dict()[n] for n in names]))


def brighter_towards(axis: int) -> Reading:
    """How much brighter the light makes a face towards an axis (0: the picture's right, 1: up).

    The mean over the visible half of a sphere (every pixel counted once) of shading times the normal's part along the axis, over the mean shading.
    One coefficient alone says little: on that half, the bands x and x z look nearly alike, and a fit may swap one for the other.
    """

    def reading(p: FaceParameters) -> float:
        across = (torch.arange(61) - 30) / 30.5
        y, x = torch.meshgrid(across, across, indexing="ij")
        inside = x**2 + y**2 < 0.99
        normals = torch.stack([x, y, (1 - x**2 - y**2).clamp(min=0).sqrt()], -1)[inside]
        shading = sh_shading(normals[None], torch.tensor(p.light)[None])[0].mean(-1)
        return float((shading * normals[:, axis]).mean() / shading.mean())

    return reading


EDITS: dict[str, tuple[dict[str, object], Reading, float, float]] = {
    "jawOpen": ({"expression": {"jawOpen": 0.7}}, action("jawOpen"), 0.6, 1.3),  # measured 0.71
    "less smile": ({"expression": {"smile": 0.0}}, action("mouthSmileLeft", "mouthSmileRight"), 0.5, 1.2),
    # Measured 0.90, and 0.88 of the raised brows; with the shares of landmarks before, 0.83 and 0.81.
    "blink": ({"expression": {"blink": 1.0}}, action("eyeBlinkLeft", "eyeBlinkRight"), 0.86, 1.2),
    "pucker": ({"neutral": True, "expression": {"pucker": 1.0}}, action("mouthPucker"), 0.4, 1.2),
    "brows up": ({"expression": {"browsUp": 1.0}}, action("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), 0.75, 1.2),
    "yaw 15": ({"yaw": 15}, lambda p: p.yaw, 0.75, 1.2),
    "yaw -15": ({"yaw": -15}, lambda p: p.yaw, 0.7, 1.2),
    "pitch 10": ({"pitch": 10}, lambda p: p.pitch, 0.7, 1.2),
    "roll 12": ({"roll": 12}, lambda p: p.roll, 0.85, 1.15),
    "light from the left": ({"light": "left"}, brighter_towards(0), 0.4, 1.3),
    "light from the right": ({"light": "right"}, brighter_towards(0), 0.4, 1.3),
    "light from the top": ({"light": "top"}, brighter_towards(1), 0.4, 1.3),
    "gaze": ({"gaze": (20, 0)}, lambda p: p.gaze[0], 0.6, 1.2),
}


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.load("open")


@pytest.fixture(scope="module")
def person(editor: Editor) -> Person:
    return editor.read(PHOTO)


@pytest.fixture(scope="module")
def unedited(editor: Editor, person: Person) -> Person:
    from PIL import Image

    return editor.reader.reread(person, Image.fromarray(person.photo.array))


@pytest.mark.parametrize("name", EDITS)
def test_reading_the_edit_again(editor: Editor, person: Person, unedited: Person, name: str) -> None:
    wanted, reading, least, most = EDITS[name]
    target = person.parameters.edit(**wanted)  # type: ignore[arg-type]
    result = editor.edit(person, target, steps=10)
    again = editor.reader.reread(person, result.image)
    asked = reading(target) - reading(person.parameters)
    got = reading(again.parameters) - reading(unedited.parameters)
    assert least < got / asked < most, f"asked for {asked:+.2f}, read again {got:+.2f} ({got / asked:.2f} of it)"


def test_the_light_is_seen_in_the_pixels(editor: Editor, person: Person) -> None:
    """No fit in between: light from the left makes the left cheek brighter against the right one than in the photo; from the right the other way."""
    skin = np.asarray(person.crop.resize(editor.size).image, np.float64).mean(-1)

    def left_over_right(picture: np.ndarray) -> float:
        left, right = (picture[130:180, columns].mean() for columns in (slice(85, 115), slice(141, 171)))  # both cheeks
        return float(np.log(left / right))

    def edited(name: str) -> float:
        crop = editor.edit(person, person.parameters.edit(light=name), steps=10).crop.resize((editor.size, editor.size))
        return left_over_right(np.asarray(crop, np.float64).mean(-1))

    assert edited("left") > left_over_right(skin) + 0.03
    assert edited("right") < left_over_right(skin) - 0.1


@pytest.mark.parametrize("name", [name for name in EDITS if name != "light from the top"])  # hard shadows: 0.51
def test_the_person_stays_the_person(editor: Editor, person: Person, name: str) -> None:
    """Distance of dlib's face embeddings below 0.45 (0.6 is dlib's bound for the same person). Needs the extra `eval`."""
    from discontrolface.evaluation.identity import IdentityModel

    try:
        model = IdentityModel()
    except UserError:
        pytest.skip("the extra eval is not installed")
    result = editor.edit(person, person.parameters.edit(**EDITS[name][0]), steps=10)  # type: ignore[arg-type]
    picture = np.asarray(result.image)
    found = editor.reader.landmarker.find_face(picture, box=person.landmarks.box)
    assert model.distance((person.photo.array, person.landmarks), (picture, found)) < 0.45
