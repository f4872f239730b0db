"""The maps of a snapshot, which the renderer draws and the control network reads."""

from typing import Final

# Every map and its channels, in the order that they have in a snapshot (docs/conventions.md).
SNAPSHOT_MAPS: Final[dict[str, int]] = {"normals": 3, "lambertian": 3, "albedo": 3, "preview": 3, "visibility": 1}
