"""The controls of one head model: which rows of the table it has, and what a user's values mean on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from discontrolface.common.errors import UserError
from discontrolface.face.control_table import Argument, Coefficients, Control, ControlTable, Stage, nearest

if TYPE_CHECKING:
    from discontrolface.face.parameters import FaceParameters

SMALLEST: Final = 5e-5  # what rounds to 0 in files


class HeadControls:
    """The sliders of one head model. Make it with `head_controls`, which keeps it."""

    def __init__(
        self,
        table: ControlTable,
        head: str,
        expression_names: Sequence[str],
        expression_count: int,
        shape_count: int,
        measures: Sequence[str] = (),  # of the shape
    ) -> None:
        self.table = table
        names = {
            "expression": tuple(expression_names) or tuple(map(str, range(expression_count))),
            "shape": tuple(map(str, range(shape_count))),
        }
        controls: dict[tuple[str, str], Control] = {}
        for row in table.rows:
            if isinstance(row, Control) and row.is_on(head, expression_names, measures):
                controls[row.argument, row.name] = row
            elif isinstance(row, Coefficients):
                for index, name in enumerate(names[row.argument]):
                    if (row.argument, name) not in controls and re.fullmatch(row.pattern, name):
                        controls[row.argument, name] = row.control(name, index)
        self._controls = controls

    @cached_property
    def controls(self) -> tuple[Control, ...]:
        """All, in the order of the table."""
        return tuple(self._controls.values())

    @cached_property
    def _members(self) -> dict[str, tuple[Control, ...]]:
        """{argument: its controls}."""
        return {a.name: tuple(c for c in self.controls if (c.argument or c.name) == a.name) for a in self.table.arguments}

    # ---- what a user gives

    def requests(self, *values: Mapping[str, Any], amounts: bool = False) -> list[tuple[Control, Any]]:
        """(control, checked value) of what a user gives, in the order in which they are to be applied.

        values: {an argument, or a control by its key or name: value}, once or more; None means nothing. amounts: numbers are to be added to what
        is there, and may be as far from 0, either way, as the control's range is wide.
        Raises UserError for unknown names, values out of range, and two values that would undo each other.
        """
        requests: dict[str, tuple[Control, Any]] = {}
        for name, value in (item for mapping in values for item in mapping.items()):
            for control, amount in self._of(name, value):
                if control.key in requests:
                    raise UserError(f"{control.title} was given twice; give it once")
                amount = control.checked_amount(amount) if amounts else control.checked(amount)
                if control.stage != Stage.CHANGE or amount != 0:
                    requests[control.key] = control, amount
        for control, _ in requests.values():
            other = next((name for name in control.excludes if name in requests), None)
            if other is not None:
                raise UserError(f"{requests[other][0].title} and {control.title} were both given, and both set the same; give one of them")
        return sorted(requests.values(), key=lambda request: request[0].stage)

    def _of(self, name: str, value: Any) -> list[tuple[Control, Any]]:
        """The controls that one argument or name means, with their values."""
        if value is None:
            return []
        argument = next((a for a in self.table.arguments if a.name == name), None)
        if argument is None:
            return [(self._by_name(name), value)]
        if argument.form == "mapping":
            if not isinstance(value, Mapping):
                raise UserError(f"{name} must be names with values, not {value!r}")
            return [(self.find(name, key), amount) for key, amount in value.items()]
        controls = self._members[name]
        if not controls:
            raise UserError(f"this head model has no {name}")
        if argument.form == "vector":
            if not hasattr(value, "__len__") or len(value) != len(controls):
                raise UserError(f"{name} needs {len(controls)} numbers, not {len(value) if hasattr(value, '__len__') else value!r}")
            return list(zip(controls, value, strict=True))
        return [(controls[0], value)]

    def find(self, argument: str, name: object) -> Control:
        """A control by its name within an argument, numbers also as an int. UserError that lists the nearest names."""
        text = str(name)
        if text.isascii() and text.isdecimal() and len(text) < 6:
            text = str(int(text))
        control = self._controls.get((argument, text))
        if control is not None:
            return control
        names = [row.name for row in self._members.get(argument, ())]
        numbers = [name for name in names if name.isdecimal()]
        span = f"numbers from 0 to {len(numbers) - 1}" if numbers else ""
        if names == numbers:
            raise UserError(f"unknown {argument} coefficient {text!r}; this head model has {span or 'none'}")
        hint = nearest(text, [name for name in names if not name.isdecimal()])
        raise UserError(f"unknown {argument} {text!r}; {hint}{f', and {span}' if span else ''}")

    def _by_name(self, name: str) -> Control:
        """A control by its key (`expression.jawOpen`), or by its name alone (`jawOpen`)."""
        argument, _, rest = name.rpartition(".")
        if argument in self._members and rest:
            return self.find(argument, rest)
        control = next((row for row in self.controls if row.name == name and not name.isdecimal()), None)
        if control is None:
            raise UserError(f"unknown control {name!r}; {nearest(name, [row.name for row in self.controls if not row.name.isdecimal()])}")
        return control

    # ---- what a face shows

    def readable(self, face: FaceParameters) -> dict[str, Any]:
        """{argument: a number, a list, or {name: number other than 0}}: what a person reads and may change in a file. Rounded to 4 digits."""
        out: dict[str, Any] = {}
        for argument in self.table.recorded:
            values = {row.name: row.read(face) for row in self._members[argument.name] if row.recorded and row.read is not None}
            if argument.form == "mapping":
                out[argument.name] = {name: _rounded(value) for name, value in values.items() if abs(value) >= SMALLEST}
            elif argument.form == "vector":
                out[argument.name] = [_rounded(value) for value in values.values()]
            elif values:
                out[argument.name] = _rounded(*values.values())
        return out

    def changes(self, document: Mapping[str, Any], face: FaceParameters, complete: bool) -> dict[str, Any]:
        """What a document like `readable` says otherwise than this face, as `requests` takes it.

        complete: the document was written of this face, so that a line that was taken out means 0.
        """
        present = self.readable(face)
        changes: dict[str, Any] = {}
        for argument in self.table.recorded:
            name = argument.name
            value = document.get(name)
            if name not in document or value == present.get(name):
                continue
            if argument.form == "mapping":
                entries = self._changed_entries(argument, value, present[name], changes, complete)
                changes |= {name: entries} if entries else {}
            elif argument.form == "vector":
                if not isinstance(value, list):
                    axes = " and ".join(row.title.removeprefix(f"{name} ") for row in self._members[name])
                    raise UserError(f"{name} must be numbers: {axes}, in {self._members[name][0].unit}")
                changes[name] = tuple(value)
            else:
                changes[name] = value
        return changes

    def _changed_entries(
        self, argument: Argument, value: Any, present: Mapping[str, float], changes: Mapping[str, Any], complete: bool
    ) -> dict[str, Any]:
        """The entries of a mapping that differ, without those that another change sets, such as the lids that go with the old gaze.

        Combinations and measurements are never in `present`: who writes one means it.
        """
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise UserError(f"{argument.name} must be an object of names and values")
        recorded = {row.name for row in self._members[argument.name] if row.recorded}
        entries = {name: amount for name, amount in value.items() if name not in recorded or amount != present.get(name, 0.0)}
        if complete:
            entries |= {name: 0.0 for name in present if name not in value}
        others = {row.name for name in changes for row in self._members[name]}
        followers = {row.name for row in self._members[argument.name] if others & set(row.excludes)}
        return {name: amount for name, amount in entries.items() if name not in followers}


def difference(table: ControlTable, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """{argument or argument.name: [value before, value after]} of what differs between two `HeadControls.readable`."""
    out: dict[str, list[Any]] = {}
    for argument in table.recorded:
        old, new = before.get(argument.name), after.get(argument.name)
        if not isinstance(old, dict) or not isinstance(new, dict):
            if old != new:
                out[argument.name] = [old, new]
            continue
        for name in [*new, *(name for name in old if name not in new)]:
            if abs(old.get(name, 0.0) - new.get(name, 0.0)) > SMALLEST:
                out[f"{argument.name}.{name}"] = [old.get(name, 0.0), new.get(name, 0.0)]
    return out


def head_controls(table: ControlTable, face: FaceParameters) -> HeadControls:
    """The controls of the head model that this face was read with."""
    measures = () if face.measures is None else face.measures.names
    return _kept(table, face.head, face.expression_names, len(face.expression), len(face.shape), measures)


@lru_cache(maxsize=32)
def _kept(table: ControlTable, head: str, names: tuple[str, ...], expressions: int, shapes: int, measures: tuple[str, ...]) -> HeadControls:
    return HeadControls(table, head, names, expressions, shapes, measures)


def _rounded(value: float) -> float:
    return round(float(value), 4) + 0.0  # no -0.0
