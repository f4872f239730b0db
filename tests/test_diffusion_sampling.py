"""Sampling, loss, attributes and interpolation where the answer is known without the official code."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.diffusion import EditCondition, denoising_timesteps, diffusion_loss, invert, sample
from discontrolface.diffusion.attributes import AttributeDirections, edit_attributes, train_attributes
from discontrolface.diffusion.decoding import Decoding, usual_start
from discontrolface.diffusion.interpolation import interpolate, slerp
from discontrolface.diffusion.inversion import invert_controlled
from discontrolface.diffusion.latent import latent_loss, sample_faces, sample_latent
from discontrolface.diffusion.sampling import Step, dpm_update
from discontrolface.nets import DiffAE, ExpFaceNet, MLPSkipNet
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.nets.presets import debug_config

LINEAR = torch.tensor(NoiseProcess().alphas_cumprod, dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class GaussianData(nn.Module):
    """The perfect denoiser of pixels ~ N(mean, std^2): E[x0 | x_t], in closed form. Stands in for a trained DiffAE."""

    def __init__(self, mean: float, std: float, prediction_type: str) -> None:
        super().__init__()
        self.mean, self.std, self.noise_process, self.clips_x0 = mean, std, NoiseProcess("linear", prediction_type), True
        self.unet = nn.Module()
        self.unet.levels = 3

    def forward(self, x_t: Tensor, t: Tensor, z: Tensor, control: object = None, deep: object = None) -> Tensor:
        a = LINEAR[t].float().view(-1, 1, 1, 1)
        gain = a.sqrt() * self.std**2 / (a * self.std**2 + 1 - a)
        return self.noise_process.from_x0(self.mean + gain * (x_t - a.sqrt() * self.mean), x_t, t)


def exact_flow(noise: Tensor, t: int, mean: float, std: float) -> Tensor:
    """Where the probability-flow ODE of that data takes x_t: the map between the two Gaussians."""
    a = LINEAR[t].item()
    return mean + std * (noise - math.sqrt(a) * mean) / math.sqrt(a * std**2 + 1 - a)


Z = torch.zeros(4, 16)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("solver", ["ddim", "dpm++"])
def test_solvers_follow_the_exact_flow(solver: str, prediction_type: str) -> None:
    noise = torch.randn(4, 3, 8, 8, generator=seeded())
    model = GaussianData(0.2, 0.3, prediction_type)
    errors = []
    for steps in (10, 40, 200):
        exact = exact_flow(noise, denoising_timesteps(steps)[0], 0.2, 0.3)
        errors.append((sample(model, noise, Z, steps, solver=solver, clip=False) - exact).abs().max().item())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.03


def test_dpm_converges_faster_than_ddim() -> None:
    """Ten steps of the second-order solver beat twenty of the first-order one."""
    noise = torch.randn(4, 3, 8, 8, generator=seeded())
    model = GaussianData(0.2, 0.3, "sample")
    error = {}
    for solver, steps in (("ddim", 20), ("dpm++", 10)):
        exact = exact_flow(noise, denoising_timesteps(steps)[0], 0.2, 0.3)
        error[solver] = (sample(model, noise, Z, steps, solver=solver, clip=False) - exact).abs().mean().item()
    assert error["dpm++"] < 0.25 * error["ddim"]


@pytest.mark.parametrize(("steps", "strength"), [(1, 1.0), (2, 1.0), (10, 1.0), (20, 0.3), (40, 1.0)])
def test_dpm_takes_the_steps_of_diffusers(steps: int, strength: float) -> None:
    """The same x0 predictions, the same timesteps: every step of diffusers' scheduler, to float32's rounding of small noise levels."""
    diffusers = pytest.importorskip("diffusers")
    alphas = LINEAR.tolist()
    betas = [1 - a / before for a, before in zip(alphas, [1.0, *alphas[:-1]], strict=True)]
    timesteps = denoising_timesteps(steps, strength, "dpm++")
    theirs = diffusers.DPMSolverMultistepScheduler(
        trained_betas=betas, algorithm_type="dpmsolver++", solver_order=2, prediction_type="sample", final_sigmas_type="zero"
    )
    theirs.set_timesteps(timesteps=timesteps)
    ours = dpm_update(timesteps, alphas)
    x = torch.randn(2, 3, 4, 4, generator=seeded())
    for index, t in enumerate(theirs.timesteps):
        x0 = torch.tanh(0.7 * x + 0.1 * index)
        expected, x = theirs.step(x0, t, x).prev_sample, ours(index, x, x0)
        torch.testing.assert_close(x, expected, rtol=0, atol=5e-5)  # theirs computes 1 - alpha-bar in float32


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_inversion_undoes_sampling(prediction_type: str) -> None:
    x0 = 0.2 + 0.3 * torch.randn(4, 3, 8, 8, generator=seeded())
    model = GaussianData(0.2, 0.3, prediction_type)
    errors = []
    for steps in (20, 100, 500):
        x_t = invert(model, x0, Z, steps, clip=False)
        errors.append((sample(model, x_t, Z, steps, clip=False) - x0).abs().max().item())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.03


def test_controlled_inversion_has_the_wanted_spread() -> None:
    """Picture by picture, whatever the others in the batch; the direction is that of plain inversion."""
    x0 = 0.2 + torch.tensor([0.1, 0.6])[:, None, None, None] * torch.randn(2, 3, 8, 8, generator=seeded())
    model = GaussianData(0.2, 0.3, "sample")
    plain = invert(model, x0, Z, 10)
    x_t = invert_controlled(model, x0, lambda index, t, x: (Z, None), 10, spread=0.5)
    assert x_t.std(dim=(1, 2, 3)).tolist() == pytest.approx([0.5, 0.5], rel=1e-5)
    cosine = torch.nn.functional.cosine_similarity(x_t.flatten(1), plain.flatten(1))
    assert cosine.tolist() == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_prediction_types_convert_both_ways(prediction_type: str) -> None:
    x0, noise, t = torch.randn(3, 3, 4, 4), torch.randn(3, 3, 4, 4), torch.tensor([1, 500, 999])
    process = NoiseProcess("linear", prediction_type)
    x_t = process.add_noise(x0, noise, t)
    prediction = process.from_x0(x0, x_t, t)
    torch.testing.assert_close(process.to_x0(prediction, x_t, t), x0, atol=1e-3, rtol=1e-3)
    meant = {"sample": x0, "epsilon": noise}.get(prediction_type)
    if meant is not None:
        torch.testing.assert_close(prediction, meant, atol=1e-3, rtol=1e-3)


@pytest.fixture(scope="module")
def pair() -> tuple[DiffAE, ExpFaceNet]:
    torch.manual_seed(0)
    model = DiffAE(**debug_config()).eval().requires_grad_(False)
    for p in model.parameters():
        p.add_(0.05 * torch.randn_like(p))
    control = ExpFaceNet.from_backbone(model, 10, preview_gate="visibility").eval().requires_grad_(False)
    for p in control.parameters():
        p.add_(0.02 * torch.randn_like(p))
    return model, control


def crop_and_snapshot() -> tuple[Tensor, Tensor, Tensor]:
    g = seeded(3)
    return torch.rand(1, 3, 32, 32, generator=g) * 2 - 1, torch.rand(1, 10, 32, 32, generator=g), torch.randn(1, 3, 32, 32, generator=g)


def test_an_edit_is_reproducible_and_equals_the_loop_written_out(pair: tuple[DiffAE, ExpFaceNet]) -> None:
    model, control = pair
    crop, snapshot, noise = crop_and_snapshot()

    def edit(seed: int) -> Tensor:
        return sample(model, noise, steps=5, condition=EditCondition(model, control, crop, snapshot, 5, "linear", seeded(seed), patch=8))

    assert torch.equal(edit(0), edit(0))
    assert not torch.equal(edit(0), edit(1))

    generator, x = seeded(0), noise
    from discontrolface.diffusion import apply_mask, masking_schedule, random_patch_mask

    alphas = LINEAR.tolist()
    with torch.no_grad():
        for step_t, next_t, ratio in zip([800, 600, 400, 200, 0], [600, 400, 200, 0, None], masking_schedule("linear", 5), strict=True):
            t = torch.tensor([step_t])
            z = model.encode(apply_mask(crop, random_patch_mask(1, 32, 8, ratio, generator)))
            x0 = model(x, t, z, control=control(x, t, z, snapshot, backbone=model)).clamp(-1, 1)
            a, b = alphas[step_t], 1.0 if next_t is None else alphas[next_t]
            x = b**0.5 * x0 + (1 - b) ** 0.5 * (x - a**0.5 * x0) / (1 - a) ** 0.5
    torch.testing.assert_close(edit(0), x, atol=1e-5, rtol=0)


def test_unmasked_steps_encode_once(pair: tuple[DiffAE, ExpFaceNet]) -> None:
    model, control = pair
    crop, snapshot, noise = crop_and_snapshot()
    calls = []
    handle = model.encoder.register_forward_hook(lambda *_: calls.append(1))
    sample(model, noise, steps=5, condition=EditCondition(model, control, crop, snapshot, 5, "A"))
    handle.remove()
    assert len(calls) == 1


@pytest.mark.parametrize("steps", [1, 2, 10, 20, 137, 1000])
@pytest.mark.parametrize("strength", [1.0, 0.5, 0.01])
def test_log_snr_spacing(steps: int, strength: float) -> None:
    """As many steps, from the same noise level, ending at 0, never the same timestep twice."""
    even, log = denoising_timesteps(steps, strength), denoising_timesteps(steps, strength, "dpm++")
    assert len(log) == len(even)
    assert log[0] == even[0]
    assert log == sorted(set(log), reverse=True)
    assert len(log) == 1 or log[-1] == 0


def test_a_draft_keeps_the_last_steps(pair: tuple[DiffAE, ExpFaceNet]) -> None:
    model, _ = pair
    crop, _, noise = crop_and_snapshot()
    z = model.encode(crop)
    steps: list[Step] = []
    sample(model, noise, z, steps=20, start=crop, strength=0.5, callback=steps.append)
    assert [s.t for s in steps] == list(range(450, -1, -50)) == denoising_timesteps(20, 0.5)
    assert [s.index for s in steps] == list(range(10))
    torch.testing.assert_close(steps[0].x_t, model.noise_process.add_noise(crop, noise, torch.tensor([450])))
    assert torch.equal(sample(model, noise, z, start=crop, strength=1.0), sample(model, noise, z))


def test_deep_reuse_is_exact_when_every_step_is_computed_and_close_otherwise(pair: tuple[DiffAE, ExpFaceNet]) -> None:
    model, _ = pair
    crop, _, noise = crop_and_snapshot()
    z = model.encode(crop)
    ran = []
    handle = model.unet.middle.register_forward_hook(lambda *_: ran.append(1))
    full = sample(model, noise, z, steps=20)
    assert len(ran) == 20
    reused = sample(model, noise, z, steps=20, deep_every=2)
    handle.remove()
    assert len(ran) == 30
    assert not torch.equal(reused, full)


def test_deep_reuse_in_an_edit(pair: tuple[DiffAE, ExpFaceNet]) -> None:
    """Both networks skip their middle at every second step; the steps that are computed in full see the control's deep features."""
    model, control = pair
    crop, snapshot, noise = crop_and_snapshot()
    ran = []
    handles = [net.unet.middle.register_forward_hook(lambda *_: ran.append(1)) for net in pair]
    results = [
        sample(
            model,
            noise,
            steps=6,
            condition=EditCondition(model, control, crop, snapshot, 6, "A", deep_every=every, deep_depth=2),
            deep_every=every,
            deep_depth=2,
        )
        for every in (1, 2)
    ]
    for handle in handles:
        handle.remove()
    assert len(ran) == 2 * 6 + 2 * 3
    assert not torch.equal(*results)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_number_types(pair: tuple[DiffAE, ExpFaceNet], dtype: torch.dtype) -> None:
    """Everything follows the model's dtype; in float64 the result agrees with float32."""
    model, control = (copy.deepcopy(net).to(dtype) for net in pair)
    crop, snapshot, noise = crop_and_snapshot()

    def edit(model: DiffAE, control: ExpFaceNet, dtype: torch.dtype) -> Tensor:
        condition = EditCondition(model, control, crop.to(dtype), snapshot.to(dtype), 3, "A")
        return sample(model, noise.to(dtype), steps=3, condition=condition)

    result = edit(model, control, dtype)
    assert result.dtype == dtype
    if dtype == torch.float64:
        torch.testing.assert_close(result.float(), edit(*pair, torch.float32), atol=1e-4, rtol=0)
    assert diffusion_loss(model, crop.to(dtype), control, snapshot.to(dtype), generator=seeded()).loss.isfinite()


