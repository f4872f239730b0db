"""DiffusionRig in the open preset's size: what it sees, that all of it learns, its cost, its pairs with albedo, and the edits it makes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from discontrolface.baselines import register_stages
from discontrolface.baselines.rig_method import RigMethod, rig_method
from discontrolface.common.configs import PACKAGED
from discontrolface.common.errors import UserError
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.editor import Editor
from discontrolface.editing.method import MethodContext
from discontrolface.editing.reading import Reader
from discontrolface.evaluation.trials import Bench, held_out_pair
from discontrolface.face.geometry import Geometry
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.nets.diffusion_rig import MAPS, DiffusionRig, physical_buffers
from discontrolface.nets.presets import debug_config, open_diffae_config
from discontrolface.training.albedo import draw_folder
from discontrolface.training.config import TrainConfig, load_config
from discontrolface.training.cost import count
from discontrolface.training.dataset import CHANNELS, Batch, PairDataset, StepData, channels, describe_pairs
from discontrolface.training.objective import build, empty
from discontrolface.training.pairs import make_block
from discontrolface.training.train import train

CONFIGS = PACKAGED
register_stages()
TINY = TrainConfig(stage="diffusionrig", network="debug", steps=10, batch=4, lr=4e-3, ema=0.9, mask_patch=4, snapshot_maps=MAPS)


def small(seed: int = 0) -> DiffusionRig:
    """With random weights everywhere: layers that start at zero would hide what they are given."""
    torch.manual_seed(seed)
    network = DiffusionRig.sized_as(debug_config(), "open").eval()
    with torch.no_grad():
        for p in network.parameters():
            if not p.any():
                p.normal_(0, 0.2)
    return network


def inputs(count: int = 2, size: int = 32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noisy picture, timesteps, source photo, buffers."""
    generator = torch.Generator().manual_seed(1)
    x, photo = torch.randn(2, count, 3, size, size, generator=generator)
    return x, torch.tensor([900, 100])[:count], photo, torch.rand(count, 9, size, size, generator=generator) * 2 - 1


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small pairs; no albedo yet."""
    folder = tmp_path_factory.mktemp("pairs")
    describe_pairs(folder, "open")
    make_block(4000, 2, 32, folder / "block_00004000.npy")
    return folder


@pytest.fixture(scope="module")
def with_albedo(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("with albedo")
    assert draw_folder(pairs, folder) == 1
    assert torch.equal(PairDataset(folder).chips(), PairDataset(pairs).chips())
    return folder


def test_size_of_the_open_baseline() -> None:
    """Parameters and operations as the docs state them; the published number of channels and width of the code."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = DiffusionRig.sized_as(open_diffae_config(), "open")
        network(torch.empty(1, 3, 256, 256), torch.empty(1).long(), torch.empty(1, 9, 256, 256), torch.empty(1, 64))
    assert counter.get_total_flops() == pytest.approx(7.001e9, rel=1e-3)
    assert sum(p.numel() for p in network.unet.parameters()) == 6_480_240
    assert sum(p.numel() for p in network.encoder.parameters()) == 1_588_504
    assert network.unet.stem.in_channels == (3 + 9) * 16
    config = load_config(CONFIGS / "baseline_diffusionrig.yaml")
    built = empty(config).model.config
    assert all(built[name] == value for name, value in network.config.items() if not name.startswith("_"))
    cost, ours = count(config), count(load_config(CONFIGS / "open_expfacenet.yaml"))
    assert (cost.trained, cost.frozen) == (8_068_744, 0)
    assert cost.step == pytest.approx(9.882e9, rel=1e-3)
    assert ours.step == pytest.approx(12.495e9, rel=1e-3)


