"""The studio without the web: sessions, undo, jobs in order, cancelling within a step, pictures that say that they are edited."""

from __future__ import annotations

import io
import json
import threading
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers.networks import write_tiny_preset
from helpers.studio import PHOTO, picture, two_faces, wait_for
from PIL import Image

from discontrolface.common.errors import Cancelled, UserError
from discontrolface.common.images import decode_photo, save_photo
from discontrolface.common.provenance import STATEMENT, read_provenance
from discontrolface.common.video import clip_frames
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.editor import Editor
from discontrolface.face.controls import CONTROLS
from discontrolface.studio import downloads
from discontrolface.studio.control_rows import control_values
from discontrolface.studio.jobs import Busy, DeviceQueue, Job
from discontrolface.studio.limits import Limits
from discontrolface.studio.looks import LOOKS
from discontrolface.studio.service import Studio
from discontrolface.studio.session import Session, SessionStore
from discontrolface.studio.work import QUICK, Choices, SweepOf, quick


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Editor:
    folder = tmp_path_factory.mktemp("preset")
    return Editor.load(write_tiny_preset(folder), cache=folder / "cache")


@pytest.fixture(scope="module")
def studio(editor: Editor) -> Studio:
    return Studio(lambda: editor)


@pytest.fixture
def session(studio: Studio) -> Session:
    session = studio.sessions.create()
    studio.open_photo(session, PHOTO.read_bytes())
    return session


def finished(studio: Studio, session: Session, job: Job) -> Job:
    def done() -> bool:
        return studio.queue.find(session.token, job.id).finished

    wait_for(done)
    return job


# ---- controls


def test_there_is_a_row_for_every_recorded_control(studio: Studio) -> None:
    keys = {row.key for row in studio.rows()}
    assert {"yaw", "gaze_pitch", "expression.jawOpen", "expression.eyeBlinkLeft", "shape.0", "light", "light_rotation"} <= keys
    assert "turn_yaw" not in keys  # yaw has a slider of its own
    recorded = {row.key for row in studio._average.controls.controls if row.recorded and row.read is not None}
    assert recorded <= keys
    also = {name for row in studio.rows() for name in row.also}
    assert {"openMouth", "winkLeft", "puff"} <= also  # short names are found by the search


def test_a_registered_control_is_a_row(studio: Studio) -> None:
    row = next(control for control in CONTROLS.table.of("yaw"))
    CONTROLS.register(replace(row, name="nod", label="Nod"))
    try:
        assert any(row.key == "nod" and row.label == "Nod" for row in studio.rows())
    finally:
        CONTROLS.remove("nod")


def test_every_look_changes_the_face(studio: Studio, session: Session) -> None:
    seen = []
    for name in LOOKS:
        studio.look(session, name)
        seen.append(session.track.target.expression.tobytes())
    assert len(set(seen)) == len(LOOKS) == len(studio.looks())


# ---- edits


def test_values_are_what_was_read_and_then_what_was_set(studio: Studio, session: Session) -> None:
    person = session.track.person
    assert studio.state(session)["values"] == control_values(person.parameters)
    studio.edit(session, {"yaw": 12.5, "expression.jawOpen": 0.4})
    state = studio.state(session)
    assert state["values"]["yaw"] == pytest.approx(12.5, abs=1e-3)
    assert state["values"]["expression.jawOpen"] == pytest.approx(0.4)
    assert set(state["edited"]) == {"yaw", "expression.jawOpen"}


def test_undo_and_redo_go_through_exact_targets(studio: Studio, session: Session) -> None:
    targets = [session.track.target]
    for k in range(3):
        studio.edit(session, {"yaw": 5 * k + 5})
        targets.append(session.track.target)
    for target in targets[-2::-1]:
        studio.undo(session)
        assert session.track.target == target
    with pytest.raises(UserError, match="nothing to undo"):
        studio.undo(session)
    for target in targets[1:]:
        studio.redo(session)
        assert session.track.target == target
    studio.undo(session)
    studio.neutral(session)
    with pytest.raises(UserError, match="nothing to redo"):
        studio.redo(session)


