"""What tests of the studio need: photos in memory, an editor with tiny networks, a server in this process."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from discontrolface.common.example import example_photo
from discontrolface.editing.editor import Editor
from discontrolface.studio.server import Settings, application

PHOTO = example_photo()


def two_faces() -> bytes:
    """PNG with two faces side by side, the larger one left; the right one is the mirrored photo, smaller."""
    photo = Image.open(PHOTO).convert("RGB").crop((60, 0, 420, 300))
    small = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((240, 200))
    both = Image.new("RGB", (620, 320), (120, 120, 120))
    both.paste(photo, (0, 10))
    both.paste(small, (370, 60))
    out = io.BytesIO()
    both.save(out, "PNG")
    return out.getvalue()


def picture(data: bytes) -> np.ndarray:
    """An encoded picture's pixels."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def wait_for(done: Callable[[], bool], seconds: float = 300) -> None:
    """Until it is so. AssertionError after that time, which is long: Numba may have to compile first, on a busy machine."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.01)


@contextlib.contextmanager
def running(load: Callable[[], Editor], settings: Settings | None = None) -> Iterator[str]:
    """The studio behind a real socket of this machine; yields its address."""
    import uvicorn

    app, studio = application(load, settings or Settings())
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        studio.close()
