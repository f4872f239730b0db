"""GIF and HeadNeRF against figures of their official code, and files that are not theirs."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.goldens import GOLDENS, close_to_golden, golden_input, load_golden, peer_recipe
from helpers.peer_files import gif_file, nerf_file
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.nets.gif import GIF
from discontrolface.nets.headnerf import HeadNeRF
from discontrolface.nets.headnerf_rays import Camera, pixel_grid
from discontrolface.weights import gif as gif_keys
from discontrolface.weights import headnerf as headnerf_keys
from discontrolface.weights import import_gif, import_headnerf

FACTS: dict[str, Any] = json.loads((GOLDENS / "peers.json").read_text())
GIF_SHAPES, NERF_SHAPES = FACTS["gif"]["shapes"], FACTS["headnerf"]["shapes"]
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_golden("peers")


@pytest.fixture(scope="module")
def gif() -> GIF:
    return import_gif(peer_recipe(GIF_SHAPES))


@pytest.fixture(scope="module")
def nerf() -> HeadNeRF:
    return import_headnerf(peer_recipe(NERF_SHAPES))


@torch.no_grad()
def test_gif_is_the_official_one(gif: GIF, golden: dict[str, Tensor]) -> None:
    condition, z = golden_input("gif.condition", (2, 6, 96, 96)), golden_input("gif.z", (2, 512), 1.7320508)
    torch.testing.assert_close(gif.style(z=z), golden["gif.w"], atol=TOLERANCE, rtol=0)
    made = gif(condition, step=4, indices=torch.tensor([3, 17]))
    assert made.shape == (2, 3, 64, 64)
    close_to_golden(made, golden, "gif.step4", TOLERANCE)
    close_to_golden(gif(condition, step=3, z=z), golden, "gif.z", TOLERANCE)
    close_to_golden(gif(condition[:1], step=6, indices=torch.tensor([3])), golden, "gif.step6", TOLERANCE)


@torch.no_grad()
def test_headnerf_is_the_official_one(nerf: HeadNeRF, golden: dict[str, Tensor]) -> None:
    codes = {"shape_code": golden_input("headnerf.shape_code", (2, 179)), "appea_code": golden_input("headnerf.appea_code", (2, 127))}
    cameras = {name: golden[f"headnerf.{name}"] for name in ("batch_Rmats", "batch_Tvecs", "batch_inv_inmats")}
    made = nerf(batch_xy=pixel_grid(16), batch_uv=None, bg_code=None, **codes, **cameras)
    assert (made.merge_img - made.bg_img).abs().mean() > 0.02, "the head shows"
    for name in ("merge_img", "bg_img"):
        close_to_golden(made[name], golden, f"headnerf.{name}", TOLERANCE)
    one = nerf(pixel_grid(16).expand(2, -1, -1), None, None, *codes.values(), *cameras.values(), ray_chunk=37)
    torch.testing.assert_close(one.merge_img, made.merge_img, atol=1e-5, rtol=0)


@torch.no_grad()
def test_headnerf_turns_heads_as_the_official_editor_does(nerf: HeadNeRF, golden: dict[str, Tensor]) -> None:
    shape, appearance = golden_input("headnerf.shape_code", (2, 179))[0], golden_input("headnerf.appea_code", (2, 127))[0]
    codes = {"shape": shape[:100], "expression": shape[100:], "texture": appearance[:100], "light": appearance[100:]}
    close_to_golden(nerf.render(**codes, yaw=25.0), golden, "headnerf.turned", TOLERANCE)
    for name, yaw, pitch, roll in (("nodded", 0.0, 8.0, 0.0), ("rolled", 0.0, 0.0, -5.0)):
        torch.testing.assert_close(Camera.turned([yaw], [pitch], [roll], 16).rotation, golden[f"headnerf.{name}"], atol=1e-6, rtol=0)


@torch.no_grad()
def test_headnerf_renders_by_name() -> None:
    nerf = small_nerf()
    views = nerf.render(yaw=[-30.0, 0.0, 30.0], pitch=5.0, size=32)
    assert views.shape == (3, 3, 32, 32)
    assert 0 <= views.min() <= views.max() <= 1
    assert (views[0] - views[2]).abs().max() > 1e-4
    torch.testing.assert_close(nerf.render(yaw=30.0, pitch=5.0, size=32), views[2:], atol=1e-6, rtol=0)
    for name, count in nerf.code_sizes.items():
        other = nerf.render(**{name: torch.full((count,), 0.5)}, yaw=30.0, pitch=5.0, size=32)
        assert (other - views[2:]).abs().max() > 1e-4, name
        with pytest.raises(UserError, match=f"the {name} of this HeadNeRF has {count} numbers"):
            nerf.render(**{name: torch.zeros(count + 1)})
    with pytest.raises(UserError, match="one for all, or as many of each"):
        nerf.render(yaw=[0.0, 1.0], pitch=[0.0, 1.0, 2.0])
    with pytest.raises(UserError, match="-75 to 75"):
        nerf.render(yaw=120.0)


def test_headnerf_gradients_do_not_depend_on_the_chunks() -> None:
    nerf = small_nerf()

    def gradient(chunk: int) -> Tensor:
        code = torch.zeros(79, requires_grad=True)
        nerf.render(expression=code, ray_chunk=chunk).square().mean().backward()
        assert code.grad is not None
        return code.grad

    assert gradient(3).any()
    torch.testing.assert_close(gradient(3), gradient(16), atol=1e-7, rtol=1e-3)


def test_official_parameter_counts(gif: GIF, nerf: HeadNeRF) -> None:
    def count(network: torch.nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    with torch.device("meta"):
        assert count(GIF()) == FACTS["gif"]["parameters"] == 31_633_991
        for facts in FACTS["headnerf"]["parameters"].values():
            doublings = (facts["pred_img_size"] // facts["featmap_size"]).bit_length() - 1
            widths = [max(256 // 2**n, 32) for n in range(doublings + 1)]
            model = HeadNeRF(facts["featmap_size"], widths)
            assert (count(model), model.image_size) == (facts["parameters"], facts["pred_img_size"])
    assert count(gif) == FACTS["gif"]["parameters"]
    assert nerf.image_size == FACTS["headnerf"]["para"]["pred_img_size"]


@pytest.mark.parametrize(("keys", "shapes", "network"), [(gif_keys, GIF_SHAPES, GIF), (headnerf_keys, NERF_SHAPES, HeadNeRF)])
def test_every_key_has_its_place_and_back(keys: Any, shapes: dict[str, list[int]], network: type) -> None:
    ours = {keys.our_key(key) for key in shapes}
    assert None not in ours
    doubled = set(gif_keys.EMBEDDINGS[1:])
    assert {keys.official_key(key) for key in ours} == set(shapes) - doubled
    with torch.device("meta"):
        expected = set(network(widths=(256, 128, 64, 32)).state_dict()) if network is HeadNeRF else set(network().state_dict())
    assert ours == expected
    assert keys.our_key("generator.progression.0.st_cv3.conv.weight") is None
    assert keys.our_key("fg_CD_predictor.FeaExt_module_0.gain") is None


# ---- files


def small_nerf() -> HeadNeRF:
    """With densities at which a head shows."""
    state = nerf_file()["net"]
    state["fg_CD_predictor.density_module.bias"] = torch.tensor([0.3])
    state["neural_render.bg_featmap"] = torch.zeros(1, 8, 4, 4)
    return import_headnerf(state)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return a.state_dict().keys() == b.state_dict().keys() and all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


@pytest.mark.parametrize("zip_format", [True, False])
def test_files_as_the_authors_wrote_them(tmp_path: Path, zip_format: bool) -> None:
    content = gif_file()
    torch.save(content, tmp_path / "gif.model", _use_new_zipfile_serialization=zip_format)
    network = import_gif(tmp_path / "gif.model")
    assert same(network, import_gif(content["generator_running"]))
    assert same(network, import_gif(content))
    assert same(import_gif(tmp_path / "gif.model", weights="generator"), import_gif(content["generator"]))
    assert not same(network, import_gif(content["generator"]))
    assert network(torch.zeros(1, 6, 8, 8), step=1, indices=torch.tensor([2])).shape == (1, 3, 8, 8)
    content = nerf_file()
    torch.save(content, tmp_path / "nerf.pth", _use_new_zipfile_serialization=zip_format)
    model = import_headnerf(str(tmp_path / "nerf.pth"))
    assert same(model, import_headnerf(content["net"], featmap_size=4, pred_img_size=16))
    assert same(model, import_headnerf({f"module.{key}": value for key, value in content["net"].items()}))
    assert (model.grid, model.image_size, model.code_sizes["shape"]) == (4, 16, 11)


def test_the_later_of_the_two_embeddings_counts(tmp_path: Path) -> None:
    content = gif_file()["generator_running"]
    expected = import_gif(content)
    content["module.image_embedding.embd_weight"] = torch.zeros(3, 8)
    assert same(import_gif(content), expected)
    alone = {key: value for key, value in content.items() if "img_embdng" not in key}
    assert not import_gif(alone).embeddings.any()
    none = {key: value for key, value in alone.items() if "image_embedding" not in key}
    assert import_gif(none)(torch.zeros(1, 6, 8, 8), step=1, z=torch.ones(1, 8)).isfinite().all()


def test_calls_that_make_no_sense() -> None:
    network = import_gif(gif_file())
    condition = torch.zeros(1, 6, 8, 8)
    for arguments, words in (
        ({"condition": condition[:, :3], "z": torch.ones(1, 8)}, r"condition is \(B, 6, H, W\)"),
        ({"condition": condition, "step": 2, "z": torch.ones(1, 8)}, "steps 1 to 1"),
        ({"condition": condition, "step": 1, "indices": torch.tensor([3])}, "give 0 to 2"),
        ({"condition": condition, "step": 1}, "either the indices of its embeddings or a z"),
    ):
        with pytest.raises(UserError, match=words):
            network(**arguments)
    model = import_headnerf(nerf_file())
    camera = Camera.turned([0.0], [0.0], [0.0], 4)
    right = {
        "batch_xy": pixel_grid(4),
        "shape_code": torch.zeros(1, 90),
        "appea_code": torch.zeros(1, 40),
        "batch_Rmats": camera.rotation,
        "batch_Tvecs": camera.position,
        "batch_inv_inmats": camera.inverse_intrinsics,
    }
    assert model(**right).merge_img.shape == (1, 3, 16, 16)
    for name in right:
        with pytest.raises(UserError, match=name):
            model(**{**right, name: torch.zeros(1, 5, 5)})
    with pytest.raises(UserError, match="bg_code=None"):
        model(**right, bg_code=torch.zeros(1))


class Evil:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch executed",)


Spoil = Callable[[dict[str, Tensor], Path], Any]


def dropped(state: dict[str, Tensor], last: str) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.endswith(last)}


def written(state: Any, path: Path, change: Callable[[bytes], bytes] = bytes) -> Path:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    path.write_bytes(change(buffer.getvalue()))
    return path


def compressed(state: dict[str, Tensor], path: Path) -> Path:
    with zipfile.ZipFile(written(state, path)) as source, zipfile.ZipFile(path.with_suffix(".z"), "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    return path.with_suffix(".z")


def pickled(value: Any, path: Path) -> Path:
    path.write_bytes(pickle.dumps(value))
    return path


def with_value(state: dict[str, Tensor], key: str, value: Tensor) -> dict[str, Tensor]:
    return {**state, key: value}


BIAS = {"gif": "generator.to_rgb.1.bias", "headnerf": "neural_render.feat_layers.0.bias"}
STATES: dict[str, Callable[[], dict[str, Tensor]]] = {
    "gif": lambda: {key.removeprefix("module."): value for key, value in gif_file()["generator_running"].items()},
    "headnerf": lambda: nerf_file()["net"],
}
IMPORTS: dict[str, Callable[..., torch.nn.Module]] = {"gif": import_gif, "headnerf": import_headnerf}
SPOILED: dict[str, tuple[Callable[[dict[str, Tensor], Path, str], Any], str]] = {
    "no file": (lambda s, p, b: p / "nowhere", "does not exist"),
    "cut short": (
        lambda s, p, b: written(s, p / "f", lambda data: data[: len(data) // 2]),
        "damaged|cannot be read|is not a checkpoint of weights",
    ),
    "numbers cut out": (lambda s, p, b: written(s, p / "f", lambda data: data[:3000] + data[-1500:]), "damaged|cannot be read"),
    "code in the pickle": (lambda s, p, b: written({**s, "x": Evil()}, p / "f"), "system, which no checkpoint of weights needs"),
    "a bare pickle of code": (lambda s, p, b: pickled(Evil(), p / "f"), "nothing in it was executed|cannot be read"),
    "compressed": (lambda s, p, b: compressed(s, p / "f"), "compressed"),
    "empty": (lambda s, p, b: written({}, p / "f"), "holds no tensors"),
    "text": (lambda s, p, b: pickled("x" * 100, p / "f"), "cannot be read|not a checkpoint|no state dict|it is not a file"),
    "a key lacking": (lambda s, p, b: dropped(s, b), "missing"),
    "a key too many": (lambda s, p, b: with_value(s, "surprise.weight", torch.ones(2)), "unexpected .'surprise.weight'"),
    "another shape": (lambda s, p, b: with_value(s, b, torch.ones(13)), r"\[13\] instead of"),
    "not a number": (lambda s, p, b: with_value(s, b, s[b] / 0), "NaN or infinite"),
    "integers": (lambda s, p, b: with_value(s, b, s[b].long()), "not floating-point"),
    "twice": (lambda s, p, b: with_value(s, f"module.{b}", s[b]), "which are both"),
    "objects": (lambda s, p, b: {**s, "x": object()}, "give a mapping of keys to tensors"),
    "another network": (lambda s, p, b: {"input_blocks.0.0.weight": torch.ones(2)}, "is not an official"),
}


@pytest.mark.parametrize("name", ["gif", "headnerf"])
@pytest.mark.parametrize("kind", list(SPOILED))
def test_files_that_are_spoiled_or_hostile(name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spoil, words = SPOILED[kind]
    with pytest.raises(UserError, match=words):
        IMPORTS[name](spoil(STATES[name](), tmp_path, BIAS[name]))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("gif", {"generator.const_input.input": torch.ones(1, 8, 8, 8)}, "needs 4x4"),
        ("gif", {"generator.progression.3.st_cv1.conv.weight": torch.ones(1, 8, 8, 3, 3)}, r"layers numbered \[0, 1, 3\]"),
        ("gif", {"image_embedding.embd_weight": torch.ones(4, 8)}, "in two shapes"),
        ("gif", {"generator.to_rgb.1.upsample.kernel": torch.ones(3, 3)}, "upsample.kernel of shape"),
        ("headnerf", {"neural_render.bg_featmap": torch.ones(1, 8, 4, 5)}, "4x5 rays"),
        ("headnerf", {"fg_CD_predictor.FeaExt_module_8.weight": torch.ones(8, 8, 1, 1)}, "9 layers"),
        ("headnerf", {"fine_fg_CD_predictor.density_module.bias": torch.ones(1)}, "cannot run either"),
        ("headnerf", {"fg_CD_predictor.RGB_layer_1.weight": torch.ones(4, 20, 1, 1)}, "codes of 90 and 12 numbers"),
    ],
)
def test_networks_that_the_official_code_cannot_be(name: str, changes: dict[str, Tensor], words: str) -> None:
    with pytest.raises(UserError, match=words):
        IMPORTS[name]({**STATES[name](), **changes})


def test_sizes_that_contradict_the_tensors() -> None:
    content = nerf_file()
    with pytest.raises(UserError, match="pred_img_size is 16 by its tensors, but its para says 32"):
        import_headnerf({**content, "para": {**content["para"], "pred_img_size": 32}})
    with pytest.raises(UserError, match="featmap_size is 4 by its tensors, but you say 8"):
        import_headnerf(content, featmap_size=8)


def test_other_weights_of_a_gif_file_are_named() -> None:
    content = gif_file()
    with pytest.raises(UserError, match="only 'generator'; give weights='generator'"):
        import_gif({"generator": content["generator"]})
