"""Face parameters as JSON: a part that people read and change, and the exact arrays."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.face.parameters import FaceParameters

FORMAT = "discontrolface.parameters"
VERSION = 1
MAX_CHARACTERS = 1_000_000
READABLE = ("yaw", "pitch", "roll", "gaze", "jaw", "expression", "shape")
META = ("format", "version", "head", "exact")


def write(face: FaceParameters) -> str:
    """See FaceParameters.to_json."""
    from discontrolface.face.parameters import ARRAYS

    exact: dict[str, Any] = {name: _shortest(getattr(face, name)) for name in ARRAYS}
    exact["expression_names"] = list(face.expression_names)
    document = {"format": FORMAT, "version": VERSION, "head": face.head, **face.readable(), "exact": exact}
    return _laid_out(document, 0) + "\n"


def read(text: str, base: FaceParameters | None, source: str) -> FaceParameters:
    """See FaceParameters.from_json."""
    document = _parsed(text, source)
    unknown = [key for key in document if key not in (*META, *READABLE)]
    if unknown:
        raise UserError(f"{source}: unknown key {unknown[0]!r}; known are {', '.join((*META, *READABLE))}")
    if document.get("format", FORMAT) != FORMAT:
        raise UserError(f"{source} is not a face parameter file: its format is {document['format']!r}, not {FORMAT!r}")
    version = document.get("version", VERSION)
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= VERSION:
        raise UserError(f"{source} has version {version!r} of the format; this program reads versions up to {VERSION}, update it")
    try:
        face = _exact(document, base)
        changes = _changes(document, face)
        return face.edit(**changes) if changes else face
    except UserError as error:
        raise UserError(f"{source}: {error}") from None


def _parsed(text: str, source: str) -> dict[str, Any]:
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"{source} is too long for a face parameter file: {len(text)} characters, at most {MAX_CHARACTERS}")

    def refuse(token: str) -> float:
        raise ValueError(f"{token} is not a number")

    try:
        document = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source} is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise UserError(f"{source} is not a face parameter file: it holds {type(document).__name__} where an object is wanted")
    return document


def _exact(document: dict[str, Any], base: FaceParameters | None) -> FaceParameters:
    """The face of the part `exact`, or the base."""
    from discontrolface.face.parameters import ARRAYS, FaceParameters

    exact = document.get("exact")
    if exact is None:
        if base is None:
            raise UserError("the part 'exact' is missing, and there is no face that the other values could change")
        return base
    wanted = (*ARRAYS, "expression_names")
    if not isinstance(exact, dict) or sorted(exact) != sorted(wanted):
        raise UserError(f"the part 'exact' must hold {', '.join(wanted)}")
    names, head = exact["expression_names"], document.get("head")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not isinstance(head, str):
        raise UserError("'head' and 'expression_names' must be text")
    arrays = {name: _numbers(exact[name], name) for name in ARRAYS}
    return FaceParameters(**arrays, head=head, expression_names=tuple(names))


def _numbers(value: Any, name: str) -> Any:
    """Nested lists of floats; anything else is refused (booleans, text, deep nesting)."""

    def check(item: Any, depth: int) -> Any:
        if isinstance(item, list) and depth < 2:
            return [check(entry, depth + 1) for entry in item]
        if isinstance(item, bool) or not isinstance(item, int | float) or not -3e38 < item < 3e38:
            raise UserError(f"{name} is not an array of numbers")
        return float(item)

    return check(value, 0)


def _changes(document: dict[str, Any], face: FaceParameters) -> dict[str, Any]:
    """The arguments of `edit` for what the readable part says otherwise than `face`."""
    now = face.readable()
    out: dict[str, Any] = {}
    for key in ("yaw", "pitch", "roll", "jaw"):
        if key in document and document[key] != now[key]:
            out[key] = document[key]
    if "gaze" in document and document["gaze"] != now["gaze"]:
        if not isinstance(document["gaze"], list):
            raise UserError("gaze must be two numbers, yaw and pitch in degrees")
        out["gaze"] = tuple(document["gaze"])
    for key in ("expression", "shape"):
        given = document.get(key)
        if given is None:
            continue
        if not isinstance(given, dict):
            raise UserError(f"{key} must be an object of names and values")
        changed = {name: value for name, value in given.items() if value != now[key].get(name, 0.0)}
        if "exact" in document:  # a line that was taken out means 0
            changed |= {name: 0.0 for name in now[key] if name not in given}
        if "gaze" in out:  # the lids that go with the old gaze
            changed = {name: value for name, value in changed.items() if not name.startswith("eyeLook")}
        if changed:
            out[key] = changed
    return out


def _shortest(array: np.ndarray) -> Any:
    """Nested lists of floats that print in the fewest digits which read back to the same float32."""
    if array.ndim > 1:
        return [_shortest(row) for row in array]
    return [float(str(value)) for value in array.astype(np.float32)]


def _laid_out(value: Any, depth: int) -> str:
    """JSON with one key a line, and arrays on one line."""
    if not isinstance(value, dict) or not value:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("only finite numbers can be written")
        return json.dumps(value, allow_nan=False)
    indent = "  " * (depth + 1)
    lines = [f"{indent}{json.dumps(key)}: {_laid_out(item, depth + 1)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"
