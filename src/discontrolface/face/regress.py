"""DECA's and EMOCA's networks: a face crop to FLAME codes, and a detail code to a displacement map.

DECA (Feng et al. 2021): E_flame 236 numbers, E_detail 128, D_detail 181 -> a map of 256 x 256 texels. EMOCA (Danecek et al. 2022) keeps them and
takes expression and jaw from a network of its own, E_expression (53). The module's parameter names are the official ones, so a checkpoint is
imported by its keys (weights/assets.py) and kept as safetensors.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.nets.resnet import ResNet

CODE_SIZES = {"shape": 100, "tex": 50, "exp": 50, "pose": 6, "cam": 3, "light": 27}  # E_flame's 236 numbers, in this order
DETAIL = 128
MAX_DISPLACEMENT = 0.01  # metres: the decoder's output is tanh times this
INPUT_SIZE = 224


class CodeEncoder(nn.Module):
    """A picture (B, 3, 224, 224) in [0, 1], RGB, to `outputs` numbers: ResNet-50, then two linear layers."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.encoder = ResNet("resnet50")
        self.layers = nn.Sequential(nn.Linear(self.encoder.features, 1024), nn.ReLU(), nn.Linear(1024, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.encoder(x))


class DetailDecoder(nn.Module):
    """DECA's D_detail: (B, 181) = jaw pose 3, expression 50, detail 128, to a displacement map (B, 1, 256, 256) in metres, |d| <= 0.01."""

    def __init__(self, inputs: int = 3 + CODE_SIZES["exp"] + DETAIL) -> None:
        super().__init__()
        self.l1 = nn.Sequential(nn.Linear(inputs, 128 * 8 * 8))
        blocks: list[nn.Module] = [nn.BatchNorm2d(128)]
        widths = (128, 128, 64, 64, 32, 16)
        for before, after in itertools.pairwise(widths):
            norm = nn.BatchNorm2d(after, eps=0.8)  # 0.8 is the official value; it was meant for another argument
            blocks += [nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(before, after, 3, padding=1), norm, nn.LeakyReLU(0.2)]
        self.conv_blocks = nn.Sequential(*blocks, nn.Conv2d(16, 1, 3, padding=1), nn.Tanh())

    def forward(self, code: Tensor) -> Tensor:
        x = self.l1(code).unflatten(1, (128, 8, 8))
        return self.conv_blocks(x) * MAX_DISPLACEMENT  # (B, 1, 256, 256)


@dataclass(frozen=True)
class Codes:
    """DECA's codes of B faces. docs/paper-preset.md has the units.

    shape (B, 100), tex (B, 50), exp (B, 50): standard deviations. pose (B, 6): axis-angle in radians of the whole head, then the jaw.
    cam (B, 3): scale, tx, ty in the 224 crop. light (B, 9, 3): spherical harmonics. detail (B, 128), or None without the detail encoder.
    """

    shape: Tensor
    tex: Tensor
    exp: Tensor
    pose: Tensor
    cam: Tensor
    light: Tensor
    detail: Tensor | None = None

    def __len__(self) -> int:
        return len(self.shape)

    def head_pose(self) -> Tensor:
        """`pose` as the head model takes it: (B, 5, 3), neck and eyes at rest."""
        zero = torch.zeros_like(self.pose[:, :3])
        return torch.stack([self.pose[:, :3], zero, self.pose[:, 3:], zero, zero], 1)

    def flat(self) -> Tensor:
        """(B, 236), E_flame's order."""
        return torch.cat([getattr(self, name).flatten(1) for name in CODE_SIZES], 1)

    @classmethod
    def from_flat(cls, flat: Tensor, detail: Tensor | None = None) -> Codes:
        """The inverse of `flat`."""
        if flat.ndim != 2 or flat.shape[1] != sum(CODE_SIZES.values()):
            raise UserError(f"DECA's flat code must be (B, {sum(CODE_SIZES.values())}), not {tuple(flat.shape)}")
        parts = dict(zip(CODE_SIZES, flat.split(list(CODE_SIZES.values()), 1), strict=True))
        parts["light"] = parts["light"].unflatten(1, (9, 3))
        return cls(**parts, detail=detail)

    def numpy(self) -> dict[str, object]:
        """{name: array} of the codes that there are."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value.detach().cpu().numpy() for name, value in values.items() if value is not None}


class FaceRegressor(nn.Module):
    """DECA, or EMOCA where there is an expression encoder. In evaluation mode."""

    def __init__(self, expression: bool = True, detail: bool = True) -> None:
        super().__init__()
        self.E_flame = CodeEncoder(sum(CODE_SIZES.values()))
        self.E_expression = CodeEncoder(CODE_SIZES["exp"] + 3) if expression else None
        self.E_detail = CodeEncoder(DETAIL) if detail else None
        self.D_detail = DetailDecoder() if detail else None
        self.eval().requires_grad_(False)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], name: str = "the checkpoint") -> FaceRegressor:
        """From the official keys (`E_flame.encoder.conv1.weight`, ...; EMOCA's without its prefix `deca.`). Which networks there are follows
        from the keys. Raises UserError that names missing keys and wrong shapes."""
        parts = {key.split(".")[0] for key in tensors}
        if "E_flame" not in parts:
            raise UserError(f"{name} has no E_flame; give DECA's deca_model.tar or an EMOCA checkpoint.")
        with torch.device("meta"):
            model = cls("E_expression" in parts, {"E_detail", "D_detail"} <= parts)
        parameters = model.state_dict()
        missing_keys = [key for key in parameters if key not in tensors and not key.endswith("num_batches_tracked")]
        if missing_keys:
            raise UserError(
                f"{name} lacks {len(missing_keys)} of {len(parameters)} parameters, the first is {missing_keys[0]}; download the file again."
            )
        state = {}
        for key, like in parameters.items():
            value = tensors[key] if key in tensors else torch.zeros((), dtype=torch.int64)
            if value.shape != like.shape:
                raise UserError(f"{key} of {name} has the shape {list(value.shape)} instead of {list(like.shape)}; it is another network.")
            state[key] = value.to(like.dtype)
        model.load_state_dict(state, assign=True)
        return model.eval().requires_grad_(False)

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> FaceRegressor:
        """From a .safetensors file that `discontrolface assets import` made."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return cls.from_tensors(load_file(path), str(path)).to(device)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read ({error}); import the official checkpoint again.") from None

    @torch.no_grad()
    def encode(self, images: Tensor) -> Codes:
        """Crops (B, 3, 224, 224) in [0, 1], RGB (`deca_crop`), to codes. Expression and jaw are EMOCA's where its network is there."""
        if images.ndim != 4 or images.shape[1:] != (3, INPUT_SIZE, INPUT_SIZE):
            raise UserError(f"pictures must be (B, 3, {INPUT_SIZE}, {INPUT_SIZE}), not {tuple(images.shape)}")
        codes = Codes.from_flat(self.E_flame(images), None if self.E_detail is None else self.E_detail(images))
        if self.E_expression is None:
            return codes
        expression = self.E_expression(images)  # (B, 53): expression, jaw
        count = CODE_SIZES["exp"]
        pose = torch.cat([codes.pose[:, :3], expression[:, count:]], 1)
        return Codes(codes.shape, codes.tex, expression[:, :count], pose, codes.cam, codes.light, codes.detail)

    def displacement(self, codes: Codes) -> Tensor:
        """(B, 1, 256, 256) in metres along the coarse normals. The detail code is a person's; expression and jaw may be another's (an edit)."""
        if self.D_detail is None or codes.detail is None:
            raise UserError("this regressor has no detail networks; import DECA's deca_model.tar or an EMOCA checkpoint with detail")
        return self.D_detail(torch.cat([codes.pose[:, 3:], codes.exp, codes.detail], 1))
