"""The studio's HTTP door: what a client may do, and what is refused. After every refusal the server goes on serving."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.networks import write_tiny_preset
from helpers.studio import PHOTO, picture, running, wait_for
from PIL import Image

pytest.importorskip("gradio", reason="the studio's extra is not installed")
from starlette.testclient import TestClient
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.common.provenance import STATEMENT, read_provenance
from discontrolface.editing.editor import Editor
from discontrolface.studio.guard import Access
from discontrolface.studio.limits import Limits
from discontrolface.studio.server import Settings, application, check_address

LIMITS = replace(Limits(), upload_bytes=900_000, json_bytes=20_000, pixels=600_000)


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Editor:
    folder = tmp_path_factory.mktemp("preset")
    return Editor.load(write_tiny_preset(folder), cache=folder / "cache")


@pytest.fixture(scope="module")
def client(editor: Editor) -> Iterator[TestClient]:
    app, studio = application(lambda: editor, Settings(limits=LIMITS))
    with TestClient(app, base_url="http://127.0.0.1:7860", raise_server_exceptions=False) as client:
        yield client
    studio.close()


@pytest.fixture(scope="module")
def owner(client: TestClient) -> dict[str, str]:
    """Headers of a session with a photo."""
    headers = {"X-Studio-Session": client.post("/studio/api/session").json()["session"]}
    state = client.post("/studio/api/photo", content=PHOTO.read_bytes(), headers=headers)
    assert state.status_code == 200, state.text
    return headers


def done(client: TestClient, headers: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    job = client.post("/studio/api/jobs", json=body, headers=headers).json()
    while job["state"] in ("waiting", "running"):
        job = client.get(f"/studio/api/jobs/{job['job']}", params={"wait": 5}, headers=headers).json()
    return job


def test_the_way_of_a_program(client: TestClient, tmp_path: Path) -> None:
    info = client.get("/studio/api/info").json()
    assert {"yaw", "expression.smile", "light"} <= {row["key"] for row in info["controls"]}
    assert info["statement"] == STATEMENT
    headers = {"X-Studio-Session": client.post("/studio/api/session").json()["session"]}
    state = client.post("/studio/api/photo", content=PHOTO.read_bytes(), headers=headers).json()
    assert len(state["photo"]["faces"]) == 1
    still = client.post("/studio/api/preview", json={}, headers=headers)
    moved = client.post("/studio/api/preview", json={"controls": {"yaw": 15}}, headers=headers)
    assert moved.headers["content-type"] == "image/jpeg"
    assert abs(picture(still.content) - picture(moved.content)).mean() > 3
    assert client.post("/studio/api/edit", json={"controls": {"yaw": 15}}, headers=headers).json()["can_undo"]
    assert done(client, headers, {"kind": "render", "sampling": {"steps": 2, "seed": 3}})["state"] == "done"
    (rendered,) = client.get("/studio/api/pictures", headers=headers).json()
    for name in rendered["files"]:
        answer = client.get(f"/studio/api/pictures/{rendered['id']}/{name}", headers=headers)
        assert answer.status_code == 200, name
        assert answer.headers["content-disposition"] == f'attachment; filename="discontrolface-{name}"'
        (tmp_path / name).write_bytes(answer.content)
    record = read_provenance(tmp_path / "photo.png")
    assert record is not None
    assert record["edited"]["yaw"][1] == pytest.approx(15, abs=1e-3)
    text = (tmp_path / "parameters.json").read_bytes()
    assert client.post("/studio/api/undo", headers=headers).json()["edited"] == {}
    assert "yaw" in client.post("/studio/api/parameters", content=text, headers=headers).json()["edited"]
    assert client.delete("/studio/api/session", headers=headers).status_code == 200
    assert client.get("/studio/api/state", headers=headers).status_code == 401


def test_the_page_is_there_and_asks_nobody_else(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    loaded = re.findall(r"""(?:src|href)=["'](https?:)?//""", page.text)
    assert not [link for link in loaded if link]
    for name in ("main.js", "api.js", "stage.js", "panel.js", "pads.js", "photos.js", "studio.css"):
        assert client.get(f"/studio/static/{name}").status_code == 200