def test_loss_is_zero_for_the_perfect_prediction(pair: tuple[DiffAE, ExpFaceNet], monkeypatch: pytest.MonkeyPatch) -> None:
    model, control = pair
    crop, _, noise = crop_and_snapshot()
    monkeypatch.setattr(type(model), "forward", lambda self, x_t, t, z, control=None: crop)
    loss = diffusion_loss(model, crop, noise=noise, generator=seeded())
    assert loss.loss.item() == 0
    assert torch.equal(loss.x0, crop)
    with pytest.raises(UserError, match="both the control network and the snapshot"):
        diffusion_loss(model, crop, control)


def test_masked_pixels_do_not_reach_the_code(pair: tuple[DiffAE, ExpFaceNet]) -> None:
    model, control = pair
    crop, snapshot, noise = crop_and_snapshot()
    mask = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    mask[..., :16, :] = True
    other = crop.clone()
    other[..., :16, :] = 0.7
    t = torch.tensor([300])
    losses = [diffusion_loss(model, crop, control, snapshot, source=s, mask=mask, t=t, noise=noise).loss for s in (crop, other)]
    assert torch.equal(*losses)
    assert not torch.equal(losses[0], diffusion_loss(model, crop, control, snapshot, t=t, noise=noise).loss)


def test_slerp() -> None:
    a, b = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    a[0, 0, 0, 0], b[0, 1, 0, 0] = 2.0, 2.0
    middle = slerp(a, b, 0.5)
    torch.testing.assert_close(middle, (a + b) / math.sqrt(2))
    assert torch.equal(slerp(a, a, 0.3), a)
    x, y = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(slerp(x, y, 0.0), x)
    torch.testing.assert_close(slerp(x, y, torch.tensor([1.0, 0.0])), torch.stack([y[0], x[1]]))


