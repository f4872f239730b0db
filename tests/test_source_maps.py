"""The source among the maps of a snapshot: the picture that an edit starts from, and the normals of its own head."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.blocks import make_blocks

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import OPEN_MAPS, SOURCE_MAPS
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import own_snapshot, prepare
from discontrolface.face.heads.registry import find_head
from discontrolface.face.parameters import FaceParameters
from discontrolface.nets.backbone import make_backbone
from discontrolface.nets.exp_facenet import ExpFaceNet, shared_gate
from discontrolface.nets.presets import CONFIGS
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import PairDataset, StepData
from discontrolface.training.draws import draw
from discontrolface.training.train import load_weights

MAPS = (*OPEN_MAPS, *SOURCE_MAPS)


def control_network(maps: tuple[str, ...] = MAPS, source_gate: bool = True) -> tuple[torch.nn.Module, ExpFaceNet]:
    torch.manual_seed(0)
    model = make_backbone(CONFIGS["debug"]())
    return model, ExpFaceNet.from_backbone(
        model, snapshot_maps=maps, preview_gate="visibility", preview_correction=True, source_gate=source_gate
    ).eval()


def test_an_edit_shows_the_photo_and_its_own_normals() -> None:
    geometry = find_head("open").geometry()
    own = FaceParameters.default(geometry.head)
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    person, target = Person.known(picture, own, geometry), own.edit(yaw=30)
    edit = prepare(person, target, 64, MAPS)
    maps, spec = edit.snapshot.image, edit.snapshot.spec
    assert torch.equal(maps[:, spec.slice("source")], edit.crop)
    assert torch.equal(maps[:, spec.slice("source_normals")], geometry.snapshot(own, 64, ("normals",)).image)
    assert torch.equal(maps[:, spec.slice("normals")], geometry.snapshot(target, 64, ("normals",)).image)
    still = own_snapshot(edit, MAPS)
    assert torch.equal(still[:, spec.slice("source_normals")], still[:, spec.slice("normals")])


def test_pairs_show_the_source_in_its_direction(tmp_path: Path) -> None:
    data = PairDataset(make_blocks(tmp_path))
    config = TrainConfig(network="debug", batch=8, mask_patch=8, snapshot_maps=MAPS, preview_gate="visibility", source_gate=True)
    batch, draws = StepData(data, config)[0][0], draw(config, 0, 8, len(data), data.size)
    assert draws.reverse.any()
    assert draws.mirrored.any()
    assert torch.equal(batch.snapshot[:, config.spec.slice("source")], batch.source)
    back = StepData(data, TrainConfig(network="debug", batch=8, mask_patch=8, snapshot_maps=("normals",)))[0][0]
    for k in range(8):
        pair = data.read(int(draws.index[k]))
        other = 2 * pair[6:9] - 1 if not draws.reverse[k] else 2 * pair[9:12] - 1  # normals_a, normals_b: of the source
        expected = (other * torch.tensor([-1.0, 1, 1])[:, None, None]).flip(-1) if draws.mirrored[k] else other
        assert torch.equal(batch.snapshot[k, config.spec.slice("source_normals")], expected)
        assert torch.equal(batch.snapshot[k, config.spec.slice("normals")], back.snapshot[k])


def test_two_gates_mix_as_their_sum_says() -> None:
    torch.manual_seed(0)
    gate, still = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
    preview, source, x0 = (torch.randn(2, 3, 8, 8) for _ in range(3))
    total, mixed = shared_gate(gate, preview, still, source)
    share = 1 / (gate + still).clamp(min=1)
    expected = x0 + share * gate * (preview - x0) + share * still * (source - x0)
    assert torch.allclose(x0 + total * (mixed - x0), expected, atol=1e-5)
    assert total.max() <= 1
    none = torch.zeros(2, 1, 8, 8)
    total, mixed = shared_gate(none, preview, none, source)
    assert torch.equal(total, none)
    assert torch.equal(x0 + total * (mixed - x0), x0)  # what is mixed where both are shut is of no account


def test_more_maps_change_nothing_at_first(tmp_path: Path) -> None:
    model, small = control_network(OPEN_MAPS, source_gate=False)
    for parameter in small.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    small.save_pretrained(tmp_path)
    _, large = control_network()
    load_weights(large, tmp_path)
    size = model.image_size
    x, z = torch.randn(2, 3, size, size), torch.randn(2, model.config["z_channels"])
    t, snapshot = torch.tensor([10, 900]), torch.rand(2, large.spec.channels, size, size)
    few = snapshot[:, : small.spec.channels]
    with torch.no_grad():
        a = model(x, t, z, control=small(x, t, z, few, backbone=model))
        b = model(x, t, z, control=large(x, t, z, snapshot, backbone=model))
    assert torch.allclose(a, b, atol=1e-5)


def test_the_gate_needs_the_map() -> None:
    with pytest.raises(UserError, match="source_gate needs the snapshot map 'source'"):
        control_network(OPEN_MAPS)