def test_nothing_of_one_session_is_seen_by_another(client: TestClient, owner: dict[str, str]) -> None:
    other = {"X-Studio-Session": client.post("/studio/api/session").json()["session"]}
    job = done(client, owner, {"kind": "render", "sampling": {"steps": 1}})
    shown = client.get("/studio/api/pictures", headers=owner).json()[-1]
    assert client.get("/studio/api/state", headers=other).json()["photo"] is None
    assert client.get("/studio/api/pictures", headers=other).json() == []
    for path in (f"jobs/{job['job']}", f"jobs/{job['job']}/picture", f"pictures/{shown['id']}/photo.png", "before", "photo"):
        assert client.get(f"/studio/api/{path}", headers=owner).status_code == 200
        assert client.get(f"/studio/api/{path}", headers=other).status_code == 400
    assert client.delete(f"/studio/api/jobs/{job['job']}", headers=other).status_code == 400


def bomb() -> bytes:
    out = io.BytesIO()
    Image.new("L", (20_000, 20_000)).save(out, "PNG", compress_level=9)
    return out.getvalue()


def small(size: tuple[int, int], kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size).save(out, kind)
    return out.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://169.254.169.254/latest/meta-data/"/></svg>'
DEEP = "[" * 9_000 + "]" * 9_000
REFUSED: list[tuple[str, str, str, dict[str, Any], int]] = [  # what, method, path, request, status
    ("a text file as photo", "POST", "photo", {"content": b"not a picture at all" * 20}, 400),
    ("an empty file", "POST", "photo", {"content": b""}, 400),
    ("a program as photo", "POST", "photo", {"content": b"\x7fELF" + bytes(500)}, 400),
    ("a PDF as photo", "POST", "photo", {"content": b"%PDF-1.7\n" + bytes(500)}, 400),
    ("an SVG that loads an address", "POST", "photo", {"content": SVG}, 400),
    (
        "a PostScript program",
        "POST",
        "photo",
        {"content": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) (r) file\n"},
        400,
    ),
    ("an address instead of a photo", "POST", "photo", {"json": {"url": "http://169.254.169.254/latest/meta-data/"}}, 400),
    ("a file address instead of a photo", "POST", "photo", {"content": b"file:///etc/passwd"}, 400),
    (
        "Gradio's way of giving an address",
        "POST",
        "photo",
        {"json": {"path": "http://127.0.0.1:22/", "meta": {"_type": "gradio.FileData"}}},
        400,
    ),
    ("a cut-off photo", "POST", "photo", {"content": PHOTO.read_bytes()[:20_000]}, 400),
    ("a photo with nobody", "POST", "photo", {"content": small((200, 200))}, 400),
    ("a decompression bomb", "POST", "photo", {"content": bomb()}, 400),
    ("too many pixels", "POST", "photo", {"content": small((1000, 601))}, 400),
    ("too few pixels", "POST", "photo", {"content": small((16, 16))}, 400),
    ("a file that is too large", "POST", "photo", {"content": bytes(LIMITS.upload_bytes + 1)}, 413),
    ("a large file in pieces, without its size", "POST", "photo", {"content": (bytes(100_000) for _ in range(12))}, 413),
    ("a request that is too large", "POST", "edit", {"content": b" " * (LIMITS.json_bytes + 1)}, 413),
    ("a form instead of the file", "POST", "photo", {"files": {"file": ("a.png", b"abc")}}, 400),
    ("no JSON", "POST", "edit", {"content": b"{controls:", "headers": {"Content-Type": "application/json"}}, 422),
    ("deep JSON", "POST", "edit", {"content": DEEP.encode(), "headers": {"Content-Type": "application/json"}}, 400),
    ("an unknown field", "POST", "edit", {"json": {"controls": {}, "path": "/etc/passwd"}}, 422),
    ("an unknown control", "POST", "edit", {"json": {"controls": {"__class__": 1}}}, 400),
    ("a value out of range", "POST", "edit", {"json": {"controls": {"yaw": 1e308}}}, 400),
    ("no number", "POST", "edit", {"content": b'{"controls": {"yaw": NaN}}', "headers": {"Content-Type": "application/json"}}, 400),
    ("text for a number", "POST", "preview", {"json": {"controls": {"yaw": "15; rm -rf /"}}}, 400),
    ("a huge preview", "POST", "preview", {"json": {"size": 100_000}}, 400),
    ("a thousand controls", "POST", "edit", {"json": {"controls": {f"c{k}": 1 for k in range(1000)}}}, 422),
    ("a face that is not there", "POST", "face", {"json": {"face": -1}}, 400),
    ("endless steps", "POST", "jobs", {"json": {"kind": "render", "sampling": {"steps": 100_000}}}, 400),
    ("endless frames", "POST", "jobs", {"json": {"kind": "sweep", "sweep": {"control": "yaw", "start": 0, "end": 1, "frames": 9999}}}, 400),
    ("an unknown job", "GET", "jobs/AAAAAAAAAAAA", {}, 400),
    ("a wait for ever", "GET", "jobs/AAAAAAAAAAAA?wait=1e9", {}, 422),
    ("another program as the job", "POST", "jobs", {"json": {"kind": "os.system"}}, 422),
    ("parameters that are no text", "POST", "parameters", {"content": b"\xff\xfe\x00"}, 400),
    ("parameters of another program", "POST", "parameters", {"content": b'{"format": "pickle"}'}, 400),
    ("parameters with endless numbers", "POST", "parameters", {"content": b'{"yaw": 1e999}'}, 400),
    ("a picture outside the history", "GET", "pictures/..%2f..%2fetc/passwd", {}, 404),
    ("a file outside the picture", "GET", "pictures/AAAA/..%5c..%5cpasswd", {}, 404),
]


