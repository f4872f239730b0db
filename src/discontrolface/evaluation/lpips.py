"""LPIPS (Zhang et al., 2018, version 0.1): how different two pictures look, by the features of AlexNet or VGG-16.

    d(a, b) = sum over layers of the mean over pixels of  w . (a_l / |a_l| - b_l / |b_l|)^2

The weights are the user's files: the backbone as torchvision publishes it (alexnet-owt-7be5be79.pth or vgg16-397923af.pth: features.N.weight and
.bias), and the linear layers of the LPIPS repository (weights/v0.1/alex.pth or vgg.pth: linN.model.1.weight). Which of the two backbones it is, the
shapes say.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.evaluation.weights_file import fill, read_state
from discontrolface.nets.vgg16 import vgg16

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures in [-1, 1]


def alexnet() -> tuple[nn.Sequential, tuple[int, ...]]:
    """The convolutions of AlexNet and after which of them features are taken (each ReLU)."""
    layers = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    for inputs, outputs in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers), (1, 4, 7, 9, 11)


BACKBONES = {"AlexNet": (alexnet, 11, (64, 192, 384, 256, 256)), "VGG-16": (vgg16, 3, (64, 128, 256, 512, 512))}  # first kernel, widths


class Linear(nn.Module):
    """One weight per channel, named as in the LPIPS repository (its 0 is a dropout)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(width, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Lpips(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1], twice, to distances (B,): 0 for equal pictures."""

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: str) -> None:
        super().__init__()
        build, _, widths = BACKBONES[backbone]
        self.name = backbone
        self.features, self.taken = build()
        self.lin0, self.lin1, self.lin2, self.lin3, self.lin4 = (Linear(width) for width in widths)
        self.register_buffer("shift", torch.tensor(SHIFT)[None, :, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE)[None, :, None, None], persistent=False)

    @classmethod
    def load(cls, backbone: Path, linear: Path) -> Lpips:
        """With the weights of two files. UserError if they are other networks' or do not belong together."""
        features, weights = read_state(backbone), read_state(linear)
        first = features.get("features.0.weight")
        kernel = first.shape[-1] if first is not None and first.ndim == 4 else None
        name = next((name for name, (_, size, _) in BACKBONES.items() if size == kernel), None)
        if name is None:
            raise UserError(
                f"{backbone} is neither AlexNet nor VGG-16 as torchvision publishes them: its features.0.weight is missing or other"
            )
        network = cls(name)
        fill(network.features, {k.removeprefix("features."): v for k, v in features.items()}, backbone, f"torchvision's {name}")
        for layer in range(5):
            key = f"lin{layer}."
            state = {k.removeprefix(key): v for k, v in weights.items() if k.startswith(key)}
            fill(network.get_submodule(f"lin{layer}"), state, linear, f"LPIPS's linear layers for {name}")
            if any(bool((v < 0).any()) for v in state.values()):
                raise UserError(f"{linear} is not LPIPS's linear layers for {name}: a weight of layer {layer} is negative")
        return network.eval()

    def layers(self, x: Tensor) -> list[Tensor]:
        """The five feature maps, each pixel's features of length 1."""
        out, x = [], (x - self.shift) / self.scale
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taken:
                out.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return out

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        lines: Sequence[nn.Module] = (self.lin0, self.lin1, self.lin2, self.lin3, self.lin4)
        parts = [line((x - y) ** 2).mean((1, 2, 3)) for line, x, y in zip(lines, self.layers(a), self.layers(b), strict=True)]
        return torch.stack(parts).sum(0)
