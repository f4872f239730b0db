"""The backbone on autoencoder latents: against a composition of parts with tests of their own, trained by the loop, resumed exactly, edited with."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.blocks import make_blocks
from PIL import Image
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import OPEN_MAPS
from discontrolface.diffusion import EditCondition, diffusion_loss, sample
from discontrolface.nets import DiffAE, ExpFaceNet
from discontrolface.nets.autoencoders import make_autoencoder
from discontrolface.nets.backbone import Space, make_backbone
from discontrolface.nets.face_autoencoder import FaceAutoencoder
from discontrolface.nets.latent_diffae import LatentDiffAE
from discontrolface.nets.mirror import mirrored_snapshot
from discontrolface.nets.presets import CONFIGS, autoencoder_debug_config, latent_debug_config
from discontrolface.training.autoencoder import PhotoFolder, open_pictures
from discontrolface.training.config import TrainConfig
from discontrolface.training.cost import count
from discontrolface.training.dataset import PairDataset, StepData
from discontrolface.training.draws import draw
from discontrolface.training.log import read_log
from discontrolface.training.run import Sitting, picture_size, run_training
from discontrolface.training.state import load_state
from discontrolface.training.train import train
from discontrolface.weights.autoencoders import load_autoencoder
from discontrolface.weights.preset import load_preset


def random_weights(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def backbone(**changes: object) -> LatentDiffAE:
    model = make_backbone({**latent_debug_config(), **changes})
    random_weights(model, 0)
    model.set_statistics([pictures(2, 3, 32, 32)])
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("patch", [1, 2])
def test_it_is_a_diff_ae_between_the_autoencoders_halves(patch: int) -> None:
    """The same U-Net in a DiffAE whose pictures are the latents, the same encoder in a DiffAE on pictures, the autoencoder around them."""
    model = backbone(patch=patch, encoder_size=16, attention_resolutions=(4,))
    same = {k: v for k, v in latent_debug_config().items() if not k.startswith(("_", "autoencoder", "encoder_size", "encoder_patch"))}
    same |= {"num_res_blocks": 1, "dropout": 0.0, "prediction_type": "sample"}
    inner = DiffAE(**{**same, "image_size": 8, "patch": patch, "in_channels": 4, "encoder_mult": (1, 2)}).eval()
    inner.unet.load_state_dict(model.unet.state_dict())
    outer = DiffAE(**{**same, "image_size": 16, "patch": 2}, encoder_res_blocks=1).eval()
    outer.encoder.load_state_dict(model.encoder.state_dict())
    codec = make_autoencoder(latent_debug_config()["autoencoder"])
    codec.load_state_dict(model.autoencoder.state_dict())
    x, t, noise = pictures(2, 3, 32, 32), torch.tensor([900, 50]), torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        raw = codec.encode(x)
        mean, spread = raw.mean((0, 2, 3), keepdim=True), raw.transpose(0, 1).flatten(1).std(1).view(1, 4, 1, 1)
        clean, z = (raw - mean) / spread, outer.encode(F.interpolate(x, scale_factor=0.5, mode="area"))
        a = torch.tensor(model.noise_process.alphas_cumprod)[t].view(2, 1, 1, 1)
        x_t = a.sqrt() * clean + (1 - a).sqrt() * noise
        predicted = inner(x_t, t, z)
        torch.testing.assert_close(model.to_space(x), clean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.encode(x), z)
        torch.testing.assert_close(model(x_t, t, z), predicted, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.from_space(predicted), codec.decode(predicted * spread + mean), atol=1e-5, rtol=1e-4)
        loss = diffusion_loss(model, x, t=t, noise=noise)
    assert float(loss.loss) == pytest.approx(float((predicted - clean).square().mean()), rel=1e-4)
    assert not any(p.requires_grad for p in make_backbone(latent_debug_config()).autoencoder.parameters())


def test_the_strided_stem_and_the_preview_in_latents() -> None:
    """At the start the backbone, bit for bit; then both stems count, each in its own place."""
    model = backbone()
    control = ExpFaceNet.from_backbone(
        model, snapshot_maps=OPEN_MAPS, preview_gate="visibility", stem_widths=(6, 8), preview_in_space=True
    )  # 32 pixels to an 8x8 grid: two halvings
    x, snapshot, t = pictures(2, 3, 32, 32), pictures(2, 10, 32, 32), torch.tensor([900, 50])
    snapshot[:, 9:] = 0
    z, x_t = model.encode(x), torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.equal(model(x_t, t, z, control=control(x_t, t, z, snapshot, backbone=model)), model(x_t, t, z))
        random_weights(control, 3)
        first, second = control.snapshot_stem[0], control.snapshot_stem[2]
        h = F.silu(F.conv2d(snapshot, first.weight, first.bias, 2, 1))
        h = F.silu(F.conv2d(h, second.weight, second.bias, 2, 1))
        latents = model.to_space(snapshot[:, 6:9])
        reading = control.read(snapshot, model)
        torch.testing.assert_close(reading.stem, control.unet.stem(h) + control.space_stem(latents))
        torch.testing.assert_close(reading.mixed[0], latents)
    assert control.unet.stem.in_channels == 8
    with pytest.raises(UserError, match="too much for 4 pixels"):
        ExpFaceNet.from_backbone(model, stem_widths=(4, 4, 4))
    with pytest.raises(UserError, match="needs the snapshot map 'preview'"):
        ExpFaceNet.from_backbone(model, preview_in_space=True)


def test_an_open_gate_gives_the_preview_in_few_steps() -> None:
    model = backbone()
    control = ExpFaceNet.from_backbone(model, snapshot_maps=OPEN_MAPS, preview_gate="visibility", stem_widths=(6, 8), preview_in_space=True)
    x, snapshot = pictures(2, 3, 32, 32), pictures(2, 10, 32, 32)
    snapshot[:, 9:] = 1
    for deep_every in (1, 2):
        condition = EditCondition(
            model, control, x, snapshot, 4, generator=torch.Generator().manual_seed(0), patch=8, deep_every=deep_every
        )
        edited = sample(model, torch.randn(2, 4, 8, 8), steps=4, condition=condition, deep_every=deep_every)
        torch.testing.assert_close(edited, model.to_space(snapshot[:, 6:9]), atol=1e-3, rtol=1e-3)


def mixing(model: LatentDiffAE, **others: object) -> ExpFaceNet:
    maps = (*OPEN_MAPS, "source")
    return ExpFaceNet.from_backbone(
        model, snapshot_maps=maps, preview_gate="visibility", preview_correction=True, source_gate=True, stem_shrink=2, mix_decoded=True, **others
    )  # fmt: skip


def test_what_is_copied_keeps_every_pixel() -> None:
    """Gates wide open: the preview itself, which no latent can hold. Shut: what the backbone draws. Half of a latent open: both, side by side."""
    model = backbone()
    control = mixing(model).eval()
    x, snapshot = pictures(1, 3, 32, 32), pictures(1, 13, 32, 32)
    snapshot[:, 9] = 0
    snapshot[:, 9, :, 14:] = 1  # in the middle of a latent of four pixels

    def edit(finishes: bool, steps: int = 3) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        condition = EditCondition(model, control, x, snapshot, steps, generator=generator, patch=8, finishes=finishes)
        noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
        return condition.finish(model.from_space(sample(model, noise, steps=steps, condition=condition)))

    edited, at_once, in_latents = edit(True), edit(True, 1), edit(False)
    torch.testing.assert_close(edited[..., 14:], snapshot[:, 6:9, :, 14:], atol=1e-6, rtol=0)
    assert (in_latents[..., 14:] - snapshot[:, 6:9, :, 14:]).abs().max() > 0.1
    snapshot[:, 9] = 0
    assert torch.equal(at_once[..., :14], edit(True, 1)[..., :14])
    with pytest.raises(UserError, match="mix_decoded goes with a preview_gate"):
        ExpFaceNet.from_backbone(model, mix_decoded=True)


@pytest.mark.parametrize("decoded", [True, False])
def test_read_in_a_mirror(decoded: bool) -> None:
    """As the mirrored snapshot is read, which is not made."""
    model = backbone()
    control = mixing(model) if decoded else ExpFaceNet.from_backbone(model, snapshot_maps=OPEN_MAPS, preview_gate="zero", stem_shrink=2)
    random_weights(control, 4)
    snapshot = pictures(2, control.spec.channels, 32, 32)
    with torch.no_grad():
        mine, expected = control.read(snapshot, model, mirrored=True), control.read(mirrored_snapshot(snapshot, control.spec), model)
    torch.testing.assert_close(mine.stem, expected.stem)
    assert mine.mixed is not None
    assert expected.mixed is not None
    assert [v is None for v in mine.mixed] == [v is None for v in expected.mixed]
    for one, other in zip(mine.mixed, expected.mixed, strict=True):
        if one is not None:
            torch.testing.assert_close(one, other)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_blocks(tmp_path_factory.mktemp("blocks"))


AUTOENCODER = TrainConfig(
    stage="autoencoder", network="autoencoder-debug", steps=6, batch=4, lr=3e-3, ema=0.9, mask_patch=8, mask_share=0.0, checkpoint_minutes=0,
    colour_jitter=0.1,
)  # fmt: skip


def losses(output: Path) -> list[float]:
    return [line["loss"] for line in read_log(output / "log.jsonl")]


def test_trained_by_the_loop_and_resumed_exactly(blocks: Path, tmp_path: Path) -> None:
    """Autoencoder, backbone, control network; each in one go and in two, with the same losses and weights; frozen parts stay as they were."""
    data = PairDataset(blocks)
    first = dataclasses.replace(AUTOENCODER, autoencoder="")
    diffae = TrainConfig(
        stage="diffae", network="latent-debug", autoencoder=str(tmp_path / "first-whole" / "weights"), steps=4, batch=2, mask_patch=8,
        lr=1e-3, checkpoint_minutes=0,
    )  # fmt: skip
    control = dataclasses.replace(
        diffae, stage="expfacenet", snapshot_maps=OPEN_MAPS, preview_gate="visibility", stem_widths=(4, 6), preview_in_space=True, crop=16,
        pyramid_weight=0.3, own_share=0.4,
    )  # fmt: skip
    below: Path | None = None
    arguments = {k: v for k, v in autoencoder_debug_config().items() if k != "_class_name"}
    for name, config in (("first", first), ("diffae", diffae), ("control", control)):
        whole, broken = tmp_path / f"{name}-whole", tmp_path / f"{name}-broken"
        train(config, data, whole, below)
        train(config, data, broken, below, stop_after=0)
        assert len(losses(broken)) == 1
        below = train(config, data, broken, below)
        assert losses(whole) == losses(broken)
        one, other = load_state(whole / "state.pt"), load_state(broken / "state.pt")
        assert one is not None
        assert other is not None
        assert all(torch.equal(value, other["network"][key]) for key, value in one["network"].items())
    seen = torch.cat([StepData(data, first, space=Space(4, 8))[k][0].target for k in range(6)])
    errors = [
        (net(seen) - seen).abs().mean() for net in (FaceAutoencoder(**arguments), load_autoencoder(tmp_path / "first-whole" / "weights"))
    ]
    assert errors[1] < 0.98 * errors[0]
    model = LatentDiffAE.from_pretrained(tmp_path / "diffae-whole" / "weights")
    trained = load_autoencoder(tmp_path / "first-whole" / "weights").state_dict()
    assert all(torch.equal(value, trained[key]) for key, value in model.autoencoder.state_dict().items())
    pictures_seen = torch.cat([StepData(data, diffae, space=model.space)[k][0].target for k in range(32)])
    latents = model.to_space(pictures_seen).transpose(0, 1).flatten(1)
    torch.testing.assert_close(latents.mean(1), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std(1), torch.ones(4), atol=1e-3, rtol=0)


def test_only_the_named_parts_learn(blocks: Path, tmp_path: Path) -> None:
    """Of both networks; in one go and in two alike; all others stay as they were."""
    model = backbone()
    control = mixing(model)
    random_weights(control, 7)
    model.save_pretrained(tmp_path / "diffae")
    control.save_pretrained(tmp_path / "exp_facenet")
    config = TrainConfig(
        network="latent-debug", steps=4, batch=2, mask_patch=8, lr=1e-2, checkpoint_minutes=0, snapshot_maps=control.spec.maps,
        preview_gate="visibility", preview_correction=True, source_gate=True, stem_shrink=2, mix_decoded=True, relative_floor=1e-3,
        pyramid_weight=0.3, own_share=0.4, learns=("model.autoencoder.decoder.*", "control.*_head.weight"),
    )  # fmt: skip
    data, given = PairDataset(blocks), {"backbone": tmp_path / "diffae", "start_from": tmp_path / "exp_facenet"}
    whole = train(config, data, tmp_path / "whole", **given)
    train(config, data, tmp_path / "broken", stop_after=0, **given)
    assert len(losses(tmp_path / "broken")) == 1
    broken = train(config, data, tmp_path / "broken", **given)
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")
    learned = {"diffae": "autoencoder.decoder.", "exp_facenet": "_head.weight"}
    for name, kind, before in (("diffae", LatentDiffAE, model), ("exp_facenet", ExpFaceNet, control)):
        one, other = kind.from_pretrained(whole / name).state_dict(), kind.from_pretrained(broken / name).state_dict()
        assert all(torch.equal(value, other[key]) for key, value in one.items())
        moved = [key for key, value in before.state_dict().items() if not torch.equal(value, one[key])]
        assert moved
        assert all(learned[name] in key for key in moved)
    with pytest.raises(UserError, match=r"learns names 'control.nose', which no parameter fits"):
        train(dataclasses.replace(config, learns=("control.nose",)), data, tmp_path / "third", **given)
    with pytest.raises(UserError, match="it is for stage expfacenet"):
        count(TrainConfig(stage="diffae", network="latent-debug", learns=("model.*",)))


def test_a_preset_of_it(tmp_path: Path) -> None:
    model = backbone()
    control = ExpFaceNet.from_backbone(model, snapshot_maps=OPEN_MAPS, preview_gate="visibility", stem_widths=(4, 6), preview_in_space=True)
    random_weights(control, 5)
    model.save_pretrained(tmp_path / "diffae")
    control.save_pretrained(tmp_path / "exp_facenet")
    (tmp_path / "preset.json").write_text(json.dumps({"name": "toy", "head": "open", "start": "noise", "strength": 0.5, "steps": 3}))
    preset = load_preset(tmp_path)
    x, snapshot, noise = pictures(1, 3, 32, 32), pictures(1, 10, 32, 32), torch.randn(1, 4, 8, 8)

    def edit(model: LatentDiffAE, control: ExpFaceNet) -> Tensor:
        condition = EditCondition(model, control, x, snapshot, 3, generator=torch.Generator().manual_seed(0), patch=8)
        return model.from_space(sample(model, noise, steps=3, condition=condition))

    torch.testing.assert_close(edit(preset.model, preset.control), edit(model, control), atol=1e-5, rtol=1e-5)


def test_photos_for_an_autoencoder(blocks: Path, tmp_path: Path) -> None:
    """Squares of photos, the same for the same step; beside pairs where a folder has both."""
    rng = np.random.default_rng(0)
    for k in range(3):
        Image.fromarray(rng.integers(0, 256, (40 + 20 * k, 60, 3), np.uint8)).save(tmp_path / f"{k}.png")
    config = AUTOENCODER
    data = open_pictures(config, tmp_path, None)
    assert isinstance(data, PhotoFolder)
    assert len(data) == 3
    steps = StepData(data, config)
    a, b = steps[5][0].target, steps[5][0].target
    assert torch.equal(a, b)
    assert a.shape == (4, 3, 32, 32)
    assert float(a.std()) > 0.1
    (tmp_path / "both").symlink_to(blocks)
    both = tmp_path / "mixed"
    both.mkdir()
    for file in blocks.iterdir():
        (both / file.name).symlink_to(file)
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(both / "photo.png")
    together = open_pictures(config, both, None)
    assert len(together) == len(PairDataset(blocks)) + 1
    draws = draw(config, 0, 4, len(together), 32)
    last = dataclasses.replace(draws, index=torch.full_like(draws.index, len(together) - 1))
    alone = dataclasses.replace(draws, index=torch.zeros_like(draws.index))
    assert torch.equal(together.batch(last, config).target, PhotoFolder(both, 32).batch(alone, config).target)
    with pytest.raises(UserError, match="no pictures"):
        open_pictures(config, Path(__file__).parent / "helpers", None)


def test_what_the_configs_refuse(blocks: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="denoises no latents"):
        count(TrainConfig(stage="diffae", network="debug", autoencoder="somewhere"))
    with pytest.raises(UserError, match="give the folder of an autoencoder"):
        count(TrainConfig(stage="diffae", network="latent-debug", autoencoder=str(tmp_path)))
    config = tmp_path / "c.yaml"
    config.write_text("stage: autoencoder\nnetwork: autoencoder-debug\nsteps: 1\nbatch: 2\nmask_share: 0\nmask_patch: 8\n")
    weights = run_training("autoencoder", config, blocks, tmp_path / "run", None, None, "cpu", Sitting(), lambda text: None)
    assert load_autoencoder(weights).latent_channels == 4
    for name in ("latent", "latent512", "latent1024"):
        with torch.device("meta"):
            model = make_backbone(CONFIGS[name]())
        assert model.space.size * model.autoencoder.stride == model.image_size == picture_size(TrainConfig(network=name))
    for name in ("autoencoder", "autoencoder-large", "autoencoder-debug"):
        assert picture_size(TrainConfig(network=name)) == make_autoencoder(CONFIGS[name]()).image_size == CONFIGS[name]()["image_size"]