def test_interpolation_ends_at_the_photos_own_reconstructions(pair: tuple[DiffAE, ExpFaceNet]) -> None:
    model, _ = pair
    x = torch.rand(2, 3, 32, 32, generator=seeded()) * 2 - 1
    frames = interpolate(model, x[:1], x[1:], [0.0, 0.5, 1.0], Decoding("inverted", steps=5, inversion_steps=5))
    z = model.encode(x)
    own = sample(model, invert(model, x, z, 5), z, 5)
    torch.testing.assert_close(frames[[0, 2]], own, atol=1e-4, rtol=1e-4)


def test_decoding_of_codes_that_are_not_the_pictures_own(pair: tuple[DiffAE, ExpFaceNet]) -> None:
    model, _ = pair
    x = torch.rand(2, 3, 32, 32, generator=seeded()) * 2 - 1
    assert usual_start(model) == ("draft" if model.noise_process.prediction_type == "sample" else "inverted")
    for start in ("draft", "noise", "inverted"):
        decoding = Decoding(start, 0.5, 4, 4)
        frames = interpolate(model, x[:1], x[1:], [0.0, 1.0], decoding, seeded())
        assert torch.equal(frames, interpolate(model, x[:1], x[1:], [0.0, 1.0], decoding, seeded()))
        z = torch.randn(40, 16, generator=seeded(3))
        directions = train_attributes(["hat"], z, (z[:, :1] > 0).int())
        same = edit_attributes(model, x[:1], directions, {"hat": 0.0}, decoding, seeded())
        torch.testing.assert_close(same, frames[:1], atol=1e-4, rtol=1e-4)  # the same code and x_T
        assert not torch.allclose(edit_attributes(model, x[:1], directions, {"hat": 3.0}, decoding, seeded()), same, atol=1e-4)
    draft = Decoding("draft", 0.05, 20)  # one step at t = 0: the picture comes back but for the network's own error
    assert draft.pictures(model, model.encode(x), torch.zeros_like(x), x).shape == x.shape
    with pytest.raises(UserError, match="'photo' is not known"):
        Decoding("photo")
    with pytest.raises(UserError, match="codes of 8 numbers, this backbone's have 16"):
        edit_attributes(model, x[:1], train_attributes(["hat"], z[:, :8], (z[:, :1] > 0).int()), {"hat": 1.0}, draft)