def test_a_face_that_is_hardly_seen_is_said(studio: Studio, session: Session) -> None:
    assert studio.state(session)["remarks"] == []
    person = session.track.person
    session.track.person = replace(person, landmarks=replace(person.landmarks, score=0.05))
    (remark,) = studio.state(session)["remarks"]
    assert "not to be trusted" in remark


def test_a_wrong_edit_changes_nothing(studio: Studio, session: Session) -> None:
    before = session.track.target
    for wrong in ({"yaw": 200}, {"yaw": float("nan")}, {"nose_ring": 1}, {"yaw": "left"}, {"expression.smyle": 1}, {"light": "disco"}):
        with pytest.raises(UserError):
            studio.edit(session, wrong)
    assert session.track.target is before
    assert not session.track.back


def test_the_lamp_comes_from_where_it_is_put(studio: Studio, session: Session) -> None:
    studio.light_from(session, (-1.0, 0.0, 0.3))
    left = picture(studio.preview(session, size=128))
    studio.light_from(session, (1.0, 0.0, 0.3))
    right = picture(studio.preview(session, size=128))
    middle = slice(40, 100), slice(40, 64), slice(64, 88)
    side = [right[middle[0], part].mean() - left[middle[0], part].mean() for part in middle[1:]]
    assert side[1] - side[0] > 10  # the picture's right side gained against its left side
    with pytest.raises(UserError, match="direction"):
        studio.light_from(session, (0.0, 0.0, 0.0))


def test_the_lamp_that_is_shown_is_the_one_that_lights(studio: Studio, session: Session) -> None:
    read = studio.state(session)["light"]
    assert np.hypot.reduce(read["direction"]) == pytest.approx(1, abs=1e-3)
    assert 0 <= read["strength"] <= 1
    for direction in ((-1.0, 0.0, 0.3), (0.5, 0.7, 0.4), (0.0, -0.6, 0.8), (0.1, 0.2, 0.9)):
        studio.light_from(session, direction)
        shown = studio.state(session)["light"]
        assert shown["direction"] == pytest.approx(np.array(direction) / np.hypot.reduce(direction), abs=0.02)
        assert shown["strength"] == pytest.approx(0.4, abs=0.01)  # what a lamp that is put adds
        factors, (x, y, z) = np.array(shown["sphere"]), np.array(direction) / np.hypot.reduce(direction)
        ball = [
            factors @ [1, *n, n[0] * n[1], n[0] * n[2], n[1] * n[2], n[0] ** 2 - n[1] ** 2, 3 * n[2] ** 2 - 1]
            for n in ((x, y, z), (-x, -y, z))
        ]
        if z < 0.8:
            assert (ball[0] > ball[1] + 0.1).all()  # the ball is brighter where the lamp stands
    studio.edit(session, {"light": "even"})
    assert studio.state(session)["light"]["strength"] == pytest.approx(0, abs=0.01)
    studio.reset(session)
    assert studio.state(session)["light"] == read


def test_copy_takes_the_chosen_face(studio: Studio, session: Session) -> None:
    with pytest.raises(UserError, match="photo to copy from"):
        studio.copy(session, ["expression"])
    studio.open_other(session, two_faces())
    assert len(session.others) == 2
    studio.copy(session, ["pose"], face=1)
    asked, given = session.track.target, session.others[1].parameters
    assert (asked.yaw, asked.pitch) == pytest.approx((given.yaw, given.pitch), abs=0.01)
    with pytest.raises(UserError, match="no face 2"):
        studio.copy(session, ["pose"], face=2)
    with pytest.raises(UserError, match="unknown part"):
        studio.copy(session, ["ears"])


def test_parameters_go_out_and_in(studio: Studio, session: Session) -> None:
    studio.edit(session, {"yaw": 9, "expression.jawOpen": 0.3})
    text = session.track.target.to_json()
    wanted = session.track.target
    studio.reset(session)
    assert session.track.target == session.track.person.parameters
    studio.load_parameters(session, text)
    assert session.track.target == wanted
    with pytest.raises(UserError, match="parameter file"):
        studio.load_parameters(session, '{"yaw": 1e999}')


