"""DECA's and EMOCA's networks against the official code's outputs, with weights that are made from the keys' names."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
import torch
from helpers.goldens import GOLDENS, load_golden
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.face.regress import Codes, FaceRegressor


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_golden("deca")


def recipe(key: str, shape: list[int]) -> Tensor:
    """The golden's weights: tests/goldens/README_face.md."""
    if not shape:
        return torch.zeros((), dtype=torch.int64)
    u = 2 * np.random.RandomState((zlib.crc32(key.encode()) + 1) % 2**32).random_sample(int(np.prod(shape))) - 1
    if key.endswith("running_var"):
        u = 1 + 0.3 * u
    elif len(shape) >= 2:
        u = u * np.sqrt(3 / np.prod(shape[1:]))
    else:
        u = 1 + 0.1 * u if key.endswith("weight") else 0.1 * u
    return torch.from_numpy(u.reshape(shape).astype(np.float16).astype(np.float32))


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    keys = json.loads((GOLDENS / "deca_keys.json").read_text())
    outputs = {"E_flame": 236, "E_detail": 128, "E_expression": 53}
    out = {}
    for net, count in outputs.items():
        for key, shape in keys["E_flame"].items():
            own = [count, *shape[1:]] if key.startswith("layers.2.") else shape
            out[f"{net}.{key}"] = recipe(f"{net}.{key}", own)
    return out | {f"D_detail.{key}": recipe(f"D_detail.{key}", shape) for key, shape in keys["D_detail"].items()}


@pytest.fixture(scope="module")
def network(tensors: dict[str, Tensor]) -> FaceRegressor:
    return FaceRegressor.from_tensors(tensors)


def test_encoders_and_decoder_are_the_official_ones(network: FaceRegressor, golden: dict[str, Tensor]) -> None:
    image = golden["in.image7"].repeat_interleave(32, 2).repeat_interleave(32, 3)
    features = network.E_flame.encoder(image)
    torch.testing.assert_close(features, golden["E_flame.features"], atol=2e-5, rtol=0)
    torch.testing.assert_close(network.E_flame.layers(features), golden["E_flame.out"], atol=2e-5, rtol=0)
    for name in ("E_detail", "E_expression"):
        torch.testing.assert_close(getattr(network, name)(image), golden[f"{name}.out"], atol=2e-5, rtol=0)
    displacement = network.D_detail(golden["D_detail.in"])  # type: ignore[misc]
    assert displacement.shape == (2, 1, 256, 256)
    torch.testing.assert_close(displacement[:, :, ::3, ::3], golden["D_detail.out"], atol=1e-7, rtol=0)

    codes = network.encode(image)
    flat, expression = golden["E_flame.out"], golden["E_expression.out"]
    torch.testing.assert_close(codes.shape, flat[:, :100], atol=2e-5, rtol=0)
    torch.testing.assert_close(codes.exp, expression[:, :50], atol=2e-5, rtol=0)  # EMOCA's
    torch.testing.assert_close(codes.pose, torch.cat([flat[:, 200:203], expression[:, 50:]], 1), atol=2e-5, rtol=0)
    torch.testing.assert_close(codes.light, flat[:, 209:].reshape(2, 9, 3), atol=2e-5, rtol=0)
    condition = torch.cat([codes.pose[:, 3:], codes.exp, codes.detail], 1)  # type: ignore[list-item]
    assert torch.equal(network.displacement(codes), network.D_detail(condition))  # type: ignore[misc]


def test_deca_without_emoca_keeps_its_own_expression(tensors: dict[str, Tensor], golden: dict[str, Tensor]) -> None:
    coarse = FaceRegressor.from_tensors({k: v for k, v in tensors.items() if k.startswith("E_flame")})
    codes = coarse.encode(golden["in.image7"].repeat_interleave(32, 2).repeat_interleave(32, 3)[:1])
    torch.testing.assert_close(codes.flat(), golden["E_flame.out"][:1], atol=2e-5, rtol=0)
    assert codes.detail is None
    with pytest.raises(UserError, match="no detail networks"):
        coarse.displacement(codes)
    with pytest.raises(UserError, match="224"):
        coarse.encode(torch.zeros(1, 3, 256, 256))


def test_wrong_checkpoints_are_named(tensors: dict[str, Tensor]) -> None:
    without = {k: v for k, v in tensors.items() if k != "E_flame.encoder.layer3.2.conv1.weight"}
    with pytest.raises(UserError, match=r"lacks 1 of .* E_flame\.encoder\.layer3\.2\.conv1\.weight"):
        FaceRegressor.from_tensors(without)
    with pytest.raises(UserError, match=r"E_flame\.layers\.2\.bias .*\[7\] instead of \[236\]"):
        FaceRegressor.from_tensors({**tensors, "E_flame.layers.2.bias": torch.zeros(7)})
    with pytest.raises(UserError, match="no E_flame"):
        FaceRegressor.from_tensors({"x": torch.zeros(1)})


def test_a_batch_is_its_samples(network: FaceRegressor) -> None:
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    both = network.encode(images).flat()
    torch.testing.assert_close(both[1:], network.encode(images[1:]).flat(), atol=1e-5, rtol=0)


def test_the_flat_code() -> None:
    flat = torch.arange(2 * 236.0).reshape(2, 236)
    codes = Codes.from_flat(flat)
    assert [tuple(getattr(codes, n).shape) for n in ("shape", "tex", "exp", "pose", "cam", "light")] == [
        (2, 100),
        (2, 50),
        (2, 50),
        (2, 6),
        (2, 3),
        (2, 9, 3),
    ]
    assert torch.equal(codes.flat(), flat)
    pose = codes.head_pose()
    assert torch.equal(pose[:, 0], flat[:, 200:203])
    assert torch.equal(pose[:, 2], flat[:, 203:206])
    assert not pose[:, [1, 3, 4]].any()
    with pytest.raises(UserError, match="236"):
        Codes.from_flat(flat[:, 1:])
