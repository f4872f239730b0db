"""Face parameters as JSON: a part that people read and change, and the exact arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from discontrolface.common.errors import UserError
from discontrolface.face.layout import ARRAYS, Floats

FORMAT: Final = "discontrolface.parameters"
VERSION: Final = 2
WITH_GAINS: Final = (
    2  # from this version on, blendshapes count as controls do (blendshape_gains.py); before, they were the head's coefficients
)
MAX_CHARACTERS: Final = 1_000_000
META: Final = ("format", "version", "head", "confidence", "exact")


@dataclass(frozen=True)
class Document:
    """What a file holds. exact: the arguments of FaceParameters, None where the file has no such part; readable: the values of controls."""

    exact: dict[str, Any] | None
    readable: dict[str, Any]
    version: int


def write(
    head: str,
    expression_names: Sequence[str],
    arrays: Mapping[str, Floats],
    readable: Mapping[str, Any],
    confidence: Mapping[str, float] | None = None,
) -> str:
    """The text of a file, see FaceParameters.to_json. readable: the values of controls, as `HeadControls.readable` gives them. confidence: of
    the reading, for who looks at the file; it is not read back."""
    exact: dict[str, Any] = {name: _shortest(arrays[name]) for name in ARRAYS}
    exact["expression_names"] = list(expression_names)
    rated = {} if confidence is None else {"confidence": dict(confidence)}
    document = {"format": FORMAT, "version": VERSION, "head": head, **rated, **readable, "exact": exact}
    return _laid_out(document, 0) + "\n"


def read(text: str, controls: Iterable[str], source: str) -> Document:
    """A file's content, checked but for the values of its controls, whose names are given. UserError that names the source."""
    document = _parsed(text, source)
    known = (*META, *controls)
    unknown = [key for key in document if key not in known]
    if unknown:
        raise UserError(f"{source}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    if document.get("format", FORMAT) != FORMAT:
        raise UserError(f"{source} is not a face parameter file: its format is {document['format']!r}, not {FORMAT!r}")
    version = document.get("version", VERSION)
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= VERSION:
        raise UserError(f"{source} has version {version!r} of the format; this program reads versions up to {VERSION}, update it")
    try:
        exact = _exact(document)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    return Document(exact, {key: value for key, value in document.items() if key not in META}, version)


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


def _exact(document: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments of FaceParameters in the part `exact`, if there is one."""
    exact = document.get("exact")
    if exact is None:
        return None
    keys = (*ARRAYS, "expression_names")
    if not isinstance(exact, dict) or sorted(exact) != sorted(keys):
        raise UserError(f"the part 'exact' must hold {', '.join(keys)}")
    names, head = exact["expression_names"], document.get("head")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not isinstance(head, str):
        raise UserError("'head' and 'expression_names' must be text")
    return {name: _numbers(exact[name], name) for name in ARRAYS} | {"head": head, "expression_names": tuple(names)}


def _numbers(value: Any, name: str) -> Any:
    """Nested lists of floats; anything else is refused (booleans, text, deep nesting)."""

    def check(item: Any, depth: int) -> Any:
        if isinstance(item, list) and depth < 2:
            return [check(entry, depth + 1) for entry in item]
        if isinstance(item, bool) or not isinstance(item, int | float) or not -3e38 < item < 3e38:
            raise UserError(f"{name} is not an array of numbers")
        return float(item)

    return check(value, 0)


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
