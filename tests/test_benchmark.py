"""The benchmark: counts in closed form, percentiles, memory of a known size, verdicts, one whole run of tiny networks. No test asks for a speed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from discontrolface.bench import benchmark as bench
from discontrolface.bench import peer_stages
from discontrolface.bench.benchmark import Benchmark, Measured, Plan, from_json, measure, run_benchmark, to_json
from discontrolface.bench.crowd_stages import SIZES, write_crowd
from discontrolface.bench.groups import GROUPS, USUAL, group_names
from discontrolface.bench.huge_stages import write_huge
from discontrolface.bench.machine import Effort, check_device, count_operations, peak_speed, times_ms
from discontrolface.bench.network_stages import network_stages
from discontrolface.bench.other_stages import run_command
from discontrolface.bench.peer_stages import dome
from discontrolface.bench.report import benchmark_report, memory_verdict, time_verdict
from discontrolface.bench.stage import NotMeasured, Stage
from discontrolface.bench.vs_official import in_turn
from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.common.images import load_photo
from discontrolface.common.snapshot_spec import OPEN_MAPS
from discontrolface.common.usage import peak_growth, process_peak
from discontrolface.editing.reading import Reader
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.diffusion_rig import DiffusionRig
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.gif import GIF
from discontrolface.nets.presets import debug_config, diffusionrig_debug_config, ffhq256_config
from discontrolface.training.config import TrainConfig
from discontrolface.training.cost import count


def networks() -> tuple[DiffAE, ExpFaceNet]:
    torch.manual_seed(0)
    model = DiffAE(**debug_config()).eval().requires_grad_(False)
    return model, ExpFaceNet.from_backbone(model, snapshot_maps=OPEN_MAPS, preview_gate="visibility").eval().requires_grad_(False)


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preset of tiny networks."""
    folder = tmp_path_factory.mktemp("preset")
    model, control = networks()
    model.save_pretrained(folder / "diffae")
    control.save_pretrained(folder / "exp_facenet")
    values = {"name": "debug", "head": "open", "start": "draft", "strength": 0.5, "steps": 2, "one_shot": {"mask_patch": 4, "warps": 32}}
    (folder / "preset.json").write_text(json.dumps(values))
    return folder


# ---- peers


