"""Controls in words: `smile=0.8, yaw=10, light=left`."""

from __future__ import annotations

import re
from typing import Any

from discontrolface.common.errors import UserError
from discontrolface.face.control_table import Control, nearest
from discontrolface.face.controls import CONTROLS


def pairs_of(text: str) -> dict[str, Any]:
    """{key of a control: value}. UserError for what is not understood."""
    table = CONTROLS.table
    controls = [row for row in table.rows if isinstance(row, Control)]
    keys = {name: control.key for control in controls for name in (control.key, control.name)}
    given: dict[str, Any] = {}
    for part in filter(None, re.split(r"[,;\n]\s*", text.strip())):
        name, separator, value = (piece.strip() for piece in part.partition("="))
        if not separator or not value:
            raise UserError(f"{part!r} is not NAME=VALUE; write, for instance, smile=0.8, yaw=10")
        if name not in keys:
            raise UserError(f"unknown control {name!r}: {nearest(name, keys)}")
        try:
            given[keys[name]] = float(value)
        except ValueError:
            given[keys[name]] = value
    return given
