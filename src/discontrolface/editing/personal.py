"""Personal weights: what one-shot fine-tuning changed in Exp-FaceNet, as a small difference that fits one set of base weights only."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from discontrolface.errors import UserError


def weights_id(*networks: Any) -> str:
    """16 hex digits that name these weights: the SHA-256 of all parameters' names and float32 bytes."""
    digest = hashlib.sha256()
    for network in networks:
        for name, value in sorted(network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class PersonalWeights:
    """Differences from the base weights: {parameter name: float16 tensor}, and the id of the base that they belong to."""

    base: str
    difference: dict[str, Tensor]

    @classmethod
    def between(cls, base_id: str, before: dict[str, Tensor], after: Any) -> PersonalWeights:
        """What training changed: `after` minus `before` (a state_dict), rounded to float16."""
        difference = {
            k: (v - before[k]).half() for k, v in after.state_dict().items() if v.is_floating_point() and not torch.equal(v, before[k])
        }
        return cls(base_id, difference)

    @torch.no_grad()
    def apply(self, network: Any, base_id: str) -> None:
        """Add the difference to a network with the base weights, in place."""
        if base_id != self.base:
            raise UserError(f"these personal weights belong to base weights {self.base}, not to {base_id}; personalize the photo again")
        parameters = network.state_dict()
        for name, delta in self.difference.items():
            if name not in parameters or parameters[name].shape != delta.shape:
                raise UserError(f"personal weights do not fit the network at {name!r}; personalize the photo again")
            parameters[name].add_(delta.to(parameters[name]))

    def save(self, path: Path) -> None:
        """Write as safetensors, atomically."""
        from safetensors.torch import save

        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(save(self.difference, metadata={"base": self.base}))
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UserError(f"cannot write personal weights to {path}: {error.strerror}; choose another --cache-dir") from error

    @classmethod
    def load(cls, path: Path) -> PersonalWeights:
        """Read what `save` wrote. UserError if the file is damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as f:
                base = (f.metadata() or {}).get("base", "")
                difference = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a mapping)
        except (SafetensorError, OSError) as error:
            raise UserError(f"personal weights {path} cannot be read; remove the file and personalize the photo again") from error
        if not all(bool(torch.isfinite(v).all()) for v in difference.values()):
            raise UserError(f"personal weights {path} hold values that are not finite; remove the file and personalize the photo again")
        return cls(base, difference)
