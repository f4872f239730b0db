"""Random semantic masking: distributions, exact counts, tables."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from discontrolface.common.errors import UserError
from discontrolface.diffusion.masking import FILLS, apply_mask, masking_schedule, random_patch_mask, random_ratios


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def as_patches(mask: torch.Tensor, patch: int) -> torch.Tensor:
    """(B,1,S,S) -> (B, patches, pixels of a patch)."""
    return torch.nn.functional.unfold(mask.float(), patch, stride=patch).transpose(1, 2)


def test_training_ratio_is_uniform() -> None:
    ratios = random_ratios(10_000, generator=seeded())
    assert stats.kstest(ratios.numpy(), stats.uniform(0.25, 0.5).cdf).pvalue > 0.01


def test_masked_share_follows_the_ratio() -> None:
    """Over 10,000 draws the share of hidden patches follows U(0.25, 0.75); a uniform jitter undoes the rounding to whole patches."""
    n = 16 * 16
    counts = torch.cat([random_patch_mask(500, 16, 1, generator=seeded(i)).flatten(1).sum(1) for i in range(20)])
    jitter = torch.rand(10_000, generator=seeded(99)) - 0.5
    assert stats.kstest(((counts + jitter) / n).numpy(), stats.uniform(0.25, 0.5).cdf).pvalue > 0.01


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 1), st.sampled_from([1, 4, 16]), st.integers(1, 6), st.integers(0, 1000))
def test_constant_on_patches_and_exact_count(ratio: float, patch: int, side: int, seed: int) -> None:
    mask = random_patch_mask(3, side * patch, patch, ratio, seeded(seed))
    assert mask.shape == (3, 1, side * patch, side * patch)
    assert mask.dtype == torch.bool
    patches = as_patches(mask, patch)
    assert torch.equal(patches.amin(2), patches.amax(2))
    assert (patches.amax(2).sum(1) == round(ratio * side * side)).all()


def test_every_patch_is_as_likely() -> None:
    mask = random_patch_mask(4000, 4, 1, 0.25, seeded())
    counts = mask.flatten(1).sum(0).numpy()
    assert stats.chisquare(counts).pvalue > 0.01


def test_per_picture_ratios_and_reproducible() -> None:
    ratio = torch.tensor([0.0, 0.5, 1.0])
    mask = random_patch_mask(3, 64, ratio=ratio, generator=seeded(5))
    assert mask.flatten(1).float().mean(1).tolist() == [0.0, 0.5, 1.0]
    assert torch.equal(mask, random_patch_mask(3, 64, ratio=ratio, generator=seeded(5)))
    assert not torch.equal(mask, random_patch_mask(3, 64, ratio=ratio, generator=seeded(6)))


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 1), st.integers(0, 1000))
def test_face_only_never_touches_a_patch_without_face(ratio: float, seed: int) -> None:
    face = torch.zeros(2, 1, 64, 64)
    face[0, :, 20:50, 17:40] = 1  # touches patches in rows 1-3, columns 1-2
    face[1, :, 3, 3] = 0.5  # one pixel: one patch
    mask = random_patch_mask(2, 64, 16, ratio, seeded(seed), region=face)
    hidden, allowed = as_patches(mask, 16).amax(2), as_patches(face, 16).amax(2) > 0
    assert not hidden[~allowed].any()
    assert hidden.sum(1).tolist() == [round(ratio * 6), round(ratio * 1)]


def test_fills() -> None:
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    mask = random_patch_mask(2, 32, 16, 0.5, seeded())
    hidden = mask.expand_as(x)
    for fill in FILLS:
        out = apply_mask(x, mask, fill, seeded(1))
        assert torch.equal(out[~hidden], x[~hidden])
        assert not torch.equal(out[hidden], x[hidden])
    assert (apply_mask(x, mask)[hidden] == 0).all()
    assert (apply_mask(x, mask, "black")[hidden] == -1).all()
    visible_mean = x[0, 0][~mask[0, 0]].mean()
    torch.testing.assert_close(apply_mask(x, mask, "mean")[0, 0][mask[0, 0]], visible_mean.expand(512))
    noise = apply_mask(x, mask, "noise", seeded(1))[hidden]
    assert stats.kstest(noise.numpy(), stats.norm.cdf).pvalue > 0.001


def test_the_six_schedules() -> None:
    q, t = 0.25, 0.75
    assert masking_schedule("A", 20) == [0] * 20
    assert masking_schedule("B", 20) == [t] * 20
    assert masking_schedule("C", 20) == [q] * 20
    assert masking_schedule("D", 20) == [q] * 10 + [t] * 10
    assert masking_schedule("E", 20) == [t] * 10 + [q] * 10
    line = [0.75 - 0.5 * i / 19 for i in range(20)]
    assert masking_schedule("F", 20) == pytest.approx(line)
    assert masking_schedule("linear", 20) == masking_schedule("F", 20)
    assert masking_schedule("linear-up", 20) == pytest.approx(line[::-1])
    assert masking_schedule("linear", 1) == [0.5]
    assert masking_schedule([0.1, 0.9], 2) == [0.1, 0.9]
    assert [len(masking_schedule(name, 7)) for name in "ABCDEF"] == [7] * 6


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="schedule 'G' is not known"):
        masking_schedule("G", 20)
    with pytest.raises(UserError, match="lists 3 ratios"):
        masking_schedule([0, 0, 0], 20)
    with pytest.raises(UserError, match="outside"):
        masking_schedule([0, 1.5], 2)
    with pytest.raises(UserError, match="does not divide"):
        random_patch_mask(1, 100, 16)
    with pytest.raises(UserError, match=r"outside \[0, 1\]"):
        random_patch_mask(1, 32, 16, 1.2)
    with pytest.raises(UserError, match="fill 'pink'"):
        apply_mask(torch.zeros(1, 3, 32, 32), random_patch_mask(1, 32), "pink")
