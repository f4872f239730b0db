"""Where a peer's network lies, and how it is loaded: an official file, a folder that `train` wrote, or what `assets import` stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from discontrolface.common.errors import UserError
from discontrolface.nets.network import Network
from discontrolface.weights.asset_table import PEER_ASSETS, PeerAsset
from discontrolface.weights.assets import list_assets
from discontrolface.weights.preset import load_network

N = TypeVar("N", bound=Network)


def peer_weights(names: Iterable[str], given: Mapping[str, Path], assets: Path | None = None) -> dict[str, Path]:
    """{method: the folder of its network} for the peers among the methods that were given no weights.

    assets: the folder of imported assets; None: the user's. UserError that names the official file, its page, and the command.
    """
    own = [name for name in names if name not in given and is_peer(name)]
    for asset in PEER_ASSETS:
        if asset.peer in own and asset.needed:
            stored(asset, assets)
    return {name: stored(first_asset(name), assets) for name in own}


def is_peer(name: str) -> bool:
    """Whether a method's network is an official file."""
    return any(asset.peer == name for asset in PEER_ASSETS)


def first_asset(name: str) -> PeerAsset:
    """The file of a peer's network: the first of its rows."""
    return next(asset for asset in PEER_ASSETS if asset.peer == name)


def stored(asset: PeerAsset, assets: Path | None = None) -> Path:
    """Where `assets import` put a peer's file. UserError when it is missing or damaged."""
    (status,) = list_assets(assets, (asset,))
    if status.state != "ok":
        raise UserError(
            f"method {asset.peer!r} needs {asset.what}, which is {status.state}: get {asset.official} from {asset.source}, then "
            f"`discontrolface assets import FILE`, or give it with --weights {asset.peer}=PATH (docs/baselines.md)"
        )
    return status.path


def load_peer(path: Path, kind: type[N], import_official: Callable[[Path], N], device: str = "cpu") -> N:
    """The network of an official file, or of a folder that was saved by this program; evaluation mode, frozen. UserError if it cannot be read."""
    if path.is_dir():
        network: N = load_network(kind, path, device)
        return network
    imported: Any = import_official(path).eval().requires_grad_(False)
    network = imported.to(device=device, memory_format=torch.channels_last)
    return network