def test_stages_of_the_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture and an iteration of the fit of each, here of small networks."""
    rig = {name: value for name, value in diffusionrig_debug_config().items() if name != "_class_name"}
    small = {"SIZE": 32, "STEP": 3, "RAYS": {4: (8, 8, 8, 8)}, "dome": partial(dome, 12, 15), "EFFORT": Effort(0, 1, 1)}
    small |= {"GIF": partial(GIF, 6, 8, (8, 8, 8, 8), 2), "DiffusionRig": partial(DiffusionRig, **rig)}
    for name, value in small.items():
        monkeypatch.setattr(peer_stages, name, value)
    work: Any = SimpleNamespace(device="cpu")
    measured = [measure(stage, Effort(0, 5, 5)) for stage in GROUPS["peers"](work)]
    assert [m.stage.split(":")[0] for m in measured] == ["GIF", "GIF", "HeadNeRF", "HeadNeRF", "HeadNeRF", "DiffusionRig"]
    assert [m.operations is None for m in measured] == [False, True, True, False, True, False], "counted in pictures, not in fits"
    assert all(len(m.times) == 1 for m in measured)


# ---- operations


def test_operations_in_closed_form() -> None:
    a, b = torch.zeros(3, 5), torch.zeros(5, 7)
    assert count_operations(lambda: a @ b) == 2 * 3 * 5 * 7
    layer, x = torch.nn.Conv2d(4, 6, 3, padding=1), torch.zeros(2, 4, 8, 9)
    assert count_operations(lambda: layer(x)) == 2 * 2 * 6 * 8 * 9 * 4 * 3 * 3
    q = torch.zeros(1, 2, 16, 8)
    assert count_operations(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q)) == 2 * (2 * 2 * 16 * 16 * 8)
    with torch.no_grad():
        assert count_operations(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q)) == 2 * (2 * 2 * 16 * 16 * 8)


def test_the_papers_networks_take_what_they_should() -> None:
    """0.554 TFLOP a U-Net forward, 0.071 the encoder; counted without computing."""
    with torch.device("meta"):
        model = DiffAE(**ffhq256_config())
        x, z, t = torch.empty(1, 3, 256, 256), torch.empty(1, 512), torch.empty(1, dtype=torch.long)
    assert count_operations(lambda: model(x, t, z)) == pytest.approx(0.554e12, rel=0.01)
    assert count_operations(lambda: model.encode(x)) == pytest.approx(0.071e12, rel=0.01)


def test_stages_of_the_networks_count_by_batch() -> None:
    stages = {(s.name, s.amount): s for s in network_stages(*networks(), (1, 3), "cpu", "tiny: ")}
    assert [*stages] == [(f"tiny: {n}", b) for b in (1, 3) for n in ("encoder", "U-Net", "Exp-FaceNet")]
    for name in ("tiny: encoder", "tiny: U-Net", "tiny: Exp-FaceNet"):
        one, three = (stages[name, b].operations for b in (1, 3))
        assert one is not None
        assert three is not None
        assert three() == 3 * one() > 0


# ---- time and memory


def test_percentiles() -> None:
    m = Measured("s", "", 0, tuple(float(k) for k in range(101)))
    assert (m.percentile(5), m.median, m.percentile(95)) == (5.0, 50.0, 95.0)
    assert Measured("s", "", 0, (1.0, 3.0)).median == 2.0
    assert Measured("s", "", 0, (1.0, 3.0)).percentile(95) == pytest.approx(2.9)
    assert Measured("s", "", 0, (2.0,), operations=6_000_000).speed == 3e9


def test_runs_are_as_many_as_asked_and_their_times_are_true() -> None:
    calls: list[int] = []
    times = times_ms(lambda: (calls.append(1), time.sleep(0.02)), Effort(0.0, 4, 9))
    assert len(times) == len(calls) == 4
    assert all(t > 19.9 for t in times)
    assert len(times_ms(lambda: None, Effort(60.0, 1, 9))) == 9


def test_a_stage_is_warm_before_it_is_timed() -> None:
    calls: list[int] = []
    stage = Stage("s", lambda: calls.append(1), "batch", 2, operations=lambda: calls.append(2) or 7)
    m = measure(stage, Effort(0.0, 3, 3))
    assert calls == [2, 1, 1, 1, 1], "counted, then memory, then three runs"
    assert (m.key, m.operations, len(m.times)) == (("s", "batch", 2), 7, 3)


def test_work_of_minutes_runs_once() -> None:
    calls: list[str] = []

    def long_work() -> float:
        calls.append("the work")
        time.sleep(0.02)
        return 512.0

    m = measure(Stage("s", lambda: calls.append("warm"), once=long_work), Effort(0.0, 3, 3))
    assert calls == ["warm", "the work"]
    assert m.memory == 512.0
    assert len(m.times) == 1
    assert m.times[0] > 19.9


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux's way of measuring memory")
def test_memory_of_a_known_size() -> None:
    megabytes = 64
    grown = peak_growth(lambda: np.ones(megabytes * 2**20, np.uint8).sum())
    assert grown == pytest.approx(megabytes, abs=3)
    kept = np.ones(megabytes * 2**20, np.uint8)
    assert peak_growth(lambda: kept.sum()) < 4, "what was in use before does not count"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux's way of measuring memory")
def test_memory_of_another_process() -> None:
    """Its own: what this one has does not count."""
    held = np.ones(300 * 2**20, np.uint8)
    code = "import time; held = bytearray(b'x') * (64 * 2**20); time.sleep(0.1)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        assert 64 < (process_peak(process) or 0) < 128
    assert held[-1] == 1


def test_memory_of_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its allocator says, read after the device has finished. (The device is pretended: its own figures are not what is tested.)"""
    now, highest, waited = [100 * 2**20], [900 * 2**20], []

    def reset(device: str) -> None:
        highest[0] = now[0]

    def work() -> None:
        highest[0] = now[0] + 30 * 2**20

    module = SimpleNamespace(
        synchronize=lambda *device: waited.append(device),
        reset_peak_memory_stats=reset,
        memory_allocated=lambda device: now[0],
        max_memory_allocated=lambda device: highest[0],
    )
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    assert peak_growth(work, "xpu:1") == 30.0
    assert waited == [(torch.device("xpu:1"),)] * 2
    del module.max_memory_allocated
    assert peak_growth(work, "xpu") is None


