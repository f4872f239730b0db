"""All stages by group: adding one is a function and a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from discontrolface.bench.crowd_stages import crowd_stages
from discontrolface.bench.huge_stages import huge_stages
from discontrolface.bench.network_stages import (
    edit_many_stages,
    edit_stages,
    full_size_stages,
    loading_stages,
    personal_stages,
    preset_network_stages,
)
from discontrolface.bench.other_stages import cold_stages, head_stages, synthetic_stages
from discontrolface.bench.peer_stages import peer_stages
from discontrolface.bench.photo_stages import pasting_stages, preview_stages, reading_stages, render_stages
from discontrolface.bench.stage import Stage, Workload
from discontrolface.common.errors import UserError

FULL_SIZE, HUGE, CROWD, PEERS = "full-size", "huge-photo", "crowd", "peers"

GROUPS: dict[str, Callable[[Workload], Iterator[Stage]]] = {
    "load": loading_stages,
    "read": reading_stages,
    "large-photo": pasting_stages,
    "heads": head_stages,
    "render": render_stages,
    "preview": preview_stages,
    "networks": preset_network_stages,
    "personalize": personal_stages,
    "edit": edit_stages,
    "edit-many": edit_many_stages,
    "synthetic": synthetic_stages,
    "cold": cold_stages,
    HUGE: huge_stages,
    CROWD: crowd_stages,
    PEERS: peer_stages,
    FULL_SIZE: full_size_stages,
}
USUAL = tuple(name for name in GROUPS if name not in (FULL_SIZE, HUGE, CROWD, PEERS))  # gigabytes of memory, or minutes


def group_names(text: str | None) -> tuple[str, ...]:
    """Names with commas; None: the usual ones. UserError for one that is not known."""
    names = USUAL if text is None else tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in GROUPS:
            raise UserError(f"there are no stages {name!r}; choose from {', '.join(GROUPS)}")
    return names