def test_faces_are_edited_each_on_its_own(studio: Studio, session: Session) -> None:
    studio.open_photo(session, two_faces())
    state = studio.state(session)
    (left, *_), (right, *_) = state["photo"]["faces"]
    assert left < 0.5 < right  # the larger one first
    studio.edit(session, {"yaw": 20})
    session.choose(1)
    assert studio.state(session)["edited"] == {}
    session.choose(0)
    assert "yaw" in studio.state(session)["edited"]


# ---- pictures


def test_the_preview_follows_and_changes_nothing(studio: Studio, session: Session) -> None:
    still = picture(studio.preview(session, size=256))
    moved = picture(studio.preview(session, {"yaw": 15}, size=256))
    assert np.abs(still - moved).mean() > 3
    assert np.abs(still - picture(studio.before(session, 256))).mean() < 1  # nothing is edited yet
    assert not session.track.back
    for layer in ("mesh", "normals"):
        assert np.abs(picture(studio.preview(session, layer=layer, size=256)) - still).mean() > 3


def test_a_render_is_the_editors_own_picture_and_says_that_it_is_edited(studio: Studio, session: Session, tmp_path: Path) -> None:
    studio.edit(session, {"yaw": 10})
    choices = Choices({"steps": 3, "seed": 7})
    job = finished(studio, session, studio.submit(session, "render", choices))
    assert job.state == "done", job.error
    shown = session.pictures[-1]
    own = studio.editor.edit(session.track.person, session.track.target, steps=3, seed=7)
    assert np.array_equal(picture(downloads.file_of(shown, "photo.png", False)[0]), np.asarray(own.image).astype(int))
    for name in downloads.names(shown):
        data, kind = downloads.file_of(shown, name, False)
        path = tmp_path / name
        path.write_bytes(data)
        if kind.startswith("image/"):
            record = read_provenance(path)
            assert record is not None
            assert (record["statement"], record["seed"], record["steps"]) == (STATEMENT, 7, 3)
    glb = (tmp_path / "head.glb").read_bytes()
    document = json.loads(glb[20 : 20 + int.from_bytes(glb[12:16], "little")])
    assert document["asset"]["extras"]["statement"] == STATEMENT


def test_a_render_keeps_the_photos_own_depth(studio: Studio, tmp_path: Path) -> None:
    small = np.asarray(Image.open(PHOTO).convert("RGB")).astype(np.uint16)[:300, 60:420] * 257 + 3
    save_photo(small, tmp_path / "deep.png")
    session = studio.sessions.create()
    studio.open_photo(session, (tmp_path / "deep.png").read_bytes())
    studio.edit(session, {"expression.jawOpen": 0.4})
    finished(studio, session, studio.submit(session, "render", Choices({"steps": 1})))
    data = downloads.file_of(session.pictures[-1], "photo.png", False)[0]
    written = decode_photo(data, Path("x")).native
    assert written is not None
    assert written.values.dtype == np.uint16
    assert np.array_equal(written.values[:20], small[:20])  # above the head nothing changed, to the bit
    jpg = picture(downloads.file_of(session.pictures[-1], "photo.jpg", False)[0])
    assert np.abs(jpg - (written.values / 257)).mean() < 2


def test_the_visible_mark_is_in_the_corner_alone(studio: Studio, session: Session) -> None:
    finished(studio, session, studio.submit(session, "render", Choices({"steps": 1})))
    plain = picture(downloads.file_of(session.pictures[-1], "photo.png", False)[0])
    marked = picture(downloads.file_of(session.pictures[-1], "photo.png", True)[0])
    rows, columns = np.nonzero(np.abs(plain - marked).sum(-1))
    assert len(rows) > 200
    assert rows.min() > 0.9 * plain.shape[0]
    assert columns.min() > 0.75 * plain.shape[1]


