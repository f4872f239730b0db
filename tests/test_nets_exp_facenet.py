"""Exp-FaceNet beside its frozen backbone: where it starts, what it may change, what it must not."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion import diffusion_loss
from discontrolface.nets import Control, DeepFeatures, DiffAE, ExpFaceNet
from discontrolface.nets.blocks import KINDS, ResBlock, compile_norms
from discontrolface.nets.exp_facenet import InwardClamp
from discontrolface.nets.presets import debug_config

T = torch.tensor([950, 50])


def make_backbone(**changes: object) -> DiffAE:
    """A debug network whose zero-initialised layers are not zero, as after training."""
    torch.manual_seed(0)
    model = DiffAE(**{**debug_config(), **changes}).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def make_inputs(channels: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """x_t, z, snapshot."""
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(2, 3, 32, 32, generator=generator),
        torch.randn(2, 16, generator=generator),
        torch.rand(2, channels, 32, 32, generator=generator),
    )


def predict(model: DiffAE, control: ExpFaceNet, x: Tensor, z: Tensor, snapshot: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x, T, z, control=control(x, T, z, snapshot, backbone=model))


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("gate", ["none", "zero"])
def test_starts_as_the_backbone_bit_for_bit(prediction_type: str, gate: str) -> None:
    model = make_backbone(prediction_type=prediction_type)
    channels = 6 if gate == "none" else 10
    control = ExpFaceNet.from_backbone(model, channels, preview_gate=gate).eval()
    x, z, snapshot = make_inputs(channels)
    with torch.no_grad():
        alone = model(x, T, z)
    assert torch.equal(predict(model, control, x, z, snapshot), alone)


def test_the_copy_is_the_backbone() -> None:
    """Trunk and embedding carry the backbone's weights; the input layer and the 1x1 convolutions are zero."""
    model = make_backbone()
    control = ExpFaceNet.from_backbone(model)
    theirs = model.unet.state_dict()
    for key, value in control.unet.state_dict().items():
        assert not value.any() if key.startswith("stem.") else torch.equal(value, theirs[key]), key
    assert not any(p.any() for p in control.features.parameters())