def test_peak_speed_is_of_this_machine() -> None:
    peak = peak_speed("cpu", 0.02)
    assert set(peak) == {"matrix product", "convolution"}
    assert all(1e6 < speed < 1e16 for speed in peak.values())


def test_devices_that_are_not_there() -> None:
    assert check_device("cpu") == "cpu"
    for device in ("nonsense", "meta", "xla"):
        with pytest.raises(UserError, match=f"device '{device}' cannot be used here"):
            check_device(device)


# ---- comparing


def timed(*times: float, name: str = "s", memory: float | None = 10.0) -> Measured:
    return Measured(name, "batch", 1, times, memory)


def test_beyond_noise() -> None:
    quiet, slower, noisy = timed(10, 10.1, 10.2), timed(12, 12.1, 12.2), timed(8, 12.1, 16)
    assert time_verdict(quiet, slower) == "slower"
    assert time_verdict(slower, quiet) == "faster"
    assert time_verdict(quiet, quiet) == "within noise"
    assert time_verdict(quiet, noisy) == "within noise"
    assert time_verdict(noisy, quiet) == "within noise"
    assert memory_verdict(100.0, 120.0) == "more memory"
    assert memory_verdict(100.0, 80.0) == "less memory"
    assert memory_verdict(100.0, 109.0) == memory_verdict(1.0, 5.0) == memory_verdict(None, 5.0) == ""


def whole(*stages: Measured, threads: int = 2, peak: float = 1e9) -> Benchmark:
    machine: dict[str, str | int | float] = {"processor": "P", "cores": 2, "threads": threads, "device": "cpu"}
    return Benchmark(
        machine, {"preset": "open", "load before": 0.1, "steadiness": 0.98}, {"matrix product": peak, "convolution": peak / 2}, stages
    )


def test_the_comparison_says_what_changed() -> None:
    before = whole(timed(10, 10, 10, name="a"), timed(5, 5, 5, name="b"), timed(1, name="gone"), threads=1)
    now = whole(timed(20, 20, 20, name="a"), timed(5, 5, 5, name="b"), timed(1, name="new"), peak=2e9)
    section = benchmark_report(now, [("old.json", before)]).sections[0]
    assert section.title == "Compared with old.json"
    assert "Beyond noise: a batch 1 slower (2.00)." in section.text
    assert "2.00 of what it was" in section.text
    assert "threads 1, now 2" in section.text
    assert "only before: gone batch 1" in section.text
    assert "only now: new batch 1" in section.text
    assert section.tables[0].rows == (
        ("a", "batch 1", 10.0, 20.0, 2.0, 1.0, "slower"),
        ("b", "batch 1", 5.0, 5.0, 1.0, 1.0, "within noise"),
    )
    assert "No stage differs" in benchmark_report(now, [("same", now)]).sections[0].text


def test_json_round_trip_and_what_is_refused() -> None:
    measured = replace(whole(timed(1.0, 2.0, 4.0), Measured("n", "", 0, (3.0,), None, 12), peak=8e3), missing=("cold: it failed",))
    text = to_json(measured)
    assert from_json(text, "x") == measured
    row = json.loads(text)["stages"][1]
    assert (row["p50_ms"], row["operations"], row["share_of_peak"]) == (3.0, 12, 0.5)
    for wrong in (
        "",
        "[]",
        "{}",
        text.replace(bench.FORMAT, "other"),
        text.replace('"times_ms": [', '"x": ['),
        text.replace("3.0", "null"),
    ):
        with pytest.raises(UserError, match=r"x\.json is not a benchmark"):
            from_json(wrong, "x.json")


def test_scaling_is_per_picture_and_busy_machines_are_named() -> None:
    stages = [Measured("U-Net", "batch", b, (10.0 * b, 10.0 * b), operations=100) for b in (1, 2, 4)]
    quiet = whole(*stages, Measured("read", "", 0, (5.0,)))
    report = benchmark_report(quiet)
    (plot,) = report.sections[0].plots
    assert (plot.series[0].x, plot.series[0].y) == ((1.0, 2.0, 4.0), (10.0, 10.0, 10.0))
    assert report.summary == "P, threads: 2, device: cpu.\n\nReading a photo takes 5 ms."
    busy = replace(quiet, settings=quiet.settings | {"load before": 3.0})
    assert benchmark_report(busy).summary.startswith("Other programs were running")
    unsteady = replace(quiet, settings=quiet.settings | {"steadiness": 0.4})
    assert "0.40 of what it was at the other" in benchmark_report(unsteady).summary
    assert bench.steadiness([{"a": 2.0, "b": 8.0}, {"a": 5.0, "b": 4.0}]) == 0.625


