"""Small files of GIF and HeadNeRF with random weights, as their authors save them."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discontrolface.nets.gif import GIF
from discontrolface.nets.headnerf import HeadNeRF
from discontrolface.nets.nl3dmm import INNER, JAW
from discontrolface.weights import gif as gif_keys
from discontrolface.weights import headnerf as headnerf_keys

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
    """The two files of HeadNeRF's face model, small: 300 vertices, a hidden layer of 8."""
    torch.manual_seed(3)
    prefix = "decoder_nl3dmm_new"
    state = {
        f"{prefix}.geo_fc2.weight": torch.randn(8, 90),
        f"{prefix}.geo_fc2.bias": torch.randn(8),
        f"{prefix}.geo_fc3.weight": torch.randn(3 * ROWS, 8),
        f"{prefix}.geo_fc3.bias": torch.randn(3 * ROWS),
        "tris": torch.zeros(4, 3, dtype=torch.int64),
    }
    random = np.random.default_rng(0)
    points = {"contour_idx": random.integers(0, ROWS, (JAW, 3)), "inface_idx": random.integers(0, ROWS, INNER)}
    torch.save(state, folder / "nl3dmm_net_dict.pth")
    (folder / "LandMarkInfo.pkl").write_bytes(pickle.dumps(points))
    return folder / "nl3dmm_net_dict.pth", state, points
