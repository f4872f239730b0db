"""Interlaced frames (old camcorders, broadcasts) hold two moments, one in every second row: where something moves they are combs. Here one whole
picture a frame is made of them by FFmpeg's `bwdif`, of the first moment; progressive frames of the same clip stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any


def deinterlaced(frames: Iterable[Any]) -> Iterator[Any]:
    """Decoded frames (PyAV) in order. Until the first that is marked as interlaced they pass untouched; from there on through a filter, which is
    made anew where the size or the format changes."""
    graph, kind = None, None
    for frame in frames:
        own = (frame.width, frame.height, frame.format.name)
        if graph is not None and own != kind:
            yield from _rest(graph)
            graph = None
        if graph is None:
            if not frame.interlaced_frame:
                yield frame
                continue
            graph, kind = _graph(frame), own
        graph.push(frame)
        yield from _ready(graph)
    if graph is not None:
        yield from _rest(graph)


def _graph(frame: Any) -> Any:
    from av.filter import Graph

    graph = Graph()
    steps = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
        graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"),
        graph.add("buffersink"),
    ]
    for before, after in pairwise(steps):
        before.link_to(after)
    graph.configure()
    return graph


def _ready(graph: Any) -> Iterator[Any]:
    """What the filter gives for what it was given: it waits for the frame after."""
    import av

    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return


def _rest(graph: Any) -> Iterator[Any]:
    graph.push(None)
    yield from _ready(graph)