def test_a_batch_of_edits_beside_single_ones() -> None:
    stages = Measured("edit, one after the other", "targets", 8, (400.0,)), Measured("edit_many", "targets", 8, (300.0,))
    report = benchmark_report(replace(whole(*stages), missing=("cold: it failed",)))
    assert "8 edits as one batch 0.75 of the time of as many edits one after the other" in report.summary.lower()
    assert report.missing == ("cold: it failed",)


def test_groups_by_name(preset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert group_names(None) == USUAL
    assert set(GROUPS) - set(USUAL) == {"full-size", "huge-photo", "crowd", "peers"}, "which need 4 and 2 GB, and minutes"
    assert group_names("cold, read,cold") == ("cold", "read")

    def fails(w: object) -> None:
        raise NotMeasured("no such thing here")

    monkeypatch.setitem(GROUPS, "toy", lambda w: iter([Stage("toy", lambda: None)]))
    monkeypatch.setitem(GROUPS, "lost", fails)
    told: list[tuple[int, int]] = []
    plan = Plan(Effort(0.0, 1, 1), peak_seconds=0.02, groups=("lost", "toy"))
    measured = run_benchmark(plan, preset, progress=lambda done, total: told.append((done, total)))
    assert [m.stage for m in measured.stages] == ["toy"]
    assert measured.missing == ("lost: no such thing here",)
    assert told == [(0, 2), (1, 2)]


def test_a_command_in_a_process_of_its_own() -> None:
    assert run_command(["--help"]) == 0
    assert (run_command(["--help"], process_peak) or 0) > 5, "MB"
    with pytest.raises(NotMeasured, match=r"`discontrolface nonsense` ended with 2: .*nonsense"):
        run_command(["nonsense"])


def test_official_and_ours_take_turns() -> None:
    """So that a machine whose speed drifts is fair to both."""
    order: list[str] = []

    def steps(name: str) -> Iterator[torch.Tensor]:
        for k in range(3):
            order.append(name)
            yield torch.tensor(k)

    last, paces = in_turn({"a": steps("a"), "b": steps("b")})
    assert "".join(order) == "abbaab"
    assert {name: (int(last[name]), len(paces[name])) for name in last} == {"a": (2, 3), "b": (2, 3)}


# ---- all of it


@pytest.fixture(scope="module")
def run(preset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command on tiny networks: a folder with b.json, b.md, b.html."""
    folder = tmp_path_factory.mktemp("run")
    tiny = Plan(Effort(0.0, 1, 1), (1,), (32, 48), (1,), peak_seconds=0.02)
    asked = ("--stages", ",".join(name for name in USUAL if name not in ("cold", "large-photo")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "QUICK", tiny)
        arguments = ["benchmark", "--quick", "--preset", str(preset), *asked, "-o", str(folder / "b.json"), "--report"]
        arguments.append(str(folder / "b.html"))
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (folder / "said.txt").write_text(result.output)
    return folder


RENDERING = ("rasterize", "rasterize both sides", "interpolate 3 channels", "visible vertices")


def test_every_stage_is_there(run: Path) -> None:
    measured = from_json((run / "b.json").read_text(), "b.json")
    keys = [m.key for m in measured.stages]
    assert keys == [
        ("load the networks", "", 0),
        *(
            (f"read: {part}", "", 0)
            for part in ("load the landmark models", "find faces", "landmarks", "crop", "landmark basis", "fit", "light")
        ),
        ("read", "", 0),
        *(("head model", "batch", n) for n in (1, 64)),
        ("render: vertex normals", "", 0),
        *((f"render: {part}", "pixels", n) for n in (32, 48) for part in RENDERING),
        *((part, "pixels", size) for part in ("preview", "snapshot") for size in (32, 48)),
        *((f"preview: {part}", "pixels", 32) for part in ("read the photo", "smile", "jaw open", "yaw 15", "all")),
        *((part, "batch", 1) for part in ("encoder", "U-Net", "Exp-FaceNet")),
        ("personalize: pair of pictures", "", 0),
        ("personalize: iteration", "batch", 1),
        ("edit from noise", "steps", 1),
        ("edit from draft, strength 0.5", "steps", 2),
        ("edit, one after the other", "targets", 8),
        ("edit_many", "targets", 8),
        *((f"synthetic: {part}", "pixels", n) for n in (32, 48) for part in ("scene", "portrait of it", "pair")),
    ]
    assert measured.missing == ()
    assert all(t > 0 for m in measured.stages for t in m.times)
    operations = {m.stage: m.operations for m in measured.stages}
    step = sum(operations[name] for name in ("encoder", "U-Net", "Exp-FaceNet"))  # type: ignore[misc]
    assert step < operations["edit from noise"] < 4 * step, "one step is one forward of each; the rest draws the head"  # type: ignore[operator]
    training = count(TrainConfig(stage="expfacenet", network="debug", snapshot_maps=OPEN_MAPS, preview_gate="visibility"))
    assert operations["personalize: iteration"] == pytest.approx(training.step, rel=0.02), "an iteration is a training step"


def test_the_files_say_the_same(run: Path) -> None:
    page, text, said = (run / "b.html").read_text(), (run / "b.md").read_text(), (run / "said.txt").read_text()
    measured = from_json((run / "b.json").read_text(), "b.json")
    for m in measured.stages:
        assert f"{m.stage}</span></th>" in page
        assert f"| {m.stage} |" in text
        assert f"{m.median:,.1f}" in said
    assert "(b-drawing-by-resolution.svg)" in text
    assert (run / "b-drawing-by-resolution.svg").is_file()


def test_what_the_command_refuses(run: Path, tmp_path: Path) -> None:
    def refused(*arguments: str | Path) -> str:
        result = CliRunner().invoke(app, ["benchmark", "--quick", *(str(a) for a in arguments)])
        assert result.exit_code == 2, result.output
        return result.output

    (tmp_path / "not.json").write_text("{}")
    assert "exists" in refused("-o", run / "b.json")
    assert "exists" in refused("--report", run / "b.html")
    assert "must end in .json" in refused("-o", tmp_path / "b.txt")
    assert "not a benchmark" in refused("--compare", tmp_path / "not.json")
    assert "does not exist" in refused("--compare", tmp_path / "missing.json")
    assert "there are no stages 'reed'; choose from load, read" in refused("--stages", "read,reed")
    assert "cannot be used here" in refused("--device", "nonsense")
    assert "no preset.json" in refused("--preset", tmp_path)
    assert not list(tmp_path.glob("b.*"))


def test_the_huge_photo_is_a_photo_with_the_measured_one_in_its_middle(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).repeat(16, 0).repeat(16, 1).astype(np.uint8)
    write_huge(tmp_path / "huge.jpg", picture, width=700, height=600, subject=256)
    with Image.open(tmp_path / "huge.jpg") as image:
        assert image.size == (700, 600)
        written = np.asarray(image).astype(int)
    middle = written[172:428, 222:478]
    assert np.abs(middle[8::32, 8::32] - picture[4::16, 4::16]).mean() < 8
    assert np.abs(written[:100].mean((0, 1)) - picture.mean((0, 1))).max() < 2


def test_the_crowd_has_as_many_faces_as_it_says(tmp_path: Path) -> None:
    """A corner of it, by the finder: each face is found where it was put."""
    photo = load_photo(example_photo())
    reader = Reader.open()
    placed = write_crowd(tmp_path / "crowd.png", photo.array, reader.read(photo).landmarks.box, columns=4, rows=3)
    assert len(placed) == 12
    crowd = load_photo(tmp_path / "crowd.png")
    assert crowd.size == (800, 600)
    found = [((f.box[0] + f.box[2]) / 2, (f.box[1] + f.box[3]) / 2, f.size) for f in reader.find(crowd)]
    near = [(face, min(found, key=lambda f: np.hypot(f[0] - face[0], f[1] - face[1]))) for face in placed]
    assert sum(np.hypot(f[0] - p[0], f[1] - p[1]) < 0.4 * p[2] and 0.6 < f[2] / p[2] < 1.6 for p, f in near) >= 11
    assert len(found) <= 12
    assert all(SIZES[0] <= size <= SIZES[1] for *_, size in placed)
