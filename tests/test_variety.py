"""Pairs of people of other tones and proportions: closed forms."""

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.diffusion.training_pair import TrainingPair
from discontrolface.training.config import TrainConfig
from discontrolface.training.draws import draw
from discontrolface.training.variety import normals_of, stretched, toned

SPEC = SnapshotSpec("open", ("normals", "preview", "visibility"))
SIZE = 64


def blob(right: float, down: float) -> Tensor:
    """(1,1,SIZE,SIZE) in [0, 1]: a spot with its middle there, in sides of the picture."""
    axis = (torch.arange(SIZE) + 0.5) / SIZE
    return torch.exp(-200 * ((axis[None] - right) ** 2 + (axis[:, None] - down) ** 2))[None, None]


def middle(picture: Tensor) -> tuple[float, float]:
    """Of a spot (1,1,SIZE,SIZE): right and down."""
    axis = (torch.arange(SIZE) + 0.5) / SIZE
    mass = picture[0, 0] / picture.sum()
    return float((mass.sum(0) * axis).sum()), float((mass.sum(1) * axis).sum())


def a_pair(right: float, down: float) -> TrainingPair:
    spot = blob(right, down)
    picture = 2 * spot.expand(1, 3, -1, -1) - 1
    snapshot = torch.cat([torch.zeros(1, 3, SIZE, SIZE), picture, spot], 1)
    return TrainingPair(picture, picture, snapshot, torch.ones_like(spot), chip=torch.tensor([[right, down, 0.2, 0.1]]))


@pytest.mark.parametrize("log_scale", [(0.2, 0.0), (0.0, 0.15), (0.1, -0.1), (-0.2, -0.1)])
def test_all_pictures_and_the_face_move_alike(log_scale: tuple[float, float]) -> None:
    out = stretched(a_pair(0.4, 0.58), torch.tensor([log_scale]), SPEC)
    wider, higher = torch.tensor(log_scale).exp() / min(1.0, float(torch.tensor(log_scale).exp().min()))
    expected = 0.5 - 0.1 * float(wider), 0.5 + 0.08 * float(higher)
    spots = {
        "source": out.source[:, :1] / 2 + 0.5,
        "target": out.target[:, :1] / 2 + 0.5,
        "preview": out.snapshot[:, SPEC.slice("preview")][:, :1] / 2 + 0.5,
        "visibility": out.snapshot[:, SPEC.slice("visibility")],
    }
    for name, spot in spots.items():
        assert middle(spot) == pytest.approx(expected, abs=2e-3), name
    assert out.chip is not None
    assert out.chip[0].tolist() == pytest.approx([*expected, 0.2 * float(wider * higher) ** 0.5, 0.1], abs=1e-5)
    assert torch.allclose(out.weight, torch.ones_like(out.weight))


def test_no_stretch_leaves_the_pictures() -> None:
    pair = a_pair(0.4, 0.58)
    out = stretched(pair, torch.zeros(1, 2), SPEC)
    for name in ("source", "target", "snapshot", "weight", "chip"):
        assert torch.allclose(getattr(out, name), getattr(pair, name), atol=1e-5), name


def test_normals_are_the_ellipsoids() -> None:
    """A unit sphere stretched by (a, b, sqrt(ab)): at a point p of it the normal is p / axes^2, normalized."""
    generator = torch.Generator().manual_seed(0)
    sphere = torch.nn.functional.normalize(torch.randn(1, 3, 5, 5, generator=generator), dim=1)
    scale = torch.tensor([[1.3, 1.0]])
    axes = torch.tensor([1.3, 1.0, 1.3**0.5])[None, :, None, None]
    there = sphere * axes  # where each point of the sphere goes
    expected = torch.nn.functional.normalize(there / axes**2, dim=1)
    assert torch.allclose(normals_of(sphere, scale), expected, atol=1e-6)
    assert torch.equal(normals_of(torch.zeros(1, 3, 2, 2), scale), torch.zeros(1, 3, 2, 2)), "off the head"


def test_tone() -> None:
    picture = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(toned(picture, torch.zeros(2, 2)), picture)
    grey = picture.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    changed = toned(grey, torch.tensor([[0.3, 0.5], [-0.3, 0.5]]))
    assert torch.allclose(changed[:, 0], changed[:, 2], atol=1e-6), "grey stays grey"
    assert torch.allclose(changed[0], grey[0] ** torch.tensor(0.3).exp(), atol=1e-6)
    colourless = toned(picture, torch.tensor([[0.0, -20.0]]).expand(2, -1))
    assert torch.allclose(colourless, grey, atol=1e-6)


def test_what_else_is_drawn_stays() -> None:
    """Runs without variety see the draws of before; with it only tone and stretch differ, and half of the pictures keep their proportions."""
    plain = TrainConfig(stage="expfacenet", colour_jitter=0.1, first_share=0.5, own_share=0.25)
    varied = replace(plain, tone_jitter=0.2, stretch_jitter=0.05)
    a, b = (draw(config, 7, 400, 1000, 64) for config in (plain, varied))
    for f in fields(a):
        if f.name not in ("tone", "stretch"):
            assert torch.equal(getattr(a, f.name), getattr(b, f.name)), f.name
    assert not a.tone.any()
    assert not a.stretch.any()
    assert float(b.tone.std()) == pytest.approx(0.2, rel=0.1)
    still = (b.stretch == 0).all(1).float().mean()
    assert float(still) == pytest.approx(0.5, abs=0.1)
    assert float(b.stretch[b.stretch.abs().sum(1) > 0].std()) == pytest.approx(0.05, rel=0.15)
