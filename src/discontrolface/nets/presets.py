"""Network configurations by name: what `make_backbone` takes, the arguments of `DiffAE(**...)`, or of the class that `_class_name` says."""

from typing import Any


def ffhq256_config() -> dict[str, Any]:
    """The official FFHQ256 autoencoder, the paper's backbone: 168,492,291 parameters, 0.554 TFLOP a U-Net forward."""
    return {}


def ffhq128_config() -> dict[str, Any]:
    """The official FFHQ128, horse and bedroom autoencoders."""
    return {"image_size": 128, "channel_mult": (1, 1, 2, 3, 4), "encoder_mult": (1, 1, 2, 3, 4, 4)}


def celeba64_config() -> dict[str, Any]:
    """The official 64-pixel autoencoder."""
    return {
        "image_size": 64,
        "model_channels": 64,
        "channel_mult": (1, 2, 4, 8),
        "encoder_channels": 64,
        "encoder_mult": (1, 2, 4, 8, 8),
    }


def open_diffae_config() -> dict[str, Any]:
    """The open preset: 256 pixels in 4x4 patches, made for CPUs (U-Net: 6.6 M parameters, 6.2 GFLOP a forward); predicts x0."""
    return {
        "image_size": 256,
        "patch": 4,
        "model_channels": 64,
        "channel_mult": (1, 1, 2, 2),
        "num_res_blocks": 1,
        "attention_resolutions": (16,),
        "num_heads": 4,
        "embed_channels": 256,
        "z_channels": 256,
        "dropout": 0.0,
        "encoder_channels": 32,
        "encoder_mult": (1, 2, 4, 4, 4),
        "encoder_res_blocks": 1,
        "prediction_type": "sample",
    }


def debug_config() -> dict[str, Any]:
    """A network of a few thousand parameters for tests and dry runs; 32 pixels in 2x2 patches, predicts x0."""
    return {
        "image_size": 32,
        "patch": 2,
        "model_channels": 8,
        "channel_mult": (1, 2),
        "num_res_blocks": 1,
        "attention_resolutions": (8,),
        "num_heads": 1,
        "embed_channels": 16,
        "z_channels": 16,
        "dropout": 0.0,
        "encoder_channels": 8,
        "encoder_mult": (1, 2, 2),
        "encoder_res_blocks": 1,
        "prediction_type": "sample",
    }


def diffusionrig256_config() -> dict[str, Any]:
    """The official 256 px DiffusionRig (nets/diffusion_rig.py)."""
    return {"_class_name": "DiffusionRig"}


def diffusionrig_debug_config() -> dict[str, Any]:
    """DiffusionRig in the smallest size: 32 pixels, no patches, predicts the noise."""
    return {
        "_class_name": "DiffusionRig",
        "image_size": 32,
        "model_channels": 8,
        "channel_mult": (1, 2),
        "num_res_blocks": 1,
        "attention_resolutions": (16,),
        "embed_channels": 32,
        "encoder_width": 8,
    }


def autoencoder_config() -> dict[str, Any]:
    """Our small autoencoder: 8 pixels a latent of 16 cosine waves; its decoder learns on pictures of 256 pixels (nets/face_autoencoder.py)."""
    return {"_class_name": "FaceAutoencoder", "image_size": 256, "learned_encoder": False}


def autoencoder_large_config() -> dict[str, Any]:
    """The same for training on a cluster: pictures of 512 pixels, 5.6 M parameters."""
    return {"_class_name": "FaceAutoencoder", "image_size": 512, "patch": 2, "widths": (48, 96, 160), "blocks": (2, 4, 6)}


def autoencoder_debug_config() -> dict[str, Any]:
    """The same in the smallest size: pictures of 32 pixels, 4 pixels a latent."""
    return {"_class_name": "FaceAutoencoder", "image_size": 32, "latent_channels": 4, "patch": 2, "widths": (4, 8), "blocks": (1, 1)}


def latent_config() -> dict[str, Any]:
    """The open preset's networks on 64x64 latents of 512 pixels, made for CPUs (U-Net: 6.6 M parameters, 6.2 GFLOP a forward); predicts x0."""
    return {"_class_name": "LatentDiffAE", "image_size": 512, "autoencoder": autoencoder_config()}


def latent512_config() -> dict[str, Any]:
    """512 pixels on a cluster: a U-Net of the official FFHQ256 network's width on 64x64 latents; predicts v."""
    return {
        "_class_name": "LatentDiffAE",
        "image_size": 512,
        "autoencoder": autoencoder_large_config(),
        "model_channels": 128,
        "channel_mult": (1, 2, 4, 4),
        "num_res_blocks": 2,
        "attention_resolutions": (16, 8),
        "embed_channels": 512,
        "z_channels": 512,
        "dropout": 0.1,
        "encoder_channels": 64,
        "encoder_mult": (1, 2, 4, 4, 4),
        "encoder_res_blocks": 2,
        "prediction_type": "v_prediction",
    }


def latent1024_config() -> dict[str, Any]:
    """1024 pixels on a cluster: the same U-Net on 128x128 latents in 2x2 patches."""
    return {**latent512_config(), "image_size": 1024, "patch": 2, "encoder_size": 256}


def latent_debug_config() -> dict[str, Any]:
    """Latents in the smallest size: 32 pixels, 8x8 latents, predicts x0."""
    return {
        "_class_name": "LatentDiffAE",
        "image_size": 32,
        "autoencoder": autoencoder_debug_config(),
        "model_channels": 8,
        "channel_mult": (1, 2),
        "attention_resolutions": (4,),
        "num_heads": 1,
        "embed_channels": 16,
        "z_channels": 16,
        "encoder_size": 32,
        "encoder_patch": 2,
        "encoder_channels": 8,
        "encoder_mult": (1, 2, 2),
    }


CONFIGS = {
    "ffhq256": ffhq256_config,
    "ffhq128": ffhq128_config,
    "celeba64": celeba64_config,
    "open": open_diffae_config,
    "debug": debug_config,
    "diffusionrig256": diffusionrig256_config,
    "diffusionrig-debug": diffusionrig_debug_config,
    "autoencoder": autoencoder_config,
    "autoencoder-large": autoencoder_large_config,
    "autoencoder-debug": autoencoder_debug_config,
    "latent": latent_config,
    "latent512": latent512_config,
    "latent1024": latent1024_config,
    "latent-debug": latent_debug_config,
}
"""The configurations by the names that training configs use."""
