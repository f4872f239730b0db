"""What a snapshot is: the head model that it shows, and its maps.

Renderer, networks and data sets compare theirs, so that no channel is ever taken for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from discontrolface.common.errors import UserError

# Every map and its channels, in the one order that they have in a snapshot (docs/conventions.md).
MAP_CHANNELS: Final[dict[str, int]] = {
    "normals": 3, "lambertian": 3, "albedo": 3, "preview": 3, "visibility": 1, "source": 3, "source_normals": 3,
}  # fmt: skip
PAPER_MAPS: Final = ("normals", "lambertian")  # six channels; the paper does not say which
OPEN_MAPS: Final = ("normals", "lambertian", "preview", "visibility")
NORMAL_MAPS: Final = ("normals", "source_normals")  # in a mirror their first channel changes its sign
SOURCE_MAPS: Final = ("source", "source_normals")  # the unedited crop, and the normals of its own head


def check_maps(maps: Sequence[str]) -> tuple[str, ...]:
    """The names of the maps of a snapshot. UserError for an unknown or repeated name, none, and another order than that of MAP_CHANNELS."""
    known = ", ".join(MAP_CHANNELS)
    if isinstance(maps, str) or not maps:
        raise UserError(f"snapshot maps {maps!r}: give one or more of {known}")
    for name in maps:
        if name not in MAP_CHANNELS:
            raise UserError(f"snapshot map {name!r} is not known; choose from {known}")
    order = tuple(name for name in MAP_CHANNELS if name in maps)
    if tuple(maps) != order:
        raise UserError(f"snapshot maps {', '.join(maps)} are not in the one order that channels have; write {', '.join(order)}")
    return order


@dataclass(frozen=True)
class SnapshotSpec:
    """head: the name of a head model. maps: names of MAP_CHANNELS, in that order. UserError for others."""

    head: str
    maps: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", check_maps(self.maps))

    def __str__(self) -> str:
        return f"{', '.join(self.maps)} of the head model {self.head!r}"

    def __contains__(self, name: str) -> bool:
        return name in self.maps

    @property
    def channels(self) -> int:
        """Of all maps together."""
        return sum(MAP_CHANNELS[name] for name in self.maps)

    def slice(self, name: str) -> slice:
        """Which channels are this map. UserError if it is not among the maps."""
        if name not in self.maps:
            raise UserError(f"snapshots of {', '.join(self.maps)} have no map {name!r}")
        start = sum(MAP_CHANNELS[before] for before in self.maps[: self.maps.index(name)])
        return slice(start, start + MAP_CHANNELS[name])

    def check(self, given: SnapshotSpec, reader: str, remedy: str) -> None:
        """UserError unless `given` is this spec. reader: who reads snapshots of this spec, as the sentence begins. remedy: the way out."""
        if given != self:
            raise UserError(f"{reader} reads snapshots with {self}, not with {given}; {remedy}")
