"""The JSON API: the page's own calls, and a program's. docs/studio.md lists them.

A session is made with POST /session and named in the header X-Studio-Session from then on. Errors are {"error": one sentence}.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from discontrolface.common.errors import UserError
from discontrolface.common.provenance import STATEMENT
from discontrolface.diffusion.masking import SCHEDULES
from discontrolface.diffusion.sampling import SOLVERS
from discontrolface.diffusion.settings import STARTS
from discontrolface.face.controls import CONTROLS
from discontrolface.studio import downloads
from discontrolface.studio.jobs import UNEXPECTED, Busy, Job
from discontrolface.studio.requests import Copy, Edit, Face, JobBody, Look, SamplingBody, View
from discontrolface.studio.service import Studio
from discontrolface.studio.session import Picture, Session

PREFIX: Final = "/studio/api"
LONGEST_WAIT: Final = 10.0  # seconds that an answer about a job is held back
POLL: Final = 0.03
_log = logging.getLogger(__name__)


def add_api(app: FastAPI, studio: Studio) -> None:
    """All routes below PREFIX, and errors as sentences."""
    app.include_router(_router(studio), prefix=PREFIX)

    @app.exception_handler(UserError)
    async def user_error(request: Request, error: UserError) -> JSONResponse:
        busy = isinstance(error, Busy)
        return JSONResponse({"error": str(error)}, 503 if busy else 400, {"Retry-After": "30"} if busy else None)

    @app.exception_handler(RequestValidationError)
    async def wrong_body(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "header"))
        return JSONResponse({"error": f"{place[:80] or 'the request'}: {first['msg'][:200]}"}, 422)

    @app.exception_handler(StarletteHTTPException)
    async def http_error(request: Request, error: StarletteHTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s %s", request.method, request.url.path, exc_info=error)
        return JSONResponse({"error": UNEXPECTED}, 500)


def _router(studio: Studio) -> APIRouter:
    router = APIRouter()

    def current(x_studio_session: Annotated[str, Header()] = "") -> Session:
        session = studio.sessions.find(x_studio_session)
        if session is None:
            raise HTTPException(401, "this session is not known, or was left alone too long; start another one")
        return session

    Own = Annotated[Session, Depends(current)]

    @router.get("/health")
    def health() -> dict[str, str]:
        return {"state": "ok"}

    @router.post("/session")
    def start() -> dict[str, str]:
        """A new session. What it is called is what opens it: keep it to yourself."""
        return {"session": studio.sessions.create().token}

    @router.get("/info")
    def info() -> dict[str, Any]:
        """What a page needs to know once; waits until the networks are loaded."""
        preset = studio.editor.preset
        return {
            "preset": preset.name,
            "controls": [row.json() for row in studio.rows()],
            "groups": list(CONTROLS.table.groups),
            "looks": studio.looks(),
            "parts": [part.name for part in CONTROLS.table.parts],
            "sampling": {name: value for name, value in asdict(preset.sampling).items() if name in SamplingBody.model_fields},
            "starts": list(STARTS),
            "solvers": list(SOLVERS),
            "maskings": list(SCHEDULES),
            "iterations": studio.editor.settings.iterations,
            "limits": asdict(studio.limits),
            "statement": STATEMENT,
        }

    @router.get("/session")
    def known(x_studio_session: Annotated[str, Header()] = "") -> dict[str, bool]:
        """Whether a session is still there."""
        return {"known": studio.sessions.find(x_studio_session) is not None}

    @router.delete("/session")
    def end(session: Own) -> dict[str, str]:
        """Forget everything of this session and stop its jobs."""
        studio.sessions.end(session.token)
        return {"state": "ended"}

    @router.get("/state")
    def state(session: Own) -> dict[str, Any]:
        return studio.state(session)

    _add_photos(router, studio, Own)
    _add_edits(router, studio, Own)
    _add_jobs(router, studio, Own)
    _add_pictures(router, studio, Own)
    return router


def _add_photos(router: APIRouter, studio: Studio, Own: Any) -> None:
    @router.post("/photo")
    async def open_photo(request: Request, session: Own) -> dict[str, Any]:
        """The body is the photo's file. Every face is found and read; the largest is chosen."""
        data = await _body(request, studio)
        await asyncio.to_thread(studio.open_photo, session, data)
        return studio.state(session)

    @router.post("/other")
    async def open_other(request: Request, session: Own) -> dict[str, Any]:
        """The body is the file of the photo to copy from."""
        data = await _body(request, studio)
        await asyncio.to_thread(studio.open_other, session, data)
        return studio.state(session)

    @router.get("/photo")
    def photo(session: Own, size: int = 512, other: bool = False) -> Response:
        """JPEG of the whole photo, or of the other one."""
        return _jpeg(studio.photo(session, other, size))

    @router.get("/before")
    def before(session: Own, size: int = 512) -> Response:
        """JPEG of the aligned square, unedited."""
        return _jpeg(studio.before(session, size))


