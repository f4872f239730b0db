"""What one server gives to how many: every bound of the studio in one place."""

from __future__ import annotations

from dataclasses import dataclass

from discontrolface.common.errors import UserError


@dataclass(frozen=True)
class Limits:
    """All are at least 1. Sizes in bytes, times in seconds."""

    upload_bytes: int = 30_000_000  # of a photo's file
    pixels: int = 25_000_000  # of a photo, known from its header before a pixel is decoded
    json_bytes: int = 1_500_000  # of any other request; a parameter file has about 20 kB
    upload_seconds: int = 60  # for a request's body to arrive
    sessions: int = 32  # at a time; the one that was left alone for longest makes room
    session_idle: int = 1800  # a session that nobody used for so long is forgotten, with its photo and pictures
    busy_idle: int = 60  # a session that was used within this time is not pushed out by a new one
    faces: int = 24  # of a photo that are offered
    steps_back: int = 100  # of undo
    pictures: int = 12  # in a session's history
    picture_bytes: int = 80_000_000  # of these pictures, together
    waiting_jobs: int = 64  # of all sessions
    session_jobs: int = 3  # of one session, waiting or running
    job_lease: float = 20.0  # a job that nobody asked about for so long stops: its client is gone
    iterations: int = 2000  # of one-shot fine-tuning, at most
    frames: int = 24  # of a sweep

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise UserError(f"the limit {name} = {value} must be above 0")
