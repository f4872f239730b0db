"""dlib's face network in PyTorch against dlib itself, and the loss on its features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.nets.dlib_face import DlibFace
from discontrolface.training.likeness import FLOOR, Likeness
from discontrolface.weights.dlib_face import dlib_file, load_dlib_face


def test_embeddings_are_dlibs_own() -> None:
    dlib = pytest.importorskip("_dlib_pybind11")
    network, theirs = load_dlib_face(dlib_file()), dlib.face_recognition_model_v1(str(dlib_file()))
    random = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(random[:9, :9]).resize((150, 150), Image.Resampling.BICUBIC))
    for chip in (random, smooth):
        ours = network(torch.from_numpy(chip.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1)[0]
        np.testing.assert_allclose(ours.numpy(), np.array(theirs.compute_face_descriptor(np.ascontiguousarray(chip))), atol=2e-6)


@pytest.mark.parametrize("damage", ["truncated", "empty", "another", "not finite"])
def test_a_file_that_is_not_the_network_is_named(damage: str, tmp_path: Path) -> None:
    pytest.importorskip("_dlib_pybind11")
    content = dlib_file().read_bytes()
    file = tmp_path / "network.dat"
    at = content.find(b"con_4") + 20
    changed = {
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "another": b"PK\x03\x04" + content[:1000],
        "not finite": content[:at] + np.full(16, np.nan, "<f4").tobytes() + content[at + 64 :],
    }
    file.write_bytes(changed[damage])
    with pytest.raises(UserError, match=r"network\.dat: layer .* install the extra `eval` again"):
        load_dlib_face(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no .*nothing\.dat; install"):
        load_dlib_face(tmp_path / "nothing.dat")


def random_likeness(size: int) -> Likeness:
    torch.manual_seed(0)
    return Likeness(DlibFace().eval(), size)


def test_the_right_picture_costs_nothing_and_the_preview_nearly_one() -> None:
    loss = random_likeness(256)
    target = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    preview = torch.zeros_like(target)
    assert loss(target, target, preview).tolist() == [0, 0]
    as_good = loss(preview, target, preview)
    assert ((as_good > 1 / (1 + 10 * FLOOR)) & (as_good < 1)).all()  # below 1 by the floor only
    halfway = loss(target + 0.1 * (preview - target), target, preview)
    assert (halfway < as_good).all()


def test_its_gradient_reaches_the_picture_only() -> None:
    loss = random_likeness(256)
    target, preview = torch.zeros(1, 3, 128, 128), torch.ones(1, 3, 128, 128)
    picture = torch.full((1, 3, 128, 128), 0.5, requires_grad=True)
    loss(picture, target, preview).sum().backward()  # type: ignore[no-untyped-call]
    assert picture.grad is not None
    assert float(picture.grad.abs().sum()) > 0
    assert all(p.grad is None for p in loss.network.parameters())


def test_crops_of_another_size_are_seen_at_the_same_scale() -> None:
    large, small = random_likeness(512).seen(torch.zeros(1, 3, 256, 256)), random_likeness(256).seen(torch.zeros(1, 3, 128, 128))
    assert [f.shape for f in large] == [f.shape for f in small]


def test_the_person_is_asked_by_embeddings_of_a_chip() -> None:
    """The ratio of distances, computed here from the chips themselves; 0 for the right picture, with a slope that is finite there."""
    loss = random_likeness(256)
    with torch.no_grad():
        loss.network.embed.weight.mul_(300)  # distances as a trained network has them
    generator = torch.Generator().manual_seed(3)
    target, preview, picture = (torch.rand(2, 3, 256, 256, generator=generator) * 2 - 1 for _ in range(3))
    chip, chance = torch.tensor([[0.5, 0.59375, 0.6875, 0.0]] * 2), torch.zeros(2, 3)
    rows, columns = slice(64, 240), slice(40, 216)
    blurred = [torch.nn.functional.avg_pool2d(x, 9, 1, 4) for x in (target, preview, picture)]  # so that a pixel's part does not count
    chips = [torch.nn.functional.interpolate(x[..., rows, columns], (150, 150), mode="bilinear", align_corners=False) for x in blurred]
    right, before, mine = (loss.network(chip) for chip in chips)
    expected = (mine - right).norm(dim=1) / ((before - right).norm(dim=1) + 0.1)
    assert torch.allclose(loss.person(blurred[2], blurred[0], blurred[1], chip, chance), expected, rtol=0.05)
    same = target.clone().requires_grad_(True)
    nothing = loss.person(same, target, preview, chip, chance)
    assert nothing.tolist() == [0, 0]
    nothing.sum().backward()  # type: ignore[no-untyped-call]
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()
