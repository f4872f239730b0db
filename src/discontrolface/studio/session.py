"""What one browser session holds: a photo with its faces, the target of each with what can be undone, another photo to copy from, pictures made."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from discontrolface.common.errors import UserError
from discontrolface.editing.person import Person
from discontrolface.face.parameters import FaceParameters
from discontrolface.studio.limits import Limits


@dataclass
class Track:
    """One face of the photo while it is edited."""

    person: Person  # with personal weights once it was personalized
    target: FaceParameters
    back: list[FaceParameters] = field(default_factory=list)
    forth: list[FaceParameters] = field(default_factory=list)

    def move_to(self, target: FaceParameters, steps_back: int) -> None:
        """Another target, which can be undone. The same target again is no step."""
        if target == self.target:
            return
        self.back = [*self.back, self.target][-steps_back:]
        self.forth = []
        self.target = target

    def undo(self) -> None:
        """One step back. UserError where there is none."""
        if not self.back:
            raise UserError("there is nothing to undo")
        self.forth.append(self.target)
        self.target = self.back.pop()

    def redo(self) -> None:
        """One step forth again. UserError where there is none."""
        if not self.forth:
            raise UserError("there is nothing to redo")
        self.back.append(self.target)
        self.target = self.forth.pop()


@dataclass(frozen=True)
class Picture:
    """A finished picture of the history. files: {name: bytes} as they are downloaded, each saying of itself that it was edited."""

    id: str
    kind: str  # "render" or "sweep"
    label: str
    thumbnail: bytes  # JPEG
    files: dict[str, bytes]
    record: dict[str, Any]
    parameters: FaceParameters
    person: Person | None  # None: another photo was loaded since, and the head is not there any more

    @property
    def bytes(self) -> int:
        """What it takes of the session's share."""
        return sum(map(len, self.files.values())) + len(self.thumbnail)


class Session:
    """The state of one browser session. `lock` is held for changes, never for long work."""

    def __init__(self, limits: Limits) -> None:
        self.token = secrets.token_urlsafe(32)
        self.lock = threading.RLock()
        self.seen = time.monotonic()
        self.tracks: list[Track] = []
        self.chosen = 0
        self.others: list[Person] = []  # the faces of the photo to copy from
        self.pictures: list[Picture] = []
        self._limits = limits

    @property
    def track(self) -> Track:
        """The chosen face. UserError before a photo was loaded."""
        if not self.tracks:
            raise UserError("load a photo first")
        return self.tracks[self.chosen]

    def start(self, people: list[Person]) -> None:
        """Another photo: its first face is chosen. Pictures stay in the history, without the heads of the photo before."""
        with self.lock:
            self.tracks = [Track(person, person.parameters) for person in people]
            self.chosen = 0
            self.pictures = [_without_person(picture) for picture in self.pictures]

    def choose(self, face: int) -> None:
        """Edit another face of the photo."""
        with self.lock:
            _checked_face(face, len(self.tracks))
            self.chosen = face

    def change(self, make: Callable[[FaceParameters, Person], FaceParameters]) -> None:
        """Move to the target that `make` gives for the present one."""
        with self.lock:
            track = self.track
            track.move_to(make(track.target, track.person), self._limits.steps_back)

    def other(self, face: int) -> Person:
        """A face of the photo to copy from."""
        if not self.others:
            raise UserError("load the photo to copy from first")
        _checked_face(face, len(self.others))
        return self.others[face]

    def keep(self, picture: Picture) -> None:
        """Put a picture into the history; the oldest make room."""
        with self.lock:
            kept = [*self.pictures, picture][-self._limits.pictures :]
            while len(kept) > 1 and sum(p.bytes for p in kept) > self._limits.picture_bytes:
                kept.pop(0)
            self.pictures = kept

    def picture(self, picture_id: str) -> Picture:
        """A picture of the history by its id. UserError for one that is not there."""
        found = next((picture for picture in self.pictures if picture.id == picture_id), None)
        if found is None:
            raise UserError("there is no such picture in this session's history; the oldest make room for new ones")
        return found


def _without_person(picture: Picture) -> Picture:
    return Picture(**{**vars(picture), "person": None})


def _checked_face(face: int, count: int) -> None:
    if not 0 <= face < count:
        raise UserError(f"there is no face {face}; the photo has {count}, counted from 0")


class SessionStore:
    """All sessions by their token. forget: told of each session that ends, to stop its jobs. busy: whether a session has work."""

    def __init__(self, limits: Limits, forget: Callable[[str], None], busy: Callable[[str], bool]) -> None:
        self._limits, self._forget, self._busy = limits, forget, busy
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def create(self) -> Session:
        """A new session. UserError when all are in use."""
        with self._lock:
            self._expire()
            if len(self._sessions) >= self._limits.sessions:
                self._make_room()
            session = Session(self._limits)
            self._sessions[session.token] = session
            return session

    def find(self, token: str) -> Session | None:
        """The session of a token, which is in use from now on; None for an unknown or forgotten one."""
        with self._lock:
            self._expire()
            session = self._sessions.get(token)
            if session is not None:
                session.seen = time.monotonic()
            return session

    def end(self, token: str) -> None:
        """Forget a session and stop its jobs."""
        with self._lock:
            self._drop(token)

    def _expire(self) -> None:
        oldest = time.monotonic() - self._limits.session_idle
        for token in [token for token, session in self._sessions.items() if session.seen < oldest and not self._busy(token)]:
            self._drop(token)

    def _make_room(self) -> None:
        """Push out the session without a photo, else any without work, that was left alone for longest, if it was long enough."""
        before = time.monotonic() - self._limits.busy_idle
        free = [s for s in self._sessions.values() if not self._busy(s.token) and (not s.tracks or s.seen < before)]
        if not free:
            raise UserError(f"all {self._limits.sessions} places of this studio are taken; try again in a minute")
        self._drop(min(free, key=lambda session: (bool(session.tracks), session.seen)).token)

    def _drop(self, token: str) -> None:
        if self._sessions.pop(token, None) is not None:
            self._forget(token)
