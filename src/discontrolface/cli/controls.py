"""The options that say what changes in a face: the same for an edit and for an exported head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discontrolface.cli.common import parse_numbers, parse_pairs

if TYPE_CHECKING:
    from discontrolface.editing.person import Person
    from discontrolface.editing.reading import Reader
    from discontrolface.face.parameters import FaceParameters


@dataclass(frozen=True)
class Controls:
    """What is to be different."""

    expression: Annotated[str, typer.Option(help="Actions or short names, 0 to 1.5: jawOpen=0.6,smile=0.8.", metavar="NAME=VALUE,...")] = ""
    yaw: Annotated[float | None, typer.Option(help="Where the face turns, degrees; positive: to the image's right.")] = None
    pitch: Annotated[float | None, typer.Option(help="Degrees; positive: looks up.")] = None
    roll: Annotated[float | None, typer.Option(help="Degrees; positive: tilts clockwise.")] = None
    turn: Annotated[str | None, typer.Option(help="Turn by these degrees instead.", metavar="YAW,PITCH,ROLL")] = None
    jaw: Annotated[float | None, typer.Option(help="Jaw joint, degrees open, 0 to 30.")] = None
    gaze: Annotated[str | None, typer.Option(help="Gaze relative to the head, degrees.", metavar="YAW,PITCH")] = None
    light: Annotated[str | None, typer.Option(help="A light by name: left, right, top, bottom, front, rim, even, ...")] = None
    light_rotation: Annotated[float | None, typer.Option(help="Turn the light about the vertical axis, degrees.")] = None
    shape: Annotated[str, typer.Option(help="Shape coefficients, standard deviations: 0=1.5,3=-1.", metavar="N=VALUE,...")] = ""
    neutral: Annotated[bool, typer.Option("--neutral", help="First relax every expression.")] = False
    expression_from: Annotated[Path | None, typer.Option(help="Take the expression of another photo.")] = None
    pose_from: Annotated[Path | None, typer.Option(help="Take the head's pose of another photo.")] = None
    light_from: Annotated[Path | None, typer.Option(help="Take the light of another photo.")] = None
    shape_from: Annotated[Path | None, typer.Option(help="Take the shape of the face of another photo.")] = None
    parameters: Annotated[Path | None, typer.Option(help="Start from parameters in this JSON file (see `read -o`).")] = None

    def wanted(self) -> dict[str, Any]:
        """The named values, as `FaceParameters.edit` takes them. UserError for what is not understood, before anything is loaded."""
        return {
            "expression": parse_pairs(self.expression, "--expression"),
            "yaw": self.yaw,
            "pitch": self.pitch,
            "roll": self.roll,
            "turn": parse_numbers(self.turn, "--turn", 3),
            "gaze": parse_numbers(self.gaze, "--gaze", 2),
            "jaw": self.jaw,
            "light": self.light,
            "light_rotation": self.light_rotation,
            "shape": parse_pairs(self.shape, "--shape"),
            "neutral": self.neutral,
        }

    def target(self, reader: Reader, person: Person) -> FaceParameters:
        """The photo's parameters, then the file's, then parts of other photos, then the named values."""
        from discontrolface.common.text_files import read_text
        from discontrolface.face.parameters import FaceParameters

        target = person.parameters
        if self.parameters is not None:
            given = FaceParameters.from_json(read_text(self.parameters), base=target, source=str(self.parameters))
            person.check_target(given)
            target = given.with_(camera=target.camera)  # where the head is in this crop is this photo's own
        others = {"expression": self.expression_from, "pose": self.pose_from, "light": self.light_from, "shape": self.shape_from}
        for part, path in others.items():
            if path is not None:
                target = target.take_from(reader.read(path).parameters, part)
        return target.edit(**self.wanted())
