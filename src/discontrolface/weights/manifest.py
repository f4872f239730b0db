"""What a preset says of itself, without its networks (reading a photo needs none): where it lies, its head model, its size, preset.json.

preset.json      {"name", "head", "start", "strength", "steps"}; "temperature", "mask_patch" (pixels), "resolution", "one_shot" and "personalize"
                 may be left out

"open" is the folder in the package, "paper" the folder of imported assets (assets.py), "latent" that of the latent preset (latent_preset.py),
anything else a folder of the user's.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from discontrolface.common.errors import UserError
from discontrolface.common.folders import default_folder, latent_folder
from discontrolface.face.heads.registry import head_names
from discontrolface.weights.asset_table import PAPER_HEAD
from discontrolface.weights.assets import paper_missing

USUAL_SIZE = 256  # pixels, the paper's


def open_folder() -> Path:
    """The open preset's folder inside the package."""
    return Path(str(files("discontrolface") / "assets" / "open"))


def preset_folder(preset: str | Path, assets: str | Path | None = None) -> Path:
    """Where a preset lies: "open", "paper", "latent", or a folder.

    assets: the folder of imported assets, for "paper"; None: the user's. Raises UserError that lists every asset the paper preset lacks, or says how
    the latent preset is made.
    """
    if preset == "open":
        return open_folder()
    if preset == "latent":
        return made_latent_folder()
    if preset != "paper":
        return Path(preset)
    folder = default_folder() if assets is None else Path(assets)
    missing = paper_missing(folder)
    if missing:
        raise UserError(f"the paper preset is not complete in {folder}: {'; '.join(missing)}. See `discontrolface assets`.")
    return folder


def made_latent_folder() -> Path:
    """The latent preset's folder. UserError that says how it is made where it is not there."""
    folder = latent_folder()
    if not (folder / "preset.json").is_file():
        raise UserError(
            f"the latent preset is not in {folder}: it is made from the open preset by "
            "`discontrolface assets latent`, in seconds; or train one (docs/latent.md) and give its folder"
        )
    return folder


def preset_head(preset: str | Path) -> str:
    """The head model of a preset, without looking for its networks."""
    known = {"open": "open", "paper": PAPER_HEAD}
    return known.get(str(preset)) or str(read_description(made_latent_folder() if preset == "latent" else Path(preset))["head"])


def preset_size(preset: str | Path, assets: str | Path | None = None) -> int:
    """The pixels of the crops that a preset's networks see, from the description of its backbone; 256 where there is no backbone yet.

    assets: as in `preset_folder`. Raises UserError for a description that cannot be read.
    """
    paper = default_folder() if assets is None else Path(assets)
    folder = {"open": open_folder(), "paper": paper, "latent": latent_folder()}.get(str(preset), Path(preset))
    config = folder / "diffae" / "config.json"
    if not config.is_file():
        return USUAL_SIZE
    try:
        return int(json.loads(config.read_text(encoding="utf-8")).get("image_size", USUAL_SIZE))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{config} does not say the size of the networks' pictures ({error})") from error


def read_description(folder: Path) -> dict[str, Any]:
    """preset.json as it is written, with a name and a known head model. Raises UserError that names what is missing or wrong."""
    manifest = folder / "preset.json"
    if not manifest.is_file():
        raise UserError(f"no preset.json in {folder}; give 'open', 'paper' or a folder with preset.json, diffae/ and exp_facenet/")
    try:
        read: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
        read |= {"name": str(read["name"]), "head": str(read["head"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{manifest} is not a preset's description ({error})") from error
    if read["head"] not in head_names():
        raise UserError(f"{manifest}: head {read['head']!r} is not known; choose one of {', '.join(head_names())}")
    return read