def test_a_sweep_is_a_moving_picture(studio: Studio, session: Session, tmp_path: Path) -> None:
    for network in (False, True):
        job = finished(studio, session, studio.submit(session, "sweep", sweep=SweepOf("yaw", -10, 10, 4, network)))
        assert job.state == "done", job.error
        (tmp_path / "sweep.gif").write_bytes(session.pictures[-1].files["sweep.gif"])
        with Image.open(tmp_path / "sweep.gif") as moving:
            assert moving.n_frames == 6  # there and back
        record = read_provenance(tmp_path / "sweep.gif")
        assert record is not None
        assert record["edited"] == {"yaw": [-10.0, 10.0]}
        if find_spec("av") is not None:
            (tmp_path / "sweep.mp4").write_bytes(session.pictures[-1].files["sweep.mp4"])
            assert len(list(clip_frames(tmp_path / "sweep.mp4"))) == 6
    for wrong in (SweepOf("yaw", -10, 10, 1000), SweepOf("yaw", -100, 10), SweepOf("moon", 0, 1)):
        with pytest.raises(UserError):
            studio.submit(session, "sweep", sweep=wrong)


def test_the_quick_picture_asks_the_networks_a_few_times_only() -> None:
    assert quick(Sampling(steps=20)).predictions == QUICK
    assert quick(Sampling(steps=10, start="draft", strength=0.3)).predictions == 3  # few already: as it is
    assert quick(Sampling(steps=50, start="predicted", strength=0.2)).predictions <= QUICK


# ---- personalize, cancel


def test_personalizing_is_cancelled_within_a_step_and_keeps_nothing(editor: Editor, tmp_path: Path) -> None:
    own = Editor(editor.preset, editor.reader, cache=tmp_path / "cache")
    person = own.read(PHOTO)
    settings = replace(own.settings, iterations=50, warps=2)
    heard = []

    def stop(done: int, total: int, loss: float) -> None:
        heard.append((done, total))
        if len(heard) == stops[0]:
            raise Cancelled

    for stops in ([1], [4]):  # while pairs are made, and in the second iteration
        heard.clear()
        with pytest.raises(Cancelled):
            own.personalize(person, settings, progress=stop)
        assert heard == [(0, 50), (0, 50), (1, 50), (2, 50)][: stops[0]]
    assert not list((tmp_path / "cache").glob("*.safetensors"))


def test_an_edit_is_cancelled_within_a_step(editor: Editor) -> None:
    person = editor.read(PHOTO)
    steps = []

    def stop(step: object) -> None:
        steps.append(step)
        raise Cancelled

    with pytest.raises(Cancelled):
        editor.edit(person, person.parameters, stop, steps=4)
    assert len(steps) == 1


def test_personalize_has_progress_and_can_be_cancelled(studio: Studio, session: Session) -> None:
    job = studio.submit(session, "personalize", iterations=500)
    wait_for(lambda: studio.queue.find(session.token, job.id).done >= 2)
    assert job.seconds_left is not None
    job.cancel()
    done = job.done
    assert finished(studio, session, job).state == "cancelled"
    assert job.done <= done + 1
    assert session.track.person.personal is None
    job = finished(studio, session, studio.submit(session, "personalize", iterations=2))
    assert job.state == "done", job.error
    assert session.track.person.personal is not None
    with pytest.raises(UserError, match="out of range"):
        studio.submit(session, "personalize", iterations=10**9)


# ---- the queue


def steps(job: Job, count: int = 400) -> None:
    for k in range(count):
        job.progress(k + 1, count)
        time.sleep(0.005)


def test_jobs_run_in_the_order_in_which_they_came() -> None:
    queue = DeviceQueue(Limits())
    order: list[str] = []
    gate = threading.Event()
    first = queue.submit("a", "render", lambda job: gate.wait(10))
    jobs = [queue.submit(owner, "render", lambda job, owner=owner: order.append(owner)) for owner in "bcdef"]
    assert [queue.position(job) for job in jobs] == [1, 2, 3, 4, 5]
    gate.set()
    wait_for(lambda: all(job.finished for job in (first, *jobs)))
    assert order == list("bcdef")
    queue.close()


def test_a_client_that_is_gone_frees_its_job() -> None:
    queue = DeviceQueue(replace(Limits(), job_lease=0.3))
    begin = time.monotonic()
    lost = queue.submit("gone", "render", steps)
    alive = queue.submit("here", "render", lambda job: "made")
    wait_for(lambda: queue.find("here", alive.id).finished)
    assert (lost.state, alive.result) == ("cancelled", "made")
    assert time.monotonic() - begin < 1.5  # not the two seconds that the job would have taken
    queue.close()


