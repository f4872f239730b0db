"""Other people's methods, each a plug-in: its network, how it is trained, how it edits.

To add one, write its modules in this folder and give it a line in PEERS. Objects are named "module:name" there and loaded when they are used.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from discontrolface.training.stages import Stage, register_stage

if TYPE_CHECKING:
    from discontrolface.editing.method import Method, MethodContext


@dataclass(frozen=True)
class PeerMethod:
    """A way to edit that is loaded when it is made. name: "module:function" of a `MethodContext`."""

    name: str

    def __call__(self, context: MethodContext) -> Method:
        method: Method = pkgutil.resolve_name(self.name)(context)
        return method


@dataclass(frozen=True)
class Peer:
    """A method that is measured beside ours. stages: how `train NAME` trains its networks; none: its weights come from elsewhere."""

    label: str
    method: PeerMethod
    stages: Mapping[str, Stage] = field(default_factory=dict)


PEERS: dict[str, Peer] = {
    "diffusionrig": Peer(
        label="DiffusionRig",
        method=PeerMethod("discontrolface.baselines.rig_method:rig_method"),
        stages={
            "diffusionrig": Stage("discontrolface.baselines.rig_objective:new_rig"),
            "diffusionrig-person": Stage(
                "discontrolface.baselines.rig_objective:personal_rig", data="discontrolface.baselines.rig_album:open_album", continues=True
            ),
        },
    ),
    "gif": Peer(label="GIF", method=PeerMethod("discontrolface.baselines.gif_method:gif_method")),
    "headnerf": Peer(label="HeadNeRF", method=PeerMethod("discontrolface.baselines.headnerf_method:headnerf_method")),
}


def register_stages() -> None:
    """Make their trainings known; whoever reads their configs calls this first, as the command `train` does."""
    for peer in PEERS.values():
        for name, stage in peer.stages.items():
            register_stage(name, stage)


def register_methods() -> None:
    """Make their ways to edit known, as evaluation does; measured only when they are named."""
    from discontrolface.editing.method import MethodEntry, register_method  # brings PyTorch, which a command line begins without

    for name, peer in PEERS.items():
        register_method(name, MethodEntry(peer.label, peer.method, usual=False))
