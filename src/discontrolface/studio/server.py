"""Puts the studio together and serves it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from discontrolface.common.errors import UserError
from discontrolface.studio.limits import Limits

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor

STATIC: Final = Path(__file__).parent / "static"
EVERYWHERE: Final = ("0.0.0.0", "::", "")


@dataclass(frozen=True)
class Settings:
    """How the server is started. credentials: "user:password" or None. hosts: further names that it may be called by."""

    host: str = "127.0.0.1"
    port: int = 7860
    credentials: str | None = None
    hosts: tuple[str, ...] = ()
    mark: bool = False
    limits: Limits = field(default_factory=Limits)


def application(load: Callable[[], Editor], settings: Settings) -> tuple[Any, Any]:
    """(the ASGI application, its Studio). load: makes the editor."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported: nothing is sent anywhere
    try:
        from fastapi import FastAPI
        from fastapi.staticfiles import StaticFiles

        from discontrolface.studio.page import add_page
    except ImportError as error:
        raise UserError(f"the studio needs more packages ({error.name} is missing): pip install 'discontrolface[studio]'") from error
    from discontrolface.studio.api import add_api
    from discontrolface.studio.guard import LOOPBACK, Access, Guard
    from discontrolface.studio.service import Studio

    everywhere = settings.host in EVERYWHERE and not settings.hosts
    names = () if everywhere else (*LOOPBACK, settings.host, *settings.hosts)
    access = Access(names, settings.credentials)
    studio = Studio(load, settings.limits, settings.mark)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, debug=False)
    add_api(app, studio)
    app.mount("/studio/static", StaticFiles(directory=STATIC))
    return Guard(add_page(app), settings.limits, access), studio


def check_address(settings: Settings) -> None:
    """UserError, before anything is loaded, when the port is taken or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot listen on {settings.host}:{settings.port} ({reason}); choose another --port or --host") from error


def serve(load: Callable[[], Editor], settings: Settings, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve until Ctrl-C. ready: told the page's address once it can be opened."""
    check_address(settings)
    app, studio = application(load, settings)
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            studio.start_loading()  # not before: it would take the processor from the page
            shown = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
            ready(f"http://{f'[{shown}]' if ':' in shown else shown}:{settings.port}/")

    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        server_header=False,
        limit_concurrency=256,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
    )
    try:
        Server(config).run()
    finally:
        studio.close()
