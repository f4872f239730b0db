"""The studio without the web: what a user can do, on a session. Everything is made by `Editor` and `Person`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from discontrolface.common.errors import UserError
from discontrolface.common.images import decode_photo
from discontrolface.common.parallel import cores
from discontrolface.common.pixels import to_uint8
from discontrolface.face.controls import CONTROLS
from discontrolface.face.parameters import FaceParameters
from discontrolface.studio.control_rows import Row, control_rows, control_values
from discontrolface.studio.jobs import DeviceQueue, Job
from discontrolface.studio.lamp import shown_light, with_lamp
from discontrolface.studio.limits import Limits
from discontrolface.studio.looks import available_looks, with_look
from discontrolface.studio.pictures import DRAFT_RECORD, jpeg, mesh_layer, normals_layer
from discontrolface.studio.session import Session, SessionStore
from discontrolface.studio.work import Choices, SweepOf, fine_tuning, network_picture, personalized, rendered, swept

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor
    from discontrolface.editing.person import Person

Layer = Literal["picture", "mesh", "normals"]
LAYERS: Final = ("picture", "mesh", "normals")
SCREEN: Final = 512  # pixels of the stage
SIZES: Final = (64, 1024)  # of a preview
UPLOAD: Final = Path("the photo")  # what errors call an upload; its own name is not used


class Studio:
    """One server's work. load: makes the editor, once, in a thread of its own, so that the page is there before the networks are."""

    def __init__(self, load: Callable[[], Editor], limits: Limits | None = None, mark: bool = False) -> None:
        self.limits = limits or Limits()
        self.mark = mark  # every download has the visible mark
        self.queue = DeviceQueue(self.limits)
        self.sessions = SessionStore(self.limits, self.queue.cancel_all, self.queue.busy)
        self._draws = threading.Semaphore(cores())  # previews at a time
        self._reads = threading.Semaphore(1)  # photos that are decoded and read at a time: each may take half a gigabyte
        self._editor: Editor | None = None
        self._fault: BaseException | None = None
        self._ready = threading.Event()
        self._loader = threading.Thread(target=self._load, args=(load,), name="studio loads", daemon=True)
        self._begun = threading.Lock()  # taken once, never given back

    def start_loading(self) -> None:
        """Begin to load the editor, unless that was begun."""
        if self._begun.acquire(blocking=False):
            self._loader.start()

    def _load(self, load: Callable[[], Editor]) -> None:
        try:
            self._editor = load()
        except Exception as error:
            self._fault = error
        self._ready.set()

    @property
    def editor(self) -> Editor:
        """The editor; waits until it is loaded. UserError if that failed."""
        self.start_loading()
        self._ready.wait()
        if self._editor is None:
            raise UserError(f"the editor could not be loaded: {self._fault}")
        return self._editor

    def close(self) -> None:
        """Stop all jobs."""
        self.queue.close()

    # ---- what the page needs to know

    def rows(self) -> list[Row]:
        """The sliders of the preset's head model."""
        return control_rows(self._average)

    def looks(self) -> list[str]:
        """The looks that this head model can have."""
        return available_looks(self._average)

    @property
    def _average(self) -> FaceParameters:
        return FaceParameters.default(self.editor.reader.geometry.head)

    def state(self, session: Session) -> dict[str, Any]:
        """What the page shows besides pictures, JSON-ready."""
        with session.lock:
            if not session.tracks:
                return {"photo": None, "other": _faces(session.others)}
            track = session.track
            width, height = track.person.photo.size
            return {
                "photo": {"width": width, "height": height, "chosen": session.chosen, "faces": _faces([t.person for t in session.tracks])},
                "remarks": _remarks(track.person),
                "other": _faces(session.others),
                "values": control_values(track.target),
                "light": shown_light(track.target),
                "edited": track.target.difference(track.person.parameters),
                "can_undo": bool(track.back),
                "can_redo": bool(track.forth),
                "personal": track.person.personal is not None,
                "landmark_error_percent": round(track.person.fit.mean_percent, 2),
            }

    # ---- photos

    def open_photo(self, session: Session, data: bytes) -> None:
        """Find and read every face of a photo; the largest is chosen. UserError for what is no photo, or shows no face."""
        people = self._read(data)
        self.queue.cancel_all(session.token)
        session.start(people)
        threading.Thread(target=people[0].preview_source, args=(SCREEN,), daemon=True).start()  # so that the first slider moves at once

    def open_other(self, session: Session, data: bytes) -> None:
        """Read the faces of the photo to copy from."""
        people = self._read(data)
        with session.lock:
            session.others = people

    def _read(self, data: bytes) -> list[Person]:
        with self._reads:
            return self.editor.read_all(decode_photo(data, UPLOAD, self.limits.pixels / 1e6))[: self.limits.faces]

    # ---- edits

    def edit(self, session: Session, controls: Mapping[str, Any]) -> None:
        """Set controls, by their keys."""
        session.change(lambda target, person: target.edit(controls=dict(controls)))

    def light_from(self, session: Session, direction: tuple[float, float, float]) -> None:
        """Put the lamp somewhere."""
        session.change(lambda target, person: with_lamp(target, direction))

    def look(self, session: Session, name: str) -> None:
        """A ready-made look instead of the expression."""
        session.change(lambda target, person: with_look(target, name))

    def neutral(self, session: Session) -> None:
        """Relax the face."""
        session.change(lambda target, person: target.edit(neutral=True))

    def reset(self, session: Session) -> None:
        """Back to what was read."""
        session.change(lambda target, person: person.parameters)

    def copy(self, session: Session, parts: list[str], face: int = 0) -> None:
        """Take parts (`expression`, `pose`, `gaze`, `light`, `shape`, `albedo`) of a face of the other photo."""
        if not parts:
            raise UserError(f"say which parts to copy; known are {', '.join(part.name for part in CONTROLS.table.parts)}")
        other = session.other(face)
        session.change(lambda target, person: target.take_from(other.parameters, *parts))

    def load_parameters(self, session: Session, text: str) -> None:
        """Go to the parameters of a file that `read`, `edit` or the studio wrote. The head stays where it is in this photo."""

        def loaded(target: FaceParameters, person: Person) -> FaceParameters:
            given = FaceParameters.from_json(text, base=target, source="the parameter file")
            person.check_target(given)
            return given.with_(camera=target.camera)

        session.change(loaded)

    def use(self, session: Session, picture_id: str) -> None:
        """Go to the parameters of a picture of the history."""
        given = session.picture(picture_id).parameters
        session.change(lambda target, person: given.with_(camera=target.camera))

    def undo(self, session: Session) -> None:
        """One step back."""
        with session.lock:
            session.track.undo()

    def redo(self, session: Session) -> None:
        """One step forth again."""
        with session.lock:
            session.track.redo()

    # ---- pictures at once

    def preview(
        self,
        session: Session,
        controls: Mapping[str, Any] | None = None,
        direction: tuple[float, float, float] | None = None,  # of the lamp
        layer: str = "picture",
        size: int = SCREEN,
    ) -> bytes:
        """JPEG of the warp towards the target, with some controls moved that are not set yet: no network, nothing is changed."""
        if layer not in LAYERS:
            raise UserError(f"unknown layer {layer!r}; known are {', '.join(LAYERS)}")
        _check_size(size)
        track = session.track
        person, target = track.person, track.target
        if controls:
            target = target.edit(controls=dict(controls))
        if direction is not None:
            target = with_lamp(target, direction)
        with self._draws:
            if layer == "normals":
                return jpeg(normals_layer(person, target, size), DRAFT_RECORD)
            picture = to_uint8(person.draft(target, size).image)
            return jpeg(mesh_layer(person, target, picture) if layer == "mesh" else picture, DRAFT_RECORD)

    def before(self, session: Session, size: int = SCREEN) -> bytes:
        """JPEG of the photo's aligned square, unedited."""
        _check_size(size)
        return jpeg(session.track.person.crop.resize(size).image)

    def photo(self, session: Session, other: bool = False, size: int = SCREEN) -> bytes:
        """JPEG of the whole photo, its longer side of `size` pixels: to choose a face in. other: of the photo to copy from."""
        _check_size(size)
        person = session.other(0) if other else session.track.person
        return jpeg(person.photo.array, longest=size)

    # ---- work in the queue

    def submit(
        self,
        session: Session,
        kind: str,
        choices: Choices | None = None,
        sweep: SweepOf | None = None,
        iterations: int | None = None,
    ) -> Job:
        """Begin a job: `network` (the networks' picture for the stage; it replaces an older one), `render`, `personalize`, or `sweep`."""
        track, editor = session.track, self.editor
        person, target, choices = track.person, track.target, choices or Choices()
        if kind == "network":
            choices.check(editor)
            return self.queue.submit(session.token, kind, lambda job: network_picture(job, editor, person, target, choices), replaces=True)
        if kind == "render":
            choices.check(editor)
            return self.queue.submit(session.token, kind, lambda job: rendered(job, editor, session, person, target, choices, self.mark))
        if kind == "personalize":
            settings = fine_tuning(editor, iterations, self.limits)
            return self.queue.submit(session.token, kind, lambda job: personalized(job, editor, session, track, settings))
        if kind == "sweep":
            if sweep is None:
                raise UserError("a sweep needs a control, from where and to where")
            frames = sweep.targets(target, self.limits)
            choices.check(editor)
            return self.queue.submit(
                session.token, kind, lambda job: swept(job, editor, session, person, sweep, frames, choices, self.mark)
            )
        raise UserError(f"unknown job {kind!r}; known are network, render, personalize, sweep")


def _faces(people: list[Person]) -> list[list[float]]:
    """Boxes (left, top, right, bottom) as shares of the photo's width and height."""
    boxes = []
    for person in people:
        width, height = person.photo.size
        left, top, right, bottom = person.landmarks.box
        boxes.append([round(left / width, 4), round(top / height, 4), round(right / width, 4), round(bottom / height, 4)])
    return boxes


def _remarks(person: Person) -> list[str]:
    """What a user should know of this face and its photo, in sentences."""
    remarks = [f"{UPLOAD} {remark}" for remark in person.photo.remarks]
    confidence = person.confidence
    if confidence.low:
        remarks.append(f"the reading of this face is not to be trusted (confidence {confidence.value:.2f}): {confidence.against}")
    return remarks


def _check_size(size: int) -> None:
    if not SIZES[0] <= size <= SIZES[1]:
        raise UserError(f"a size of {size} pixels is out of range; give one from {SIZES[0]} to {SIZES[1]}")
