"""Drawing: z-buffer, light, snapshots, the preview. Names are loaded when first used (PyTorch and Numba are slow to import)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discontrolface.render.raster import Raster, interpolate, rasterize, rasterize_batch, visible_vertices
    from discontrolface.render.rig import PreviewRig
    from discontrolface.render.shade import light_preset, project, sh_shading, vertex_normals
    from discontrolface.render.snapshot import Snapshot, render_snapshot, snapshot_channels
    from discontrolface.render.warp import Preview, View, render_preview

_HOME = {
    "Raster": "raster",
    "interpolate": "raster",
    "rasterize": "raster",
    "rasterize_batch": "raster",
    "visible_vertices": "raster",
    "PreviewRig": "rig",
    "light_preset": "shade",
    "project": "shade",
    "sh_shading": "shade",
    "vertex_normals": "shade",
    "Snapshot": "snapshot",
    "render_snapshot": "snapshot",
    "snapshot_channels": "snapshot",
    "Preview": "warp",
    "View": "warp",
    "render_preview": "warp",
}

__all__ = [
    "Preview",
    "PreviewRig",
    "Raster",
    "Snapshot",
    "View",
    "interpolate",
    "light_preset",
    "project",
    "rasterize",
    "rasterize_batch",
    "render_preview",
    "render_snapshot",
    "sh_shading",
    "snapshot_channels",
    "vertex_normals",
    "visible_vertices",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