@pytest.mark.parametrize("gate", ["none", "zero", "visibility"])
def test_a_step_of_training(gate: str) -> None:
    """One optimizer step changes the output; no backbone weight gets a gradient or changes; every weight of the control learns in the end."""
    model = make_backbone()
    before = copy.deepcopy(model.state_dict())
    channels = 6 if gate == "none" else 10
    control = ExpFaceNet.from_backbone(model, channels, preview_gate=gate)
    optimizer = torch.optim.AdamW(control.parameters(), lr=1e-3, weight_decay=0)
    x, z, snapshot = make_inputs(channels)
    start = predict(model, control, x, z, snapshot)
    for _ in range(3):  # stem and trunk learn once the 1x1 convolutions are not zero any more
        optimizer.zero_grad()
        diffusion_loss(model, x.tanh(), control, snapshot, generator=torch.Generator().manual_seed(2)).loss.backward()
        optimizer.step()
    assert not torch.equal(predict(model, control, x, z, snapshot), start)
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    untouched = [name for name, p in control.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []


def test_each_feature_changes_the_output() -> None:
    model = make_backbone()
    x, z, _ = make_inputs()
    outputs: dict[int, Tensor] = {}
    with torch.no_grad():
        alone = model(x, T, z)
        model.unet(model.stem(x), T, z, collect=outputs)
        for k, feature in outputs.items():
            features = [None] * len(outputs)
            features[k] = 0.1 * torch.ones_like(feature)
            assert not torch.equal(model(x, T, z, control=features), alone), k
            assert not torch.equal(model(x, T, z, control=Control(tuple(features))), alone), k


def test_each_projection_reaches_its_block() -> None:
    """Each 1x1 convolution alone, made non-zero, changes the output; with control_blocks the others do not exist."""
    model = make_backbone()
    x, z, snapshot = make_inputs()
    for k in range(len(model.unet.up)):
        control = ExpFaceNet.from_backbone(model, control_blocks=(k,)).eval()
        with torch.no_grad():
            control.features[str(k)].bias.fill_(0.1)
        assert list(control.features) == [str(k)]
        assert not torch.equal(predict(model, control, x, z, snapshot), model(x, T, z))


def test_the_backbone_records_nothing_before_its_decoder() -> None:
    model = make_backbone()
    control = ExpFaceNet.from_backbone(model)
    seen: dict[str, bool] = {}
    model.unet.middle.register_forward_hook(lambda m, i, o: seen.update(middle=o.requires_grad))
    for k, block in enumerate(model.unet.up):
        block.register_forward_hook(lambda m, i, o, k=k: seen.update({str(k): o.requires_grad}))
    x, z, snapshot = make_inputs()
    model(x, T, z, control=control(x, T, z, snapshot, backbone=model))
    assert seen.pop("middle") is False
    assert seen.pop("0") is False  # the first feature is added to its output
    assert all(seen.values())
    assert len(seen) == len(model.unet.up) - 1


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    model = make_backbone()
    control = ExpFaceNet.from_backbone(model)
    torch.manual_seed(0)
    for p in control.parameters():
        p.data += 0.02 * torch.randn_like(p)
    x, _, snapshot = make_inputs()
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.enable_gradient_checkpointing()
            control.enable_gradient_checkpointing()
            assert control.unet.gradient_checkpointing
        control.zero_grad()
        diffusion_loss(model, x.tanh(), control, snapshot, generator=torch.Generator().manual_seed(2)).loss.backward()
        gradients.append([p.grad.clone() for p in control.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_an_open_gate_copies_the_preview(prediction_type: str) -> None:
    """Gate 1: the prediction implies exactly the preview; gate 0.5: the mean of preview and the network's own picture."""
    model = make_backbone(prediction_type=prediction_type)
    to_x0 = model.noise_process.to_x0
    x, z, _ = make_inputs()
    preview = torch.rand(2, 3, 32, 32) * 2 - 1
    none = (None,) * len(model.unet.up)
    with torch.no_grad():
        own = to_x0(model(x, T, z), x, T)
        for value in (1.0, 0.5):
            gated = model(x, T, z, control=Control(none, gate=torch.full((2, 1, 32, 32), value), preview=preview))
            expected = own + value * (preview - own)
            torch.testing.assert_close(to_x0(gated, x, T), expected, atol=1e-4, rtol=1e-4)


def test_a_correction_starts_at_nothing_and_reaches_what_is_copied() -> None:
    """At the start as without one, bit for bit; then the implied x0 moves by the correction where the gate is open, and not where it is shut."""
    model = make_backbone(prediction_type="sample")
    plain = ExpFaceNet.from_backbone(model, 10, preview_gate="visibility").eval()
    control = ExpFaceNet.from_backbone(model, 10, preview_gate="visibility", preview_correction=True).eval()
    x, z, snapshot = make_inputs(10)
    snapshot[:, 9] = (torch.arange(32) < 16).float()  # visible on the left
    before = predict(model, plain, x, z, snapshot)
    assert torch.equal(predict(model, control, x, z, snapshot), before)
    with torch.no_grad():
        control.correction_head.bias.fill_(0.25)
    moved = predict(model, control, x, z, snapshot) - before
    torch.testing.assert_close(moved[..., :16], torch.full_like(moved[..., :16], 0.25))
    assert torch.equal(moved[..., 16:], torch.zeros_like(moved[..., 16:]))


def test_a_shut_gate_can_open_again() -> None:
    x = torch.tensor([-0.5, -0.5, 0.0, 0.5, 1.0, 1.5, 1.5], requires_grad=True)
    gradient = torch.tensor([1.0, -1.0, 1.0, 2.0, -1.0, 1.0, -1.0])
    y = InwardClamp.apply(x)
    y.backward(gradient)
    assert y.tolist() == [0, 0, 0, 0.5, 1, 1, 1]
    assert x.grad.tolist() == [0, -1, 1, 2, -1, 1, 0]


def test_gate_at_visibility_shows_the_preview_where_it_is_visible() -> None:
    model = make_backbone()
    control = ExpFaceNet.from_backbone(model, 10, preview_gate="visibility").eval()
    x, z, snapshot = make_inputs(10)
    snapshot[:, control.spec.slice("visibility")] = 0
    snapshot[:, control.spec.slice("visibility"), :16] = 1
    out = predict(model, control, x, z, snapshot)
    torch.testing.assert_close(out[:, :, :16], snapshot[:, control.spec.slice("preview"), :16])
    with torch.no_grad():
        assert torch.equal(out[:, :, 16:], model(x, T, z)[:, :, 16:])


def test_the_stem_may_be_computed_once() -> None:
    model = make_backbone()
    control = ExpFaceNet.from_backbone(model).eval()
    with torch.no_grad():
        for p in control.parameters():
            p.add_(0.02 * torch.randn_like(p))
        x, z, snapshot = make_inputs()
        a = control(x, T, z, snapshot, backbone=model)
        b = control(x, T, z, snapshot, backbone=model, reading=control.read(snapshot, model))
    assert len(a) == len(model.unet.up)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("depth", [1, 2])
def test_deep_features_are_reused(depth: int) -> None:
    """Refilled at the same input the result is the same; the deep part does not run again; and on another input it differs from a full pass."""
    model = make_backbone()
    x, z, _ = make_inputs()
    deep, ran = DeepFeatures(depth), []
    model.unet.middle.register_forward_hook(lambda *_: ran.append(1))
    with torch.no_grad():
        full = model(x, T, z)
        assert torch.equal(model(x, T, z, deep=deep), full)
        assert torch.equal(model(x, T, z, deep=deep), full)
        assert len(ran) == 2
        other = model(x + 0.5, T, z, deep=deep)
        assert not torch.equal(other, model(x + 0.5, T, z))


def test_save_and_load(tmp_path) -> None:
    model = make_backbone()
    control = ExpFaceNet.from_backbone(model, 10, preview_gate="zero", control_blocks=(0, 2)).eval()
    with torch.no_grad():
        for p in control.parameters():
            p.add_(0.02 * torch.randn_like(p))
    model.save_pretrained(tmp_path / "backbone")
    control.save_pretrained(tmp_path / "control")
    assert (tmp_path / "control" / "diffusion_pytorch_model.safetensors").exists()
    x, z, snapshot = make_inputs(10)
    again = predict(DiffAE.from_pretrained(tmp_path / "backbone"), ExpFaceNet.from_pretrained(tmp_path / "control"), x, z, snapshot)
    assert torch.equal(again, predict(model, control, x, z, snapshot))


def test_patched_is_the_same_network_on_unshuffled_pixels() -> None:
    """A patched network equals an unpatched one of p^2 times the channels on pixel-unshuffled pictures."""
    model = make_backbone()
    plain = DiffAE(**{**debug_config(), "patch": 1, "image_size": 16, "in_channels": 12}).eval()
    plain.load_state_dict(model.state_dict())
    x, z, _ = make_inputs()
    with torch.no_grad():
        small = torch.nn.functional.pixel_unshuffle(x, 2)
        torch.testing.assert_close(model.encode(x), plain.encode(small))
        torch.testing.assert_close(model(x, T, z), torch.nn.functional.pixel_shuffle(plain(small, T, z), 2))


def test_mistakes_are_named() -> None:
    model = make_backbone()
    with pytest.raises(UserError, match="'depth' is not known"):
        ExpFaceNet.from_backbone(model, snapshot_maps=("normals", "depth"))
    with pytest.raises(UserError, match="needs the snapshot map 'preview'"):
        ExpFaceNet.from_backbone(model, preview_gate="zero")
    with pytest.raises(UserError, match="preview_correction"):
        ExpFaceNet.from_backbone(model, preview_correction=True)
    with pytest.raises(UserError, match="says nothing about its maps"):
        ExpFaceNet.from_backbone(model, 7)
    with pytest.raises(UserError, match="does not fit the maps"):
        ExpFaceNet.from_backbone(model, 6, snapshot_maps=("normals",))
    with pytest.raises(UserError, match=r"outside 0\.\.3"):
        ExpFaceNet.from_backbone(model, control_blocks=(4,))
    with pytest.raises(UserError, match="prediction_type 'x'"):
        DiffAE(**{**debug_config(), "prediction_type": "x"})
    with pytest.raises(UserError, match="cannot be halved"):
        DiffAE(**{**debug_config(), "image_size": 30})


def test_compiles_without_graph_breaks() -> None:
    """The whole step, control and backbone, is one graph (traced only: no compiler is needed)."""
    model = make_backbone()
    control = ExpFaceNet.from_backbone(model, 10, preview_gate="zero").eval()
    x, z, snapshot = make_inputs(10)

    def step(x: Tensor) -> Tensor:
        return model(x, T, z, control=control(x, T, z, snapshot, backbone=model))

    with torch.no_grad():
        compiled = torch.compile(step, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), step(x))


def test_compiled_norms_serve_all_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    """One piece of code a kind of call (here: with conditions and without), whatever the width, the size and the batch, and the same numbers."""
    from torch._dynamo import config

    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _inputs: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: compile_with(function, backend=backend, **options))
    torch._dynamo.reset()
    torch.manual_seed(0)
    blocks = [ResBlock(width, 2 * width, 8, 8) for width in (64, 96, 160)]
    for block in blocks:
        torch.nn.init.normal_(block.conv2.weight, std=0.05)  # it begins with zeros
    network = torch.nn.ModuleList(blocks)
    plain = copy.deepcopy(network)
    compile_norms(network)
    assert KINDS in (getattr(config, "recompile_limit", 0), getattr(config, "cache_size_limit", 0))
    for block, other in zip(network, plain, strict=True):
        for batch, size in ((2, 8), (3, 16)):
            x = torch.randn(batch, block.conv1.in_channels, size, size)
            time, z = torch.randn(batch, 8), torch.randn(batch, 8)
            torch.testing.assert_close(block(x, time, z), other(x, time, z))
    assert len(graphs) == 2
