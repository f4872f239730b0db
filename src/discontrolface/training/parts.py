"""Learning a part of two networks: `learns` in a config names the parameters, all others stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from torch import nn

from discontrolface.common.errors import UserError


class Parts(nn.Module):
    """A backbone and the control network beside it, of which the parameters whose names fit a pattern learn.

    Names are those of the two networks behind "model." and "control."; patterns are a shell's ("control.features.*").
    """

    def __init__(self, model: Any, control: Any, patterns: Sequence[str]) -> None:
        super().__init__()
        self.model, self.control = model, control
        named = dict(self.named_parameters())
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in named):
                raise UserError(f"learns names {pattern!r}, which no parameter fits; the first names are {', '.join([*named][:3])}")
        for name, parameter in named.items():
            parameter.requires_grad_(any(fnmatchcase(name, pattern) for pattern in patterns))

    def save_pretrained(self, folder: Path) -> None:
        """Both networks, as a preset has them: diffae/ and exp_facenet/."""
        self.model.save_pretrained(folder / "diffae")
        self.control.save_pretrained(folder / "exp_facenet")