def test_a_newer_picture_replaces_an_older_one_and_shares_are_kept() -> None:
    queue = DeviceQueue(replace(Limits(), session_jobs=2, waiting_jobs=3))
    old = queue.submit("a", "network", steps, replaces=True)
    new = queue.submit("a", "network", lambda job: 1, replaces=True)
    wait_for(lambda: new.finished)
    assert (old.state, new.state) == ("cancelled", "done")
    blocked = queue.submit("b", "render", steps)
    wait_for(lambda: blocked.state == "running")
    queue.submit("b", "render", steps)
    with pytest.raises(Busy, match="2 jobs"):
        queue.submit("b", "render", steps)
    queue.submit("c", "render", steps)
    queue.submit("c", "render", steps)
    with pytest.raises(Busy, match="waiting"):
        queue.submit("d", "render", steps)
    with pytest.raises(UserError, match="no such job"):
        queue.find("c", blocked.id)  # another's
    queue.cancel_all("b")
    queue.close()


def test_a_fault_of_a_job_is_a_sentence_and_the_queue_goes_on() -> None:
    queue = DeviceQueue(Limits())

    def wrong(job: Job) -> None:
        raise UserError("the photo is too dark")

    def broken(job: Job) -> None:
        raise ZeroDivisionError("secret path /home/x")

    jobs = [queue.submit("a", "render", work) for work in (wrong, broken)]
    wait_for(lambda: all(job.finished for job in jobs))
    assert jobs[0].error == "the photo is too dark"
    assert "secret" not in jobs[1].error
    assert jobs[1].state == "failed"
    queue.close()


# ---- sessions


def test_sessions_end_when_they_are_left_alone() -> None:
    ended: list[str] = []
    busy: set[str] = set()
    store = SessionStore(replace(Limits(), session_idle=1, sessions=3, busy_idle=1), ended.append, busy.__contains__)
    idle, working = store.create(), store.create()
    busy.add(working.token)
    idle.seen -= 2
    working.seen -= 2
    assert store.find(idle.token) is None
    assert store.find(working.token) is working
    assert ended == [idle.token]
    assert store.find("forged") is None


def test_a_full_house_pushes_out_who_has_no_photo_first(studio: Studio, session: Session) -> None:
    store = SessionStore(replace(Limits(), sessions=2), lambda token: None, lambda token: False)
    with_photo, empty = store.create(), store.create()
    with_photo.tracks = session.tracks
    newest = store.create()
    assert store.find(empty.token) is None
    assert store.find(with_photo.token) is with_photo
    newest.tracks = session.tracks
    with pytest.raises(UserError, match="places"):
        store.create()


def test_the_history_stays_within_its_bytes(studio: Studio, session: Session) -> None:
    finished(studio, session, studio.submit(session, "render", Choices({"steps": 1})))
    one = session.pictures[0]
    small = Session(replace(Limits(), pictures=10, picture_bytes=int(2.5 * one.bytes)))
    for k in range(5):
        small.keep(replace(one, id=str(k)))
    assert [picture.id for picture in small.pictures] == ["3", "4"]
    session.start([session.track.person])
    assert session.pictures[0].person is None  # another photo: the head before is let go
    assert "head.glb" not in downloads.names(session.pictures[0])


def test_uploads_are_bounded(studio: Studio, session: Session) -> None:
    small = Studio(lambda: studio.editor, replace(Limits(), pixels=10_000))
    with pytest.raises(UserError, match="megapixels"):
        small.open_photo(small.sessions.create(), PHOTO.read_bytes())
    bomb = io.BytesIO()
    Image.new("L", (20_000, 20_000)).save(bomb, "PNG")  # 50 kB that unpack to 400 MB
    with pytest.raises(UserError, match="megapixels"):
        studio.open_photo(session, bomb.getvalue())
    small.close()


def test_an_editor_that_does_not_load_says_so() -> None:
    def load() -> Editor:
        raise UserError("the preset is incomplete")

    broken = Studio(load)
    with pytest.raises(UserError, match="the preset is incomplete"):
        _ = broken.editor
    broken.close()
