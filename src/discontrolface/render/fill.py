"""Colours for what the photo does not show: spread over the mesh from the vertices that it shows well."""

from __future__ import annotations

import numpy as np

from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.raster import FloatArray, IntArray


def diffuse_over_mesh(value: FloatArray, weight: FloatArray, neighbours: IntArray, starts: IntArray, sweeps: int = 12) -> FloatArray:
    """Smooth vertex values (V, C) close to `value` where `weight` (V,) is large; elsewhere the mean of the neighbours.

    First a breadth-first march from the trusted vertices fills every connected vertex once, then Gauss-Seidel sweeps smooth the result.
    Vertices without a connection to a trusted one get the weighted mean of all.
    """
    total = float(weight.sum())
    mean = (value * weight[:, None]).sum(0) / max(total, 1e-9) if total > 1e-6 else value.mean(0)
    out = np.ascontiguousarray(np.broadcast_to(mean, value.shape), np.float32).copy()
    _spread(out, np.ascontiguousarray(value, np.float32), weight, neighbours, starts, sweeps)
    return out


@compiled
def _spread(out, value, weight, neighbours, starts, sweeps):  # type: ignore[no-untyped-def]
    _march(out, value, weight, neighbours, starts)
    _smooth(out, value, weight, neighbours, starts, sweeps)


@inlined
def _march(out, value, weight, neighbours, starts):  # type: ignore[no-untyped-def]
    count, channels = value.shape
    order = np.empty(count, np.int32)
    rank = np.empty(count, np.int32)  # the wave that reached a vertex
    tail = 0
    for v in range(count):
        rank[v] = -1
        if weight[v] > 0.5:
            for k in range(channels):
                out[v, k] = value[v, k]
            rank[v] = 0
            order[tail] = v
            tail += 1
    head = 0
    while head < tail:
        v = order[head]
        head += 1
        for e in range(starts[v], starts[v + 1]):
            n = neighbours[e]
            if rank[n] < 0:
                rank[n] = rank[v] + 1
                order[tail] = n
                tail += 1
                known = 0
                for k in range(channels):
                    out[n, k] = 0.0
                for f in range(starts[n], starts[n + 1]):
                    m = neighbours[f]
                    if rank[m] >= 0 and rank[m] < rank[n]:
                        known += 1
                        for k in range(channels):
                            out[n, k] += out[m, k]
                for k in range(channels):
                    out[n, k] /= known


@inlined
def _smooth(out, value, weight, neighbours, starts, sweeps):  # type: ignore[no-untyped-def]
    count, channels = value.shape
    for sweep in range(sweeps):
        for a in range(count):
            v = a if sweep % 2 == 0 else count - 1 - a
            degree = starts[v + 1] - starts[v]
            if degree == 0:
                continue
            w = np.float32(4.0) * weight[v] * degree
            scale = np.float32(1.0) / (w + degree)
            for k in range(channels):
                total = w * value[v, k]
                for e in range(starts[v], starts[v + 1]):
                    total += out[neighbours[e], k]
                out[v, k] = total * scale
