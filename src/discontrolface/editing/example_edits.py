"""The edits that photos are measured (and shown) with: {name: arguments of `FaceParameters.edit`}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

EDITS: Final[Mapping[str, Mapping[str, Any]]] = {
    "open mouth": {"expression": {"jawOpen": 0.6}},
    "no smile": {"neutral": True},
    "eyes closed": {"expression": {"blink": 1.0}},
    "pucker": {"neutral": True, "expression": {"pucker": 0.9}},
    "brows up": {"expression": {"browsUp": 1.0}},
    "turn right": {"yaw": 15},
    "turn left": {"yaw": -15},
    "look up": {"pitch": 10},
    "light from the left": {"light": "left"},
    "gaze": {"gaze": (22, 0)},
    "small smile, tilted": {"expression": {"smile": 0.3}, "roll": 10, "turn": (-8, 0, 0)},
    "brows down": {"neutral": True, "expression": {"browsDown": 1.0}},
    "all together": {"yaw": 12, "pitch": 5, "expression": {"jawOpen": 0.35, "browsUp": 0.8}},
}
