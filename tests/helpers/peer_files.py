"""Small files of GIF and HeadNeRF with random weights, as their authors save them."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discontrolface.baselines.headnerf_face import FaceFit
from discontrolface.nets.gif import GIF
from discontrolface.nets.headnerf import HeadNeRF
from discontrolface.nets.nl3dmm import INNER, JAW, NL3DMM
from discontrolface.weights import gif as gif_keys
from discontrolface.weights import headnerf as headnerf_keys
from helpers.goldens import golden_input

ROWS = 300  # vertices of the face model


def gif_file(channels: Sequence[int] = (8, 8)) -> dict[str, Any]:
    """As train.py writes it, small: a level of 8 channels for each size, 3 embeddings."""
    torch.manual_seed(0)
    network = GIF(6, 8, channels, 2, 3)
    state = {f"module.{gif_keys.official_key(key)}": value.clone() for key, value in network.state_dict().items()}
    state["module.image_embedding.embd_weight"] = state["module.img_embdng.embd_weight"]
    wrong = {key: value + 1 for key, value in state.items()}
    optimizer = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
    return {"generator_running": state, "generator": wrong, "g_optimizer": optimizer, "discriminator_flm": {"module.a": torch.ones(1)}}


def nerf_file() -> dict[str, Any]:
    """As the official models are saved, small: 4x4 rays, 16x16 pixels."""
    torch.manual_seed(0)
    network = HeadNeRF(4, (8, 4, 4), 90, 40, 8)
    state = {headnerf_keys.official_key(key): value.clone() for key, value in network.state_dict().items()}
    return {"net": state, "para": {"featmap_size": 4, "featmap_nc": 8, "pred_img_size": 16}}


def nl_files(folder: Path) -> tuple[Path, dict[str, Tensor], dict[str, Any]]:
    """The files of HeadNeRF's face model, small: a strip of 300 vertices, a hidden layer of 8, 13 texture codes; colours in the checkpoint."""
    torch.manual_seed(3)
    prefix, colours = "decoder_nl3dmm_new", "decoder_3dmm"
    state = {
        f"{prefix}.geo_fc2.weight": torch.randn(8, 90),
        f"{prefix}.geo_fc2.bias": torch.randn(8),
        f"{prefix}.geo_fc3.weight": torch.randn(3 * ROWS, 8),
        f"{prefix}.geo_fc3.bias": torch.randn(3 * ROWS),
        f"{colours}.mu_tex": 128 + torch.randn(1, 3 * ROWS),
        f"{colours}.b_tex": torch.randn(13, 3 * ROWS),
        f"{colours}.sig_tex": torch.rand(1, 13),
        "tris": torch.zeros(4, 3, dtype=torch.int64),
    }
    random = np.random.default_rng(0)
    points = {"contour_idx": random.integers(0, ROWS, (JAW, 3)), "inface_idx": random.integers(0, ROWS, INNER)}
    torch.save(state, folder / "nl3dmm_net_dict.pth")
    (folder / "LandMarkInfo.pkl").write_bytes(pickle.dumps(points))
    triangles = np.arange(ROWS - 2)[:, None] + np.arange(3)
    around = np.clip(np.arange(ROWS)[:, None] + np.arange(-2, 1), 0, len(triangles)).astype(np.int32)
    np.savez(folder / "nl_3dmm_topo_info.npz", fv_indices=triangles.astype(np.int32), corr_vf_indices=around)
    np.save(folder / "skinmask.npy", (np.arange(ROWS) < 100).astype(np.float32))
    return folder / "nl3dmm_net_dict.pth", state, points


def small_face() -> NL3DMM:
    """HeadNeRF's face model, small: the front half of a ball, 192 vertices; codes of the official sizes move and colour all of them."""
    rows, columns, hidden = 12, 16, 16
    count = rows * columns
    across, along = torch.meshgrid(torch.linspace(0.05, torch.pi - 0.05, rows), torch.linspace(0, torch.pi, columns), indexing="ij")
    ball = torch.stack([across.sin() * along.cos(), across.cos(), across.sin() * along.sin()], -1).view(-1, 3)
    number = torch.arange(count).view(rows, columns)
    a, b, c, d = (part.flatten() for part in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    triangles = torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)])
    around = torch.full((count, 8), len(triangles))
    for vertex in range(count):
        own = (triangles == vertex).any(1).nonzero()[:, 0]
        around[vertex, : len(own)] = own
    random = np.random.RandomState(5)
    model = NL3DMM(hidden=hidden, vertices=count, triangles=len(triangles), candidates=2).eval().requires_grad_(False)
    model.hidden.weight.copy_(golden_input("face.hidden", (hidden, 179), 0.5))
    model.hidden.bias.copy_(golden_input("face.hidden_bias", (hidden,), 0.5))
    model.vertices.weight.copy_(golden_input("face.vertices", (3 * count, hidden), 5.0))
    model.vertices.bias.copy_(100 * ball.flatten())
    model.colours.weight.copy_(golden_input("face.colours", (3 * count, 100), 10.0))
    model.colours.bias.copy_(128 + golden_input("face.mean", (3 * count,), 60.0))
    model.triangles.copy_(triangles)
    model.around.copy_(around)
    model.landmark_vertices.copy_(torch.from_numpy(random.randint(0, count, len(model.landmark_vertices))))
    model.skin.copy_(torch.from_numpy((random.rand(count) < 0.5).astype(np.float32)))
    return model


def face_photo() -> tuple[Tensor, Tensor]:
    """(68,2) landmarks and (1,3,256,256) colours that the small face is fitted to."""
    yes = {name: golden_input(f"face.{name}", (1, size), 0.5) for name, size in (("identity", 100), ("expression", 79), ("texture", 100))}
    true = FaceFit(
        **yes, light=FaceFit.start(small_face()).light, angles=torch.tensor([[0.1, -0.2, 0.05]]), shift=torch.tensor([[0.1, 0.0, 0.2]])
    )
    photo = torch.nn.functional.interpolate(golden_input("face.photo", (1, 3, 8, 8)) / 2 + 0.5, size=(256, 256), mode="bilinear")
    return true.landmarks(small_face())[0], photo
