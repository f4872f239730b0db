"""A node for each group of the table of controls, its sliders from the table's rows: the face of the photo is 0, a slider adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from discontrolface.comfy.node import Node
from discontrolface.comfy.plan import Plan
from discontrolface.editing.person import Person
from discontrolface.face.added import with_added
from discontrolface.face.control_table import DEGREES, Control, Stage
from discontrolface.face.controls import CONTROLS, PARTS
from discontrolface.face.parameters import FaceParameters

CONTROLS_TYPE: Final = "DCF_CONTROLS"
PERSON_TYPE: Final = "DCF_PERSON"
AS_IT_IS: Final = "as it is"
EARLIER: Final = {"controls": (CONTROLS_TYPE, {"tooltip": "Changes that come before these."})}


def slider(control: Control) -> tuple[Any, dict[str, Any]]:
    """An input of ComfyUI for a control."""
    if control.kind == "choice":
        return [AS_IT_IS, *control.choices], {"default": AS_IT_IS, "tooltip": control.help}
    low, high = control.range
    widest = high - min(low, 0)
    step = 0.5 if control.unit == DEGREES else 0.01
    about = f"{control.help} Added to what the photo shows."
    return "FLOAT", {"default": 0.0, "min": -widest, "max": widest, "step": step, "display": "slider", "tooltip": about}


def group_node(group: str, controls: list[Control]) -> type:
    """The node class of one group."""
    by_name = {control.key.replace(".", "_"): control for control in controls}

    def input_types(cls: type) -> dict[str, Any]:
        return {"required": {name: slider(control) for name, control in by_name.items()}, "optional": dict(EARLIER)}

    def run(self: Any, controls: Plan | None = None, **values: Any) -> tuple[Plan]:
        given = {by_name[name].key: value for name, value in values.items() if value not in (AS_IT_IS, 0)}
        return ((controls or Plan()).then(lambda face: with_added(face, given) if given else face),)

    return type(
        f"{group.title().replace(' ', '')}Controls",
        (Node,),
        {
            "__doc__": f"The controls of the group {group!r}. At rest they leave what the photo shows, to the bit; a slider adds to it.",
            "INPUT_TYPES": classmethod(input_types),
            "RETURN_TYPES": (CONTROLS_TYPE,),
            "RETURN_NAMES": ("controls",),
            "run": run,
        },
    )


def control_nodes() -> Mapping[str, type]:
    """{group: node class}, for all that the table has a row for. Turns (changes of an angle that has a slider) are left out, here all are changes."""
    groups: dict[str, list[Control]] = {}
    for row in CONTROLS.table.rows:
        if isinstance(row, Control) and row.kind != "switch" and not (row.stage == Stage.CHANGE and row.excludes):
            groups.setdefault(row.group, []).append(row)
    return {group: group_node(group, groups[group]) for group in CONTROLS.table.groups if group in groups}


CONTROL_NODES: Final = control_nodes()


class NamedControls(Node):
    """Any control by name, set to a value: `smile=0.8, jawOpen=0.2, yaw=10`."""

    RETURN_TYPES: ClassVar = (CONTROLS_TYPE,)
    RETURN_NAMES: ClassVar = ("controls",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        about = "NAME=VALUE, NAME=VALUE, ...: see docs/controls.md. Sets the value, whatever the photo shows."
        return {
            "required": {"values": ("STRING", {"default": "smile=0.8", "multiline": True, "tooltip": about})},
            "optional": dict(EARLIER),
        }

    def run(self, values: str, controls: Plan | None = None) -> tuple[Plan]:
        from discontrolface.comfy.words import pairs_of

        given = pairs_of(values)
        return ((controls or Plan()).then(lambda face: face.edit(controls=given)),)


class NeutralFace(Node):
    """Every blendshape and the jaw to 0; head and gaze stay."""

    RETURN_TYPES: ClassVar = (CONTROLS_TYPE,)
    RETURN_NAMES: ClassVar = ("controls",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "optional": dict(EARLIER)}

    def run(self, controls: Plan | None = None) -> tuple[Plan]:
        return ((controls or Plan()).then(lambda face: face.edit(neutral=True)),)


class CopyFromPhoto(Node):
    """Parts of another face: expression, pose, gaze, light, shape."""

    RETURN_TYPES: ClassVar = (CONTROLS_TYPE,)
    RETURN_NAMES: ClassVar = ("controls",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        parts = {part.name: ("BOOLEAN", {"default": part.name == "expression"}) for part in PARTS}
        return {"required": {"person": (PERSON_TYPE, {"tooltip": "The face to copy from."}), **parts}, "optional": dict(EARLIER)}

    def run(self, person: Person, controls: Plan | None = None, **parts: bool) -> tuple[Plan]:
        chosen = [name for name, wanted in parts.items() if wanted]

        def copied(face: FaceParameters) -> FaceParameters:
            return face.take_from(person.parameters, *chosen) if chosen else face

        return ((controls or Plan()).then(copied),)