def test_attributes_find_the_direction_and_move_along_it(tmp_path) -> None:
    z = torch.randn(400, 8, generator=seeded()) * 3 + 1
    labels = torch.stack([z[:, 2] > 1, z[:, 5] < 1], dim=1).int() * 2 - 1
    directions = train_attributes(["smile", "hat"], z, labels)
    assert ((directions.score(z) > 0.5) == (labels > 0)).float().mean() > 0.97
    assert directions.weight[0].argmax() == 2
    assert directions.weight[1].argmin() == 5
    moved = directions.move(z, "smile", 1.0)
    assert (directions.score(moved)[:, 0] > directions.score(z)[:, 0]).all()
    assert ((moved - z) / directions.std).norm(dim=1).tolist() == pytest.approx([math.sqrt(8)] * 400, rel=1e-4)
    torch.testing.assert_close(directions.move(moved, "smile", -1.0), z)
    directions.save(tmp_path / "a.safetensors")
    again = AttributeDirections.load(tmp_path / "a.safetensors")
    assert again.names == ("smile", "hat")
    assert torch.equal(again.move(z, "hat", 0.3), directions.move(z, "hat", 0.3))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    with pytest.raises(UserError, match="'beard' is not known"):
        directions.move(z, "beard", 1)
    with pytest.raises(UserError, match="one class only"):
        train_attributes(["smile"], z, torch.ones(400, 1))
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a file of attribute directions"):
        AttributeDirections.load(tmp_path / "bad.safetensors")


