"""Which files the user brings, where from, under which licence: those of the paper preset, and those of the peers it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PAPER_HEAD: Final = "flame"
FLAME_PAGE: Final = "https://flame.is.tue.mpg.de"
FLAME_LICENCE: Final = "FLAME's model licence (flame.is.tue.mpg.de/modellicense.html; it differs between the versions)"
DECA_PAGE: Final = "https://github.com/yfeng95/DECA (folder data)"
DECA_LICENCE: Final = "DECA's licence: non-commercial scientific research (file LICENSE of the repository)"

HEADNERF_LICENCE: Final = "its README: academic or non-profit, noncommercial research use only"


@dataclass(frozen=True)
class Asset:
    """One file that the user brings. filename: its name in the folder of assets. official: what it is called at its source.

    needed: whether the paper preset's edits, or the peer, work without it.
    """

    key: str
    filename: str
    what: str
    official: str
    source: str
    licence: str
    needed: bool = True


@dataclass(frozen=True)
class PeerAsset(Asset):
    """One file of a method that the paper compares with. A checkpoint is recognised by its keys, and kept as the folder of a `Network`.

    peer: the method it belongs to, a name of `evaluate --methods`. marker: how a key ends that no other checkpoint has.
    importer: "module:function" of the checkpoint's path, which gives the network.
    """

    peer: str = ""
    marker: str = ""
    importer: str = ""


ASSETS: Final[tuple[Asset, ...]] = (
    Asset(
        "flame",
        "flame.safetensors",
        "the head model",
        "generic_model.pkl (FLAME 2020) or flame2023.pkl",
        f"{FLAME_PAGE}/download.php",
        FLAME_LICENCE,
    ),
    Asset("landmarks", "landmarks.safetensors", "where the landmarks lie on it", "landmark_embedding.npy", DECA_PAGE, DECA_LICENCE),
    Asset("topology", "topology.safetensors", "its texture coordinates", "head_template.obj", DECA_PAGE, DECA_LICENCE),
    Asset(
        "regressor",
        "regressor.safetensors",
        "the networks that read a photo, with the detail branch",
        "EMOCA's checkpoint (EMOCA_v2_lr_mse_20/detail/checkpoints/*.ckpt) or, with weaker expressions, DECA's deca_model.tar",
        "https://emoca.is.tue.mpg.de (DECA: https://github.com/yfeng95/DECA)",
        "EMOCA's licence (emoca.is.tue.mpg.de/license.html): non-commercial scientific research",
    ),
    Asset("detail_mask", "detail_mask.safetensors", "where wrinkles count", "uv_face_eye_mask.png", DECA_PAGE, DECA_LICENCE),
    Asset("detail_fixed", "detail_fixed.safetensors", "the constant displacement", "fixed_displacement_256.npy", DECA_PAGE, DECA_LICENCE),
    Asset(
        "texture",
        "texture.safetensors",
        "the texture space (albedo of the snapshot)",
        "FLAME_texture.npz, or FLAME_albedo_from_BFM.npz",
        f"{FLAME_PAGE}/download.php (BFM: https://github.com/TimoBolkart/BFM_to_FLAME)",
        "FLAME texture: CC BY-NC-SA 4.0; the one from BFM: the Basel Face Model's licence",
        needed=False,
    ),
    Asset(
        "masks",
        "masks.safetensors",
        "its regions (lips, ears, neck)",
        "FLAME_masks.pkl",
        f"{FLAME_PAGE}/download.php",
        FLAME_LICENCE,
        needed=False,
    ),
    Asset(
        "diffae",
        "diffae",
        "the backbone, Diff-AE FFHQ256",
        "ffhq256_autoenc/last.ckpt",
        "https://github.com/phizaz/diffae (section Checkpoints)",
        "MIT (code); FFHQ's terms for what it was trained on",
    ),
    Asset(
        "exp_facenet",
        "exp_facenet",
        "the control network",
        "the folder exp_facenet/ that `discontrolface train` writes",
        "the authors have not published theirs: train it",
        "yours",
    ),
)


PEER_ASSETS: Final[tuple[PeerAsset, ...]] = (
    PeerAsset(
        "diffusionrig",
        "diffusionrig",
        "DiffusionRig's network, stage 1 (anybody) or stage 2 (one person)",
        "the stage 1 checkpoint of its README (model*.pt), or model*.pt of your own stage 2",
        "https://github.com/adobe-research/diffusion-rig (sections Training and Data Preparation)",
        "Adobe Research License: non-commercial research (LICENSE.md of the repository); FFHQ's terms for what it was trained on",
        peer="diffusionrig",
        marker="denoisingUNet.input_blocks.0.0.weight",
        importer="discontrolface.weights.diffusionrig:import_diffusionrig",
    ),
    PeerAsset(
        "gif",
        "gif",
        "GIF's generator, the full model",
        "checkpoint/29/294000_1.model of output_files.zip",
        "https://github.com/ParthaEth/GIF (section First thing first)",
        "MIT (LICENSE of the repository); of the weights none is stated; FFHQ's terms for what it was trained on",
        peer="gif",
        marker="generator.const_input.input",
        importer="discontrolface.weights.gif:import_gif",
    ),
    PeerAsset(
        "headnerf",
        "headnerf",
        "HeadNeRF's model",
        "model_Reso32.pth (or model_Reso32HR.pth, model_Reso64.pth) of TrainedModels.zip",
        "https://github.com/CrisHY1995/headnerf (section Getting Started)",
        HEADNERF_LICENCE,
        peer="headnerf",
        marker="neural_render.bg_featmap",
        importer="discontrolface.weights.headnerf:import_headnerf",
    ),
    PeerAsset(
        "nl3dmm",
        "nl3dmm",
        "the face model of HeadNeRF's codes",
        "nl3dmm_net_dict.pth of ConfigModels.zip, with nl3dmm_dict.pkl of the same and the repository's folder ConfigFiles beside it",
        "https://github.com/CrisHY1995/headnerf (section Getting Started)",
        HEADNERF_LICENCE,
        peer="headnerf",
        marker="geo_fc3.weight",
        importer="discontrolface.weights.nl3dmm:import_nl3dmm",
    ),
    PeerAsset(
        "vgg16",
        "vgg16",
        "VGG-16, for the perceptual loss of HeadNeRF's fitting (without it pictures are softer)",
        "vgg16-397923af.pth",
        "https://pytorch.org/vision (torchvision.models.VGG16_Weights.IMAGENET1K_V1)",
        "BSD 3-Clause (torchvision); ImageNet's terms for what it was trained on: non-commercial research",
        needed=False,
        peer="headnerf",
        marker="features.28.weight",
        importer="discontrolface.weights.vgg16:import_vgg16",
    ),
)