def _add_edits(router: APIRouter, studio: Studio, Own: Any) -> None:
    @router.post("/face")
    def choose(body: Face, session: Own) -> dict[str, Any]:
        session.choose(body.face)
        return studio.state(session)

    @router.post("/edit")
    def edit(body: Edit, session: Own) -> dict[str, Any]:
        """Set controls, and the lamp; one step of undo each."""
        if body.controls:
            studio.edit(session, body.controls)
        if body.light is not None:
            studio.light_from(session, body.light)
        return studio.state(session)

    @router.post("/preview")
    def preview(body: View, session: Own) -> Response:
        """JPEG of the target with these controls moved, without setting them."""
        begin = time.perf_counter()
        picture = studio.preview(session, body.controls, body.light, body.layer, body.size)
        return _jpeg(picture, {"Server-Timing": f"preview;dur={1000 * (time.perf_counter() - begin):.1f}"})

    @router.post("/look")
    def look(body: Look, session: Own) -> dict[str, Any]:
        studio.look(session, body.name)
        return studio.state(session)

    @router.post("/copy")
    def copy(body: Copy, session: Own) -> dict[str, Any]:
        studio.copy(session, body.parts, body.face)
        return studio.state(session)

    @router.post("/parameters")
    async def parameters(request: Request, session: Own) -> dict[str, Any]:
        """The body is a parameter file."""
        data = await _body(request, studio)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise UserError("the parameter file is not text") from None
        studio.load_parameters(session, text)
        return studio.state(session)

    def add_step(name: str, change: Callable[[Session], None]) -> None:
        @router.post(f"/{name}", name=name)
        def step(session: Own) -> dict[str, Any]:
            change(session)
            return studio.state(session)

    for name, change in {"neutral": studio.neutral, "reset": studio.reset, "undo": studio.undo, "redo": studio.redo}.items():
        add_step(name, change)


def _add_jobs(router: APIRouter, studio: Studio, Own: Any) -> None:
    def told(job: Job) -> dict[str, Any]:
        return {
            "job": job.id,
            "kind": job.kind,
            "state": job.state,
            "before": studio.queue.position(job),
            "done": job.done,
            "total": job.total,
            "seconds_left": None if job.seconds_left is None else round(job.seconds_left, 1),
            "error": job.error or None,
        }

    @router.post("/jobs")
    def submit(body: JobBody, session: Own) -> dict[str, Any]:
        return told(studio.submit(session, body.kind, body.choices(), body.sweep_of(), body.iterations))

    @router.get("/jobs/{job_id}")
    async def job_state(
        job_id: str, request: Request, session: Own, wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0
    ) -> dict[str, Any]:
        """How far it is. wait: hold the answer back so many seconds, or until something changes."""
        job = studio.queue.find(session.token, job_id)
        before, end = (job.state, job.done), time.monotonic() + wait
        while not job.finished and (job.state, job.done) == before and time.monotonic() < end:
            await asyncio.sleep(POLL)
            if await request.is_disconnected():
                break
            job.touch()
        return told(job)

    @router.get("/jobs/{job_id}/picture")
    def job_picture(job_id: str, session: Own) -> Response:
        """JPEG of what it made."""
        job = studio.queue.find(session.token, job_id)
        if job.state != "done" or job.result is None:
            raise UserError(f"this job has no picture; its state is {job.state}")
        return _jpeg(job.result)

    @router.delete("/jobs/{job_id}")
    def cancel(job_id: str, session: Own) -> dict[str, Any]:
        """Stop it before its next step."""
        job = studio.queue.find(session.token, job_id)
        job.cancel()
        return told(job)


def _add_pictures(router: APIRouter, studio: Studio, Own: Any) -> None:
    def told(picture: Picture) -> dict[str, Any]:
        return {"id": picture.id, "kind": picture.kind, "label": picture.label, "files": list(downloads.names(picture))}

    @router.get("/pictures")
    def pictures(session: Own) -> list[dict[str, Any]]:
        """The history, the oldest first."""
        return [told(picture) for picture in session.pictures]

    @router.get("/pictures/{picture_id}/thumbnail")
    def thumbnail(picture_id: str, session: Own) -> Response:
        return _jpeg(session.picture(picture_id).thumbnail)

    @router.get("/pictures/{picture_id}/{name}")
    def download(picture_id: str, name: str, session: Own, mark: bool = False) -> Response:
        """A file of a picture. mark: with a visible mark."""
        data, kind = downloads.file_of(session.picture(picture_id), name, mark and not studio.mark)
        return Response(data, media_type=kind, headers={"Content-Disposition": f'attachment; filename="discontrolface-{name}"'})

    @router.post("/pictures/{picture_id}/use")
    def use(picture_id: str, session: Own) -> dict[str, Any]:
        """Go back to the parameters of a picture."""
        studio.use(session, picture_id)
        return studio.state(session)


def _jpeg(data: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(data, media_type="image/jpeg", headers=headers)


async def _body(request: Request, studio: Studio) -> bytes:
    """All of a request's body; how large it may be is the guard's business, how long it may take is ours."""
    try:
        async with asyncio.timeout(studio.limits.upload_seconds):
            return await request.body()
    except TimeoutError:
        raise HTTPException(408, f"the upload took longer than {studio.limits.upload_seconds} seconds") from None
