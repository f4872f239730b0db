"""Autoencoders from their folders: ours, and those of diffusers' layout; by the name of a repository where the machine has a connection."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from discontrolface.common.errors import UserError
from discontrolface.nets.autoencoders import autoencoder_class
from discontrolface.nets.network import CONFIG

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
WAYS = (
    "give the folder of an autoencoder: one that `discontrolface train autoencoder` wrote (OUTPUT/weights), or one of diffusers' layout "
    "(AutoencoderTiny, AutoencoderKL)"
)


def find_autoencoder(source: str | Path) -> Path:
    """The folder of an autoencoder. source: a folder, or a repository's name on the Hugging Face hub (OWNER/NAME), which is fetched.

    UserError where there is none, or it cannot be fetched.
    """
    folder = Path(source)
    if (folder / CONFIG).is_file():
        return folder
    if folder.exists() or not HUB_NAME.fullmatch(str(source)):
        raise UserError(f"no {CONFIG} in {folder}; {WAYS}")
    return fetched(str(source))


def fetched(name: str) -> Path:
    """A repository's autoencoder on this machine, in the hub's own cache."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise UserError(
            f"{name} is no folder, and fetching it from the hub takes huggingface_hub; install it with: pip install 'discontrolface[latent]', "
            f"or {WAYS}"
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=[CONFIG, "*.safetensors", "*.safetensors.index.json"]))
    except Exception as error:  # whatever the network, the hub and its client raise
        raise UserError(f"{name} is no folder, and could not be fetched from the hub ({type(error).__name__}); {WAYS}") from error


def autoencoder_description(folder: Path) -> dict[str, Any]:
    """The class and constructor's arguments of a folder's autoencoder, for `make_autoencoder`. UserError where it is none."""
    try:
        values: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind = str(values["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / CONFIG} does not describe an autoencoder ({error}); {WAYS}") from error
    autoencoder_class(kind)  # UserError for one that is not known
    return {"_class_name": kind, **{k: v for k, v in values.items() if not k.startswith("_")}}


def load_autoencoder(folder: Path) -> Any:
    """The autoencoder of a folder, in evaluation mode, frozen, float32, on the CPU. UserError if it cannot be read."""
    kind = autoencoder_class(autoencoder_description(folder)["_class_name"])
    try:
        network = kind.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{folder} cannot be read: {str(error).splitlines()[0]}") from error
    return network.eval().requires_grad_(False)
