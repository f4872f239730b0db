"""Attribute directions on z_sem: a linear classifier on labelled codes; its weight vector is the direction to move along (Diff-AE, Section 5.3)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.diffusion.decoding import Decoding
from discontrolface.nets.backbone import Backbone


class AttributeDirections:
    """Named directions in code space. Codes are normalised with `mean` and `std` before the classifier, as in the official one."""

    def __init__(self, names: Sequence[str], weight: Tensor, bias: Tensor, mean: Tensor, std: Tensor) -> None:
        """weight (A,Z), bias (A,), mean (Z,), std (Z,): one row per name."""
        if weight.shape != (len(names), mean.numel()) or bias.shape != (len(names),) or std.shape != mean.shape:
            raise UserError(
                f"{len(names)} attribute names do not fit weights of shape {tuple(weight.shape)} and {mean.numel()} code channels."
            )
        self.names = tuple(names)
        self.weight, self.bias, self.mean, self.std = weight, bias, mean, std

    def to(self, device: torch.device | str) -> "AttributeDirections":
        """On another device."""
        return AttributeDirections(self.names, *(x.to(device) for x in (self.weight, self.bias, self.mean, self.std)))

    def row(self, name: str) -> int:
        if name not in self.names:
            raise UserError(f"attribute {name!r} is not known; choose one of {', '.join(self.names)}.")
        return self.names.index(name)

    def score(self, z: Tensor) -> Tensor:
        """The classifier's probability of every attribute: (B,Z) -> (B,A)."""
        return torch.sigmoid(F.linear((z - self.mean) / self.std, self.weight, self.bias))

    def move(self, z: Tensor, name: str, amount: float) -> Tensor:
        """z moved along an attribute: (B,Z) -> (B,Z). `amount` 0.3 is a clear, still natural change; negative removes the attribute.

        Official `manipulate.ipynb`: z_norm + amount * sqrt(Z) * w / |w|.
        """
        direction = F.normalize(self.weight[self.row(name)], dim=0)
        normalized = (z - self.mean) / self.std + amount * self.mean.numel() ** 0.5 * direction
        return normalized * self.std + self.mean

    def save(self, path: str | Path) -> None:
        """Writes one safetensors file, atomically."""
        tensors = {"weight": self.weight, "bias": self.bias, "mean": self.mean, "std": self.std}
        data = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, {"names": json.dumps(self.names)})
        write_atomically(Path(path), data)

    @classmethod
    def load(cls, path: str | Path) -> "AttributeDirections":
        """Reads what `save` wrote."""
        try:
            with safe_open(str(path), framework="pt") as file:
                names = json.loads((file.metadata() or {})["names"])
                return cls(names, *(file.get_tensor(key) for key in ("weight", "bias", "mean", "std")))
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path} is not a file of attribute directions ({error}); write one with AttributeDirections.save.") from error


def train_attributes(
    names: Sequence[str],
    z: Tensor,  # (N,Z), codes of labelled pictures
    labels: Tensor,  # (N,A), 1: has the attribute, 0 or -1: has not
    steps: int = 500,
    learning_rate: float = 1e-2,
    weight_decay: float = 1e-4,  # keeps the weights finite where classes are separable
) -> AttributeDirections:
    """Logistic regression on normalised codes (official `ClsModel`: binary cross entropy), full batch, deterministic."""
    if labels.shape != (len(z), len(names)):
        raise UserError(f"labels are {tuple(labels.shape)}, but {len(z)} codes with {len(names)} attributes need {(len(z), len(names))}.")
    target = (labels > 0).to(z.dtype)
    one_class = [name for name, column in zip(names, target.T, strict=True) if column.min() == column.max()]
    if one_class:
        raise UserError(f"attribute {one_class[0]!r} has examples of one class only; label some pictures with it and some without.")
    mean, std = z.mean(0), z.std(0).clamp(min=1e-6)
    normalized = (z - mean) / std
    weight = torch.zeros(len(names), z.shape[1], dtype=z.dtype, device=z.device, requires_grad=True)
    bias = torch.zeros(len(names), dtype=z.dtype, device=z.device, requires_grad=True)
    optimizer = torch.optim.AdamW([weight, bias], lr=learning_rate, weight_decay=weight_decay)
    for _ in range(steps):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(F.linear(normalized, weight, bias), target).backward()
        optimizer.step()
    return AttributeDirections(names, weight.detach(), bias.detach(), mean, std)


@torch.no_grad()
def edit_attributes(
    model: Backbone,
    picture: Tensor,  # (1,3,H,W) in [-1, 1]
    directions: AttributeDirections,
    amounts: Mapping[str, float],  # by attribute, see `AttributeDirections.move`
    decoding: Decoding,
    generator: torch.Generator | None = None,  # where noise comes from that is not inverted
) -> Tensor:
    """The picture with its code moved along the directions, its x_T kept (official `manipulate.ipynb`): (1,3,H,W)."""
    z = model.encode(picture)
    if z.shape[1] != directions.mean.numel():
        raise UserError(
            f"the directions are for codes of {directions.mean.numel()} numbers, this backbone's have {z.shape[1]}; train them with it."
        )
    noise = decoding.noise(model, picture, z, generator)
    moved = z
    for name, amount in amounts.items():
        moved = directions.move(moved, name, amount)
    return decoding.pictures(model, moved, noise, picture)
