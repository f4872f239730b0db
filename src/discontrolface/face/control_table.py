"""What a control is, and the table that holds them. The rows themselves: controls.py. No heavy imports: the command line's help is made from this.

A control is one slider: a number of one face that a user sees and changes. From its row come the keyword of `FaceParameters.edit`, the option of the
command line, the key in a parameter file, the line of `difference` and of `discontrolface read`, and docs/controls.md.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Literal

from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.face.face_state import FaceState
    from discontrolface.face.parameters import FaceParameters

DEGREES: Final = "degrees"
DEVIATIONS: Final = "standard deviations"
RESERVED: Final = ("format", "version", "head", "exact", "camera", "albedo", "parameters")  # other keys of files, differences and options


class Stage(IntEnum):
    """When a control is applied: what acts on much before what acts on little, so that `smile=1,mouthSmileLeft=0.2` keeps the 0.2."""

    RESET = 0
    COMBINATION = 1
    VALUE = 2
    CHANGE = 3  # adds to what is there; a change by 0 changes nothing, to the bit


@dataclass(frozen=True, kw_only=True, eq=False)
class Control:
    """One row of the table.

    apply: writes a checked value into a FaceState. read: the value of a face; None for what a face does not show (a change, a light by name).
    """

    name: str  # what users type; unique within its argument
    group: str  # where a studio shows it, one of the table's groups
    label: str  # on screen
    help: str  # one sentence without range and unit: these are added from below
    apply: Callable[[FaceState, Any], None]
    read: Callable[[FaceParameters], float] | None = None
    range: tuple[float, float] = (0.0, 1.0)
    unit: str = ""  # DEGREES, DEVIATIONS, or "" for a share
    argument: str = ""  # an Argument that it is given in, as `expression`; "": it is given by its own name
    kind: Literal["number", "choice", "switch"] = "number"
    choices: tuple[str, ...] = ()  # the names of a choice
    heads: tuple[str, ...] = ()  # head models that have it; (): all
    blendshapes: tuple[str, ...] = ()  # names that a head needs to have it
    measures: tuple[str, ...] = ()  # measurements of the shape that a head needs to have it
    stage: Stage = Stage.VALUE
    recorded: bool = True  # written in files, differences and readings; False for a combination: its parts are
    excludes: tuple[str, ...] = ()  # controls that may not be given together with it

    @property
    def key(self) -> str:
        """Its name among all controls: `yaw`, `expression.jawOpen`."""
        return f"{self.argument}.{self.name}" if self.argument and not self.name.startswith(f"{self.argument}_") else self.name

    @property
    def title(self) -> str:
        """What errors call it: `yaw`, `gaze yaw`, `expression jawOpen`."""
        return self.key.replace(".", " ").replace("_", " ")

    def is_on(self, head: str, blendshapes: Iterable[str], measures: Iterable[str] = ()) -> bool:
        """Whether a head model with this name, these blendshapes and these measurements of the shape has it."""
        named = not self.heads or head in self.heads
        return named and set(self.blendshapes) <= set(blendshapes) and set(self.measures) <= set(measures)

    def checked(self, value: Any) -> Any:
        """The value in its range. UserError that names the control, the value and what may be given."""
        if self.kind == "switch":
            return bool(value)
        if self.kind == "number":
            return checked_number(self.title, value, *self.range, f" {self.unit}" if self.unit == DEGREES else "")
        if isinstance(value, str) and value not in self.choices:
            near = difflib.get_close_matches(value, self.choices, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UserError(f"unknown {self.title} {value!r}: {hint}Known are {', '.join(self.choices)}.")
        return value

    def checked_amount(self, value: Any) -> Any:
        """A number that is to be added, at most as large as the range is wide; other kinds as `checked`."""
        if self.kind != "number":
            return self.checked(value)
        widest = self.range[1] - min(self.range[0], 0.0)
        return checked_number(f"a change of {self.title}", value, -widest, widest, f" {self.unit}" if self.unit == DEGREES else "")

    @property
    def limits(self) -> str:
        """Range and unit in words."""
        if self.kind != "number":
            return f"one of {', '.join(self.choices)}" if self.choices else ""
        return f"{self.range[0]:g} to {self.range[1]:g}{f' {self.unit}' if self.unit else ''}"


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """A row for all coefficients of an array that no other row names: as many sliders as the head has.

    A coefficient is called by its name, or by its number where the head has no names.
    """

    argument: Literal["expression", "shape"]  # the argument, and the array of FaceParameters
    group: str
    label: str
    help: str
    range: tuple[float, float]
    unit: str = ""
    pattern: str = ".*"  # of the names that it is for
    heads: str = "all"  # in words, for docs/controls.md
    example: str = "`0`, `1`, `2`, ..."

    def control(self, name: str, index: int) -> Control:
        """The slider of one coefficient."""
        return Control(
            name=name,
            group=self.group,
            label=self.label.format(name=name),
            help=self.help,
            apply=lambda state, value: state.set_coefficient(self.argument, index, value),
            read=lambda face: float(getattr(face, self.argument)[index]),
            range=self.range,
            unit=self.unit,
            argument=self.argument,
        )


@dataclass(frozen=True)
class Argument:
    """What users give by one name: a keyword of `edit`, an option, a key of a file.

    form: that of its only control (number, choice, switch), `vector` (all its controls in order), or `mapping` (some of them, by name).
    """

    name: str
    form: Literal["number", "choice", "switch", "vector", "mapping"]
    help: str
    metavar: str | None = None
    printed_from: float = 0.0  # the smallest size that `discontrolface read` prints of a mapping
    empty: str = ""  # what it prints where nothing is as large

    @property
    def option(self) -> str:
        """On the command line."""
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True)
class Part:
    """A part of a face that can be taken from another face. option_help: of the option `--NAME-from`; None: no such option."""

    name: str
    option_help: str | None = None


@dataclass(frozen=True, eq=False)
class ControlTable:
    """All controls. It never changes: `with_controls` makes another table."""

    groups: tuple[str, ...]
    collective: tuple[Argument, ...]  # arguments of several controls
    rows: tuple[Control | Coefficients, ...]
    parts: tuple[Part, ...] = ()
    arguments: tuple[Argument, ...] = field(init=False)  # all, in the order of the rows

    def __post_init__(self) -> None:
        collective = {argument.name: argument for argument in self.collective}
        arguments: dict[str, Argument] = {}
        keys: set[str] = set()
        for row in self.rows:
            if row.group not in self.groups:
                raise UserError(f"control {row.label!r} is in the group {row.group!r}; groups are {', '.join(self.groups)}")
            if row.argument and row.argument not in collective:
                raise UserError(f"control {row.label!r} is given in {row.argument!r}; such arguments are {', '.join(collective)}")
            if isinstance(row, Coefficients) or row.argument:
                arguments.setdefault(row.argument, collective[row.argument])
            if isinstance(row, Coefficients):
                continue
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", row.name):
                raise UserError(f"control name {row.name!r} is not letters, digits and _ after a letter")
            if row.key in keys or row.key in RESERVED or (not row.argument and row.name in collective):
                raise UserError(f"the control name {row.key!r} is taken; choose another")
            keys.add(row.key)
            if not row.argument:
                metavar = "NAME" if row.kind == "choice" else None
                arguments[row.name] = Argument(row.name, row.kind, _sentence(row), metavar)
        object.__setattr__(self, "arguments", tuple(arguments.values()))

    def with_controls(self, *rows: Control | Coefficients) -> ControlTable:
        """A table with more rows. UserError for a name that is taken, or a group or argument that is not there."""
        return replace(self, rows=(*self.rows, *rows))

    def without(self, *keys: str) -> ControlTable:
        """A table without these controls."""
        return replace(self, rows=tuple(row for row in self.rows if isinstance(row, Coefficients) or row.key not in keys))

    def of(self, argument: str) -> list[Control]:
        """The controls that are given in this argument, without those that a head's coefficients add."""
        return [row for row in self.rows if isinstance(row, Control) and (row.argument or row.name) == argument]

    @property
    def recorded(self) -> tuple[Argument, ...]:
        """The arguments whose values a face shows: the keys of a parameter file's readable part."""
        names = {row.argument or row.name for row in self.rows if isinstance(row, Control) and row.recorded and row.read is not None}
        names |= {row.argument for row in self.rows if isinstance(row, Coefficients)}
        return tuple(argument for argument in self.arguments if argument.name in names)


def checked_number(what: str, value: object, low: float, high: float, unit: str = "") -> float:
    """`value` as a float in [low, high]; UserError that names what, the value and the range."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{what} must be a number from {low:g} to {high:g}{unit}, not {value!r}") from None
    if not low <= number <= high:
        raise UserError(f"{what} = {number:g}{unit} is out of range; give a value from {low:g} to {high:g}{unit}")
    return number


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: the nearest known ones, or all."""
    lower = {k.lower(): k for k in known}
    near = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    parts = [k for k in lower.values() if name.lower() in k.lower() and k not in near] if name else []
    return f"did you mean {', '.join([*near, *parts][:4])}?" if near or parts else f"known are {', '.join(lower.values())}"


def _sentence(row: Control) -> str:
    """An option's help: what it does, range and unit."""
    return f"{row.help} {row.limits[:1].upper()}{row.limits[1:]}." if row.limits else row.help