def test_faces_from_noise(pair: tuple[DiffAE, ExpFaceNet]) -> None:
    model, _ = pair
    torch.manual_seed(0)
    net = MLPSkipNet(channels=16, hidden_channels=32, num_layers=3, skip_layers=(1, 2)).eval()
    faces = sample_faces(model, net, 2, steps=3, latent_steps=3, generator=seeded())
    assert faces.shape == (2, 3, 32, 32)
    assert torch.equal(faces, sample_faces(model, net, 2, steps=3, latent_steps=3, generator=seeded()))
    net.mean.fill_(5.0)
    net.std.fill_(0.0)
    assert torch.equal(sample_latent(net, torch.randn(2, 16), 3), torch.full((2, 16), 5.0))


def test_the_latent_net_learns() -> None:
    torch.manual_seed(0)
    net = MLPSkipNet(channels=4, hidden_channels=32, num_layers=3, skip_layers=(1, 2))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    z, generator = torch.full((64, 4), 2.0), seeded()
    first = latent_loss(net, z, generator=seeded(9)).mean().item()
    for _ in range(60):
        optimizer.zero_grad()
        latent_loss(net, z, generator=generator).mean().backward()
        optimizer.step()
    assert latent_loss(net, z, generator=seeded(9)).mean().item() < 0.7 * first


def test_mistakes_are_named(pair: tuple[DiffAE, ExpFaceNet]) -> None:
    model, _ = pair
    crop, _, noise = crop_and_snapshot()
    z = model.encode(crop)
    with pytest.raises(UserError, match="needs z, or a condition"):
        sample(model, noise)
    with pytest.raises(UserError, match="solver 'euler' is not known"):
        sample(model, noise, z, solver="euler")
    with pytest.raises(UserError, match="steps is 0"):
        sample(model, noise, z, steps=0)
    with pytest.raises(UserError, match=r"strength is 1\.5"):
        sample(model, noise, z, start=crop, strength=1.5)
    with pytest.raises(UserError, match="no draft was given"):
        sample(model, noise, z, strength=0.5)
    with pytest.raises(UserError, match="deep_every"):
        sample(model, noise, z, deep_every=0)
