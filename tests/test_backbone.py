"""A backbone that the package does not know, registered here and used end to end: loss, Exp-FaceNet, sampling, inversion, preset folder."""

import copy
import dataclasses
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import OPEN_MAPS
from discontrolface.diffusion import EditCondition, diffusion_loss, invert, sample
from discontrolface.diffusion.decoding import Decoding
from discontrolface.diffusion.interpolation import interpolate
from discontrolface.nets import ExpFaceNet
from discontrolface.nets.backbone import BACKBONES, Backbone, Space, backbone_class, make_backbone, register_backbone
from discontrolface.nets.control import Control, mix_preview
from discontrolface.nets.network import Network
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.nets.presets import CONFIGS
from discontrolface.nets.unet import DeepFeatures, UNet, UNetShape
from discontrolface.training.config import TrainConfig
from discontrolface.training.cost import count
from discontrolface.training.dataset import CHANNELS, PairDataset, StepData, describe_pairs
from discontrolface.training.train import train
from discontrolface.weights.preset import load_preset


class HalfSize(Network):
    """Denoises brightness and two colour differences of the picture at half its size; its encoder is one linear layer on the means of 4x4 tiles."""

    clips_x0 = False
    __call__: Callable[..., Tensor]

    def __init__(self, image_size: int = 32, width: int = 8) -> None:
        super().__init__()
        self.image_size, self.space = image_size, Space(3, image_size // 2)
        self.noise_process = NoiseProcess("linear", "v_prediction")
        self.unet = UNet(3, 3, UNetShape(image_size // 2, width, (1, 2), 1, (8,), 1, 16, 12, 0.0))
        self.head = nn.Linear(48, 12)
        self.register_buffer("colours", torch.tensor([[0.3, 0.6, 0.1], [0.5, -0.5, 0.0], [0.2, 0.2, -0.4]]), persistent=False)

    def encode(self, x0: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(x0, 4).flatten(1))

    def to_space(self, picture: Tensor) -> Tensor:
        return F.avg_pool2d(torch.einsum("ij,bjhw->bihw", self.colours, picture), 2)

    def from_space(self, x: Tensor) -> Tensor:
        return F.interpolate(torch.einsum("ij,bjhw->bihw", self.colours.inverse(), x), scale_factor=2.0)

    def stem(self, x_t: Tensor) -> Tensor:
        return self.unet.stem(x_t)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        z: Tensor,
        control: Control | Sequence[Tensor | None] | None = None,
        deep: DeepFeatures | None = None,
    ) -> Tensor:
        prediction = self.unet.project(self.unet(self.stem(x_t), t, z, added=control, deep=deep))
        return mix_preview(prediction, control, x_t, t, self.noise_process)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discontrolface.nets.backbone.BACKBONES", BACKBONES.copy())
    register_backbone(HalfSize)


def random_weights(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))


def networks() -> tuple[Backbone, ExpFaceNet]:
    model = make_backbone({"_class_name": "HalfSize", "image_size": 32})
    random_weights(model, 0)
    model.requires_grad_(False)
    return model, ExpFaceNet.from_backbone(model, snapshot_maps=OPEN_MAPS, preview_gate="visibility", preview_correction=True)


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_space_is_not_the_picture() -> None:
    model, _ = networks()
    flat = torch.tensor([0.4, -0.2, 0.1]).view(1, 3, 1, 1).expand(2, 3, 32, 32)
    assert model.to_space(flat).shape == (2, *model.space[:1], *model.space[1:] * 2)
    torch.testing.assert_close(model.from_space(model.to_space(flat)), flat)


def test_the_control_starts_as_a_copy_and_learns_beside_it() -> None:
    model, control = networks()
    x, snapshot = pictures(4, 3, 32, 32), pictures(4, 10, 32, 32)
    snapshot[:, 9:] = 0  # the preview shows nothing: the gate starts shut
    t, z = torch.tensor([900, 500, 100, 0]), model.encode(x)
    x_t = model.noise_process.add_noise(model.to_space(x), torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(2)), t)
    signal = control(x_t, t, z, snapshot, backbone=model)
    assert [f.shape[1] for f in signal if f is not None] == model.unet.up_channels
    assert signal.gate is not None
    assert signal.gate.shape == (4, 1, 16, 16)
    assert torch.equal(model(x_t, t, z, control=signal), model(x_t, t, z))
    weight = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    optimizer = torch.optim.AdamW(control.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        generator = torch.Generator().manual_seed(4)
        loss = diffusion_loss(model, x, control, snapshot, weight=weight, t=t, generator=generator).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    with torch.no_grad():
        half, whole = (
            diffusion_loss(model, x, control, snapshot, weight=w, t=t, generator=torch.Generator().manual_seed(4)).loss
            for w in (0.5 * weight, weight)
        )
    assert float(half) == pytest.approx(0.5 * float(whole), rel=1e-5)


def test_an_open_gate_gives_the_preview() -> None:
    """Where the preview is visible everywhere and the network is new, an edit from any noise is the preview, as the space can hold it."""
    model, control = networks()
    x, snapshot = pictures(2, 3, 32, 32), pictures(2, 10, 32, 32)
    snapshot[:, 9:] = 1
    condition = EditCondition(model, control, x, snapshot, 4, generator=torch.Generator().manual_seed(0), patch=8)
    edited = sample(model, torch.randn(2, *model.space[:1], 16, 16), steps=4, condition=condition)
    preview = model.to_space(snapshot[:, 6:9])
    torch.testing.assert_close(edited, preview, atol=1e-3, rtol=1e-3)
    assert model.from_space(edited).shape == x.shape


def test_inverting_undoes_sampling_and_interpolation_gives_pictures() -> None:
    model, _ = networks()
    x = pictures(2, 3, 32, 32)
    z = model.encode(x)
    noise = invert(model, model.to_space(x), z, steps=100)
    assert (sample(model, noise, z, steps=100) - model.to_space(x)).abs().mean() < 0.05
    assert interpolate(model, x[:1], x[1:], [0.0, 0.5], Decoding("inverted", steps=2, inversion_steps=2)).shape == (2, 3, 32, 32)
    cached = sample(model, noise, z, steps=4, deep_every=2, deep_depth=1)
    assert cached.shape == noise.shape


def test_trained_by_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backbone, then Exp-FaceNet beside it on squares of the pictures; the noise of a batch has the shape of the space."""
    monkeypatch.setitem(CONFIGS, "half", lambda: {"_class_name": "HalfSize", "image_size": 32})
    blocks = np.random.default_rng(0).integers(0, 256, (6, CHANNELS, 4, 4)).astype(np.uint8).repeat(8, 2).repeat(8, 3)
    np.save(tmp_path / "block_0.npy", blocks)
    describe_pairs(tmp_path, "open")
    data = PairDataset(tmp_path)
    config = TrainConfig(stage="diffae", network="half", steps=2, batch=2, mask_patch=8, lr=1e-3)
    backbone = train(config, data, tmp_path / "backbone")
    config = dataclasses.replace(config, stage="expfacenet", snapshot_maps=OPEN_MAPS, preview_gate="visibility", crop=16)
    batch = StepData(data, config, space=Space(3, 16))[0][0]
    assert batch.target.shape[-2:] == (16, 16)
    assert batch.noise.shape == (2, 3, 8, 8)
    control = ExpFaceNet.from_pretrained(train(config, data, tmp_path / "control", backbone))
    assert control.config.space_size == 16
    assert count(config).frozen == sum(p.numel() for p in HalfSize().parameters())


def test_saved_and_loaded_as_a_preset(tmp_path: Path) -> None:
    model, control = networks()
    random_weights(control, 5)
    model.save_pretrained(tmp_path / "diffae")
    control.save_pretrained(tmp_path / "exp_facenet")
    (tmp_path / "preset.json").write_text(json.dumps({"name": "toy", "head": "open", "start": "noise", "strength": 0.5, "steps": 3}))
    preset = load_preset(tmp_path)
    assert type(preset.model).__name__ == "HalfSize"
    x, snapshot, noise = pictures(1, 3, 32, 32), pictures(1, 10, 32, 32), torch.randn(1, 3, 16, 16)

    def edit(model: Backbone, control: ExpFaceNet) -> Tensor:
        condition = EditCondition(model, control, x, snapshot, 3, generator=torch.Generator().manual_seed(0), patch=8)
        return model.from_space(sample(model, noise, steps=3, condition=condition))

    torch.testing.assert_close(edit(preset.model, preset.control), edit(model, control), atol=1e-5, rtol=1e-5)
    config = tmp_path / "diffae" / "config.json"
    config.write_text(config.read_text().replace("HalfSize", "Unheard"))
    with pytest.raises(UserError, match="'Unheard' is not known; choose one of DiffAE, LatentDiffAE, HalfSize"):
        load_preset(tmp_path)
    config.write_text("{}")
    with pytest.raises(UserError, match="does not name a network"):
        load_preset(tmp_path)


def test_the_table_names_classes_that_exist() -> None:
    for name in BACKBONES:
        assert backbone_class(name).__name__ == name


def test_a_noise_process_is_shared_by_threads_and_devices() -> None:
    """One table for each device and dtype, whoever asks first; also for a training after an edit without gradients; copies are independent."""
    process = NoiseProcess("const", "epsilon")
    t, x = torch.tensor([0, 500, 999]), torch.randn(3, 4)
    with torch.inference_mode():
        first = process.add_noise(x, x, t)
    results: list[Tensor] = []
    threads = [threading.Thread(target=lambda: results.append(process.add_noise(x, x, t))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(torch.equal(r, first) for r in results)
    a = 0.992 ** (t.double()[:, None] + 1)
    torch.testing.assert_close(first, (a.sqrt() + (1 - a).sqrt()).float() * x)
    prediction = torch.randn(3, 4, requires_grad=True)
    process.to_x0(prediction, x, t).sum().backward()  # tables made without gradients would refuse
    assert prediction.grad is not None
    assert process.add_noise(x.double(), x.double(), t).dtype == torch.float64
    assert process.add_noise(x.to("meta"), x.to("meta"), t.to("meta")).device.type == "meta"
    assert torch.equal(copy.deepcopy(process).add_noise(x, x, t), first)
    for wrong, word in ((("cosine", "epsilon"), "schedule 'cosine'"), (("linear", "score"), "prediction_type 'score'")):
        with pytest.raises(UserError, match=word):
            NoiseProcess(*wrong)
