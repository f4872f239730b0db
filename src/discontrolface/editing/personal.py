"""Personal weights: what one-shot fine-tuning changed in Exp-FaceNet, as a small difference that fits one set of base weights only.

A small network's difference is kept whole, as float16. A large one's (the paper's: 280 MB) as the product of two thin matrices per layer (truncated
singular values, as LoRA stores them), as many columns as the limit allows.
"""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.tensor_file import tensor_file
from discontrolface.common.weights_id import tensors_id

MAX_BYTES = 15_000_000  # of a file
UP, DOWN = "|up", "|down"  # endings of the two factors of a layer's difference


@dataclass(frozen=True, eq=False)
class PersonalWeights:
    """Differences from the base weights: {parameter name: float16 tensor}, and the id of the base that they belong to.

    A layer whose difference is kept as a product has two entries, its name + UP (m, r) and + DOWN (r, n); the difference is up @ down.
    kept: share of the difference's squared norm that the file holds.
    """

    base: str
    difference: dict[str, Tensor]
    kept: float = 1.0

    @classmethod
    def between(cls, base_id: str, before: dict[str, Tensor], after: Any, limit: int = MAX_BYTES) -> PersonalWeights:
        """What training changed: `after` minus `before` (a state_dict), rounded to float16, in at most `limit` bytes."""
        changed = {
            k: (v - before[k]).detach().float().cpu().contiguous()
            for k, v in after.state_dict().items()
            if v.is_floating_point() and not torch.equal(v, before[k])
        }
        if sum(2 * v.numel() for v in changed.values()) <= limit:
            return cls(base_id, {k: v.half() for k, v in changed.items()})
        return cls(base_id, *_products(changed, limit))

    def identity(self) -> str:
        """16 hex digits that name these weights and their base."""
        return tensors_id(self.base, self.difference)

    @torch.no_grad()
    def apply(self, network: Any, base_id: str) -> None:
        """Add the difference to a network with the base weights, in place."""
        if base_id != self.base:
            raise UserError(f"these personal weights belong to base weights {self.base}, not to {base_id}; personalize the photo again")
        parameters = network.state_dict()
        for name, delta in self._whole().items():
            if name not in parameters or parameters[name].numel() != delta.numel():
                raise UserError(f"personal weights do not fit the network at {name!r}; personalize the photo again")
            parameters[name].add_(delta.reshape(parameters[name].shape).to(parameters[name]))

    def _whole(self) -> dict[str, Tensor]:
        whole: dict[str, Tensor] = {}
        for name, value in self.difference.items():
            if name.endswith(DOWN):
                continue
            if name.endswith(UP):
                name = name.removesuffix(UP)
                down = self.difference.get(name + DOWN)
                if down is None or value.ndim != 2 or down.ndim != 2 or value.shape[1] != down.shape[0]:
                    raise UserError(f"personal weights are damaged at {name!r}; personalize the photo again")
                value = value.float() @ down.float()
            whole[name] = value
        return whole

    def save(self, path: Path) -> None:
        """Write as safetensors, atomically: equal weights give equal files."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write personal weights to {path}: {error.strerror}; choose another --cache-dir") from error
        data = tensor_file(self.difference, {"base": self.base, "kept": f"{self.kept:.6f}"})
        write_atomically(path, data, what="personal weights")

    @classmethod
    def load(cls, path: Path) -> PersonalWeights:
        """Read what `save` wrote. UserError if the file is damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as f:
                about = f.metadata() or {}
                difference = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a mapping)
            kept = float(about.get("kept", "1"))
        except (SafetensorError, OSError, ValueError) as error:
            raise UserError(f"personal weights {path} cannot be read; remove the file and personalize the photo again") from error
        if not all(bool(torch.isfinite(v).all()) for v in difference.values()):
            raise UserError(f"personal weights {path} hold values that are not finite; remove the file and personalize the photo again")
        return cls(about.get("base", ""), difference, kept)


def _products(changed: dict[str, Tensor], limit: int) -> tuple[dict[str, Tensor], float]:
    """Each matrix as (m, r) @ (r, n) with the largest r for all that fits; vectors whole. Returns the tensors and the share of the norm kept."""
    matrices = {k: v.flatten(1) for k, v in changed.items() if v.ndim > 1}
    out = {k: v.half() for k, v in changed.items() if v.ndim == 1}

    def size(rank: int) -> int:
        factors = sum(2 * min(rank * sum(m.shape), m.numel()) for m in matrices.values())
        return factors + sum(2 * v.numel() for v in out.values()) + 300 * len(changed)  # 300: names and offsets in the file's header

    rank = 1
    while size(rank + 1) <= limit and rank < 4096:
        rank += 1
    norm = lost = 0.0
    generator = torch.Generator().manual_seed(0)
    for name, matrix in matrices.items():
        norm += float(matrix.square().sum())
        if rank * sum(matrix.shape) >= matrix.numel():
            out[name] = changed[name].half()
            continue
        up, down = low_rank(matrix, rank, generator)
        lost += float((matrix - up @ down).square().sum())
        out[name + UP], out[name + DOWN] = up.half().contiguous(), down.half().contiguous()
    return out, 1 - lost / max(norm, 1e-30)


def low_rank(matrix: Tensor, rank: int, generator: torch.Generator, extra: int = 6, rounds: int = 3) -> tuple[Tensor, Tensor]:
    """(m, n) as nearly up @ down, (m, rank) and (rank, n): its first singular vectors, each times the root of its singular value.

    By subspace iteration from random directions (Halko et al., 2011, Algorithm 4.4), as `torch.svd_lowrank`, which has no generator. The root is
    shared by both factors, so that neither leaves float16's range.
    """
    directions = torch.randn(matrix.shape[1], min(rank + extra, *matrix.shape), generator=generator)
    basis = torch.linalg.qr(matrix @ directions).Q  # (m, rank + extra)
    for _ in range(rounds):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.t() @ basis).Q).Q
    u, s, v = torch.linalg.svd(basis.t() @ matrix, full_matrices=False)
    root = s[:rank].sqrt()
    return (basis @ u)[:, :rank] * root, root[:, None] * v[:rank]


class PersonalNetworks:
    """Control networks with personal weights, put together once for each; freed with the weights. Thread-safe."""

    def __init__(self, control: Any, base_id: str) -> None:
        self._control, self._base_id = control, base_id
        self._lock = threading.Lock()
        self._networks: WeakKeyDictionary[PersonalWeights, Any] = WeakKeyDictionary()

    def network(self, personal: PersonalWeights) -> Any:
        """The base network plus the difference. UserError when the weights belong to another base."""
        with self._lock:
            if personal not in self._networks:
                network = copy.deepcopy(self._control)
                personal.apply(network, self._base_id)
                self._networks[personal] = network
            return self._networks[personal]