def test_every_buffer_channel_and_the_code_change_the_picture() -> None:
    network = small()
    x, t, photo, buffers = inputs()
    z = network.encode(photo)
    assert z.shape == (2, 64)
    made = network(x, t, buffers, z)
    assert made.shape == x.shape
    for channel in range(9):
        other = buffers.clone()
        other[:, channel] *= -1
        assert (network(x, t, other, z) - made).abs().mean() > 1e-3, f"buffer channel {channel}"
    assert (network(x, t, buffers, z.flip(0)) - made).abs().mean() > 1e-3
    assert (network(x, t, buffers, x_start=photo * 0.5) - made).abs().mean() > 1e-4
    with pytest.raises(UserError, match="cannot be halved"):
        DiffusionRig(image_size=60)


def test_the_code_scales_and_shifts() -> None:
    """(h (1 + s_t) + b_t) (1 + s_z) + b_z, computed here step by step."""
    res = small().unet.middle.res1
    generator = torch.Generator().manual_seed(2)
    h, time, z = (torch.randn(2, n, *grid, generator=generator) for n, grid in ((res.conv1.out_channels, (4, 4)), (16, ()), (64, ())))
    scale_t, shift_t = res.time(time)[..., None, None].chunk(2, 1)
    scale_z, shift_z = res.semantic(z)[..., None, None].chunk(2, 1)
    expected = (h * (1 + scale_t) + shift_t) * (1 + scale_z) + shift_z
    gain, offset = res.modulation(time, z)
    assert torch.allclose(h * gain + offset, expected, atol=1e-5)
    assert shift_z.abs().mean() > 0.01


def test_all_of_it_learns_end_to_end(with_albedo: Path) -> None:
    objective = build(TINY, None)
    batch = StepData(PairDataset(with_albedo), TINY)[0][0]
    assert batch.snapshot.shape == (4, 9, 32, 32)
    optimizer = torch.optim.AdamW(objective.trained.parameters(), lr=4e-3)
    losses = []
    for _ in range(16):
        optimizer.zero_grad()
        loss = objective(batch).per_sample.mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-3:]) < 0.7 * losses[0]
    for part in (objective.model.encoder, objective.model.unet):
        missing = [name for name, p in part.named_parameters() if p.grad is None or not p.grad.any()]
        assert not missing, missing
    made = objective.sampled(batch, batch.noise, 2, torch.Generator())
    assert made.shape == batch.target.shape
    assert not torch.equal(made, objective.sampled(Batch(**{**vars(batch), "source": -batch.source}), batch.noise, 2, torch.Generator()))
    masked = Batch(**{**vars(batch), "mask": torch.ones_like(batch.mask)})
    with torch.no_grad():
        assert torch.equal(objective(masked).per_sample, objective(batch).per_sample), "nothing is masked"


def test_trained_by_the_loop_and_loaded_again(with_albedo: Path, tmp_path: Path) -> None:
    weights = train(TINY, PairDataset(with_albedo), tmp_path / "run")
    again = train(TINY, PairDataset(with_albedo), tmp_path / "run")  # resumes at the end
    network = DiffusionRig.from_pretrained(again)
    assert weights == again
    assert network.spec.maps == MAPS
    x, t, photo, buffers = inputs()
    saved = small(3)
    saved.save_pretrained(tmp_path / "saved")
    loaded = DiffusionRig.from_pretrained(tmp_path / "saved").eval()
    assert torch.equal(saved(x, t, buffers, x_start=photo), loaded(x, t, buffers, x_start=photo))
    assert not torch.equal(network(x, t, buffers, x_start=photo), saved(x, t, buffers, x_start=photo))