@pytest.mark.parametrize(("method", "path", "request_", "status"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(client: TestClient, owner: dict[str, str], method: str, path: str, request_: dict[str, Any], status: int) -> None:
    request_ = dict(request_)
    headers = {**owner, **request_.pop("headers", {})}
    before = client.get("/studio/api/state", headers=owner).json()
    answer = client.request(method, f"/studio/api/{path}", headers=headers, **request_)
    assert answer.status_code == status, answer.text
    sentence = answer.json()["error"]
    assert 5 < len(sentence) < 2000  # an unknown name is answered with those that are known
    assert "\n" not in sentence.strip()
    assert "/work" not in sentence
    assert "Traceback" not in sentence
    assert client.get("/studio/api/state", headers=owner).json() == before  # it goes on serving, and nothing has changed


@pytest.mark.parametrize("token", ["", "forged", "A" * 43, "../../etc/passwd", "null", "0", "' OR 1=1 --"])
def test_a_forged_session_is_nobody(client: TestClient, owner: dict[str, str], token: str) -> None:
    for method, path in (("GET", "state"), ("POST", "undo"), ("GET", "pictures"), ("GET", "before"), ("DELETE", "session")):
        answer = client.request(method, f"/studio/api/{path}", headers={"X-Studio-Session": token})
        assert answer.status_code == 401
    near = owner["X-Studio-Session"][:-1] + ("A" if owner["X-Studio-Session"][-1] != "A" else "B")
    assert client.get("/studio/api/state", headers={"X-Studio-Session": near}).status_code == 401
    assert client.get("/studio/api/state", headers=owner).status_code == 200


GRADIO_WAYS = (
    *("/gradio_api/file=/etc/passwd", "/gradio_api/proxy=http://169.254.169.254/", "/gradio_api/upload", "/gradio_api/run/predict"),
    *(
        "/gradio_api/queue/join",
        "/gradio_api/component_server",
        "/gradio_api/vibe-edit",
        "/gradio_api/info",
        "/file=/etc/passwd",
        "/config",
    ),
    *("/gradio_api/deep_link", "/monitoring", "/docs", "/openapi.json", "/login", "/gradio_api/call/predict", "/gradio_api/startup-events"),
)
TRAVERSALS = (
    *("/studio/static/../server.py", "/studio/static/..%2fserver.py", "/studio/static/%2e%2e/server.py", "/assets/..%5c..%5cserver.py"),
    *("/static/....//....//etc/passwd", "/studio/static//etc/passwd", "/studio/static/%00", "/assets/%252e%252e/x", "/studio/static/"),
)


@pytest.mark.parametrize("path", [*GRADIO_WAYS, *TRAVERSALS])
def test_other_ways_are_not_there(client: TestClient, path: str) -> None:
    for method in ("GET", "POST"):
        assert client.request(method, path).status_code in (404, 405)
    assert client.get("/studio/api/health").status_code == 200


def test_only_our_own_page_may_change_anything(client: TestClient, owner: dict[str, str]) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert client.post("/studio/api/undo", headers={**owner, **headers}).status_code == 403
    assert client.get("/", headers={"Host": "evil.example:7860"}).status_code == 421  # a name that was turned to this machine
    assert client.post("/studio/api/reset", headers={**owner, "Origin": "http://127.0.0.1:7860"}).status_code == 200


def test_user_and_password(editor: Editor) -> None:
    app, studio = application(lambda: editor, Settings(credentials="ada:correct horse"))

    def basic(text: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    with TestClient(app, base_url="http://localhost:7860") as client:
        for headers in ({}, basic("ada:wrong"), basic("ada"), basic(":"), {"Authorization": "Basic %%%"}, {"Authorization": "Bearer x"}):
            for path in ("/", "/studio/api/health", "/studio/static/main.js"):
                answer = client.get(path, headers=headers)
                assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic")
        assert client.get("/", headers=basic("ada:correct horse")).status_code == 200
    studio.close()
    for wrong in ("ada", "ada:", ":x"):
        with pytest.raises(UserError, match="user:password"):
            Access(credentials=wrong)


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="choose another --port"):
        check_address(Settings(port=taken.getsockname()[1]))
    with pytest.raises(UserError, match="cannot listen"):
        check_address(Settings(host="203.0.113.7"))


def test_the_command_says_what_is_wrong_before_it_loads_anything() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        wrong = {
            "choose another --port": ["--port", port],
            "user:password": ["--auth", "ada", "--port", "1"],
            "no preset.json in": ["--preset", "/nowhere/at/all"],
            "give one of them": ["--cache-dir", "x", "--no-keep-personal"],
        }
        for sentence, options in wrong.items():
            done = CliRunner().invoke(app, ["studio", *options])
            assert done.exit_code == 2, done.output
            assert sentence in " ".join(done.output.split())


def test_a_client_that_disconnects_frees_the_device(editor: Editor) -> None:
    """Over a real socket: the client begins long work and is gone; the next one's turn comes."""
    with running(lambda: editor, Settings(limits=replace(Limits(), job_lease=0.5))) as address:

        def call(path: str, data: bytes | None, session: str = "") -> Any:
            request = urllib.request.Request(
                f"{address}/studio/api/{path}", data, {"X-Studio-Session": session, "Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)

        sessions = [call("session", b"")["session"] for _ in range(2)]
        for session in sessions:
            call("photo", PHOTO.read_bytes(), session)
        lost = call("jobs", b'{"kind": "personalize", "iterations": 2000}', sessions[0])
        job = call("jobs", b'{"kind": "network", "sampling": {"steps": 1}}', sessions[1])
        wait_for(lambda: call(f"jobs/{job['job']}?wait=1", None, sessions[1])["state"] == "done")
        assert call(f"jobs/{lost['job']}", None, sessions[0])["state"] == "cancelled"