def test_albedo_is_of_the_very_same_heads(pairs: Path, with_albedo: Path, tmp_path: Path) -> None:
    data = PairDataset(with_albedo)
    assert draw_folder(pairs, with_albedo) == 0, "what is there is not drawn again"
    pair = data.read(0, with_albedo=True)
    assert pair.shape == (CHANNELS + 6, 32, 32)
    assert torch.equal(pair[:CHANNELS], data.read(0))
    albedo, normals = pair[channels("albedo_a")], pair[channels("normals_a")] * 2 - 1
    on_head = normals.norm(dim=0) > 0.5
    assert 0.1 < on_head.float().mean() < 0.9
    assert (albedo[:, ~on_head] - 0.5).abs().max() < 0.01
    assert len(torch.unique(albedo[:, on_head], dim=1).T) > 3, "regions have colours of their own"
    block = np.load(pairs / "block_00004000.npy")
    describe_pairs(tmp_path, "open")
    np.save(tmp_path / "block_00004001.npy", block)  # its name says another seed
    with pytest.raises(UserError, match="was not made as pairs are made now"):
        draw_folder(tmp_path)
    (tmp_path / "block_00004001.npy").rename(tmp_path / "block_x.npy")
    with pytest.raises(UserError, match="does not say its first seed"):
        draw_folder(tmp_path)


def test_missing_albedo_is_refused_where_it_is_asked_for(pairs: Path) -> None:
    plain = TrainConfig(network="debug", batch=2, mask_patch=4)
    assert StepData(PairDataset(pairs), plain)[0][0].snapshot.shape[1] == 6, "old blocks stay readable"
    with pytest.raises(UserError, match=r"no albedo_00004000.npy in .*training\.albedo"):
        StepData(PairDataset(pairs), TINY)[0]


def test_edits_of_held_out_pairs(tmp_path: Path) -> None:
    """Pictures of the right kind that follow the target's buffers and the source's code, the same each time."""
    geometry = Geometry(HeadModel.open())
    bench = Bench(Reader.open(32), geometry, 32, ("normals",))
    edit = held_out_pair(0, bench).edit
    method = RigMethod(small(), steps=2)
    (picture,) = method([edit])
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert picture.min() < picture.max()
    assert np.array_equal(method([edit])[0], picture)
    unedited = replace(edit, target=edit.person.parameters)
    darker = replace(edit, crop=edit.crop * 0.5)
    assert not np.array_equal(method([unedited])[0], picture)
    assert not np.array_equal(method([darker])[0], picture)
    with pytest.raises(UserError, match="32x32, not 64x64"):
        method([replace(edit, crop=torch.zeros(1, 3, 64, 64))])
    small().save_pretrained(tmp_path / "open")
    context = MethodContext(Editor.load("open"), Sampling(steps=2), {"diffusionrig": tmp_path / "open"})
    assert np.array_equal(rig_method(context)([edit])[0], picture)
    DiffusionRig(**{**small().config, "head": "flame"}).save_pretrained(tmp_path / "flame")
    with pytest.raises(UserError, match=r"of the head model 'flame', not with .* 'open'; give --preset paper"):
        rig_method(replace(context, weights={"diffusionrig": tmp_path / "flame"}))([edit])
    with pytest.raises(UserError, match=r"no config\.json"):
        rig_method(replace(context, weights={"diffusionrig": tmp_path}))


def test_buffers_are_decas_in_order_and_range() -> None:
    """Of the maps of a snapshot: Lambertian, normals, albedo; colours in [0, 1]; all 0 off the head, where a snapshot's colours are 0 too."""
    geometry = Geometry(HeadModel.open())
    snapshot = geometry.snapshot(FaceParameters.default(geometry.head), 48, MAPS)
    physical, mask = physical_buffers(snapshot.image), snapshot.mask
    assert torch.equal(physical[:, 3:6], snapshot.image[:, :3])
    assert torch.equal(physical[:, :3], (snapshot.image[:, 3:6] + 1) / 2 * mask)
    assert torch.equal(physical[:, 6:], (snapshot.image[:, 6:] + 1) / 2 * mask)
    stored = (snapshot.image * 127.5 + 127.5).round() / 127.5 - 1  # 8 bits
    assert (physical_buffers(stored) - physical).abs().max() < 0.005
    mirrored = snapshot.image.flip(-1) * torch.tensor([-1.0] + [1.0] * 8)[None, :, None, None]
    assert torch.equal(physical_buffers(mirrored)[:, 6:], physical.flip(-1)[:, 6:])
