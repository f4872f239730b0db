"""The command and what is behind it: carrying on, others' pictures, photos and shards, what is said of what is missing."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.common.pixels import to_float, to_uint8
from discontrolface.common.statistics import Estimate
from discontrolface.editing import method as method_room
from discontrolface.editing.editor import Editor
from discontrolface.editing.method import Method, MethodContext, MethodEntry, method_table, register_method
from discontrolface.editing.personalize import OPEN_ONE_SHOT
from discontrolface.editing.pipeline import PreparedEdit
from discontrolface.evaluation import methods, metrics, run, set_distances, trials
from discontrolface.evaluation.outputs import parse_outputs, read_output, write_inputs
from discontrolface.evaluation.parts import Batch
from discontrolface.evaluation.report import evaluation_report
from discontrolface.evaluation.results_page import write_results
from discontrolface.evaluation.run import Measures, Setup, evaluate
from discontrolface.evaluation.trials import HeldOutPairs, PhotoEdits, ShardEdits, trials_of
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import debug_config
from discontrolface.reports import to_markdown
from discontrolface.reports.content import Report, Table

PHOTO = example_photo()
QUICK = Measures(identity=False)
DRAWN = functools.lru_cache(maxsize=16)(trials.make_pair)


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preset of 32 pixels with random weights, as a folder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("preset")
    model = DiffAE(**debug_config()).eval()
    control = ExpFaceNet.from_backbone(model, snapshot_maps=("normals", "lambertian", "preview", "visibility"), preview_gate="visibility")
    model.save_pretrained(folder / "diffae")
    control.save_pretrained(folder / "exp_facenet")
    (folder / "preset.json").write_text(
        json.dumps({"name": "debug", "head": "open", "start": "draft", "strength": 0.5, "steps": 2, "one_shot": {"lr": 1e-4, "warps": 32}})
    )
    return folder


@pytest.fixture
def setup(preset: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setattr(trials, "BATCH", 2)
    return Setup(preset, None, HeldOutPairs(4), ("photo", "warp", "draft"), (), QUICK, None, None, "cpu")


@pytest.fixture
def reading() -> None:
    """Of a test that reads its pictures again."""


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are drawn once; pictures of 32 pixels are not read again but where a test says so (test_metrics.py is about that)."""
    monkeypatch.setattr(trials, "make_pair", DRAWN)
    if "reading" not in request.fixturenames:
        monkeypatch.setattr(metrics, "read_picture", lambda *_: None)


def without_costs(result: dict[str, Any]) -> str:
    """As JSON, but for the seconds, which no two runs have in common."""
    return json.dumps({key: value for key, value in result.items() if key != "costs"})


def tables(report: Report) -> dict[str, Table]:
    return {table.title: table for section in report.sections for table in section.tables}


# ---- carrying on


@pytest.mark.heavy
@pytest.mark.usefixtures("reading")
def test_an_interrupted_run_ends_as_one_that_was_not(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(setup, tmp_path / "whole.json")
    assert [edit["name"] for edit in whole["edits"]] == [f"pair-{1_000_000 + k}" for k in range(4)]

    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert total == 4
        if done == 2:
            raise StopError

    with pytest.raises(StopError):
        evaluate(setup, tmp_path / "part.json", progress=stop)
    made: list[int] = []
    measure = run.measure_batch
    monkeypatch.setattr(run, "measure_batch", lambda job: made.append(job.number) or measure(job))
    steps: list[tuple[int, int]] = []
    resumed = evaluate(setup, tmp_path / "part.json", progress=lambda *given: steps.append(given))
    assert made == [1]
    assert steps == [(2, 4), (4, 4)]
    assert without_costs(resumed) == without_costs(whole)


@pytest.mark.heavy
@pytest.mark.usefixtures("reading")
def test_processes_give_what_one_gives(setup: Setup, tmp_path: Path) -> None:
    """Whole batches only, so that the pool's own processes, which know no monkeypatch, make the same."""
    setup = replace(setup, methods=("photo", "warp"), trials=HeldOutPairs(2))
    one, two = (evaluate(setup, tmp_path / f"{n}.json", processes=n) for n in (1, 2))
    jobs = [run.Job(setup, number, (number,), tmp_path / "pool") for number in (0, 1)]
    (tmp_path / "pool").mkdir()
    assert sorted(run.run_jobs(jobs, 2)) == [1, 1]
    lines = [line for job in jobs for line in Batch(job.figures).lines(("photo", "warp"))]
    assert lines == one["edits"] == two["edits"]


def test_more_pairs_go_on_where_fewer_ended(setup: Setup, tmp_path: Path) -> None:
    few = evaluate(replace(setup, trials=HeldOutPairs(2)), tmp_path / "a.json")
    many = evaluate(setup, tmp_path / "a.json")
    assert many["edits"][:2] == few["edits"]
    assert len(many["edits"]) == 4


def test_more_methods_go_on_where_fewer_ended(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(setup, tmp_path / "whole.json")
    evaluate(replace(setup, methods=("draft",), trials=HeldOutPairs(2)), tmp_path / "a.json")
    evaluate(replace(setup, methods=("warp",)), tmp_path / "a.json")
    made: list[tuple[int, tuple[str, ...]]] = []
    measure = run.measure_batch
    monkeypatch.setattr(run, "measure_batch", lambda job: made.append((job.number, job.setup.names)) or measure(job))
    together = evaluate(setup, tmp_path / "a.json")
    assert made == [(0, ("photo",)), (1, ("photo", "draft"))]
    assert without_costs(together) == without_costs(whole)
    assert (tmp_path / "a.parts" / "sheet.png").read_bytes() == (tmp_path / "whole.parts" / "sheet.png").read_bytes()
    fewer = evaluate(replace(setup, methods=("warp",)), tmp_path / "a.json")
    assert [list(edit["methods"]) for edit in fewer["edits"]] == [["warp"]] * 4
    assert len(made) == 2


def test_what_pictures_cost_is_measured_beside_them(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that sleeps and holds memory says so; what was measured stays when more is added."""

    def slow(context: MethodContext) -> Method:
        def call(edits: Sequence[PreparedEdit]) -> list[Any]:
            kept = np.ones(64 * 2**20, np.uint8)
            time.sleep(0.2 * len(edits))
            return [edit.person.crop.resize(edit.size).image // kept[-1] for edit in edits]

        return call

    monkeypatch.setattr(method_room, "_METHODS", dict(method_table()))
    register_method("slow", MethodEntry("slow", slow, usual=False))
    before = evaluate(replace(setup, methods=("slow",)), tmp_path / "a.json")["costs"]["slow"]
    assert before["seconds"] >= 0.2
    assert before["batches"] == 2
    assert before["megabytes"] is None or before["megabytes"] > 60
    result = evaluate(replace(setup, methods=("photo", "slow")), tmp_path / "a.json")
    assert result["costs"]["slow"] == before
    assert result["costs"]["photo"]["batches"] == 2
    table = tables(evaluation_report(result))["What a picture costs"]
    assert [row[0] for row in table.rows] == ["unedited photo", "slow"]
    assert "Cost" not in [section.title for section in evaluation_report({**result, "costs": {}}).sections]


def test_other_settings_are_refused(setup: Setup, tmp_path: Path) -> None:
    small = replace(setup, trials=HeldOutPairs(2), methods=("photo",))
    evaluate(small, tmp_path / "a.json")
    with pytest.raises(UserError, match="another steps"):
        evaluate(replace(small, steps=3), tmp_path / "a.json")
    again = evaluate(replace(small, steps=3), tmp_path / "a.json", overwrite=True)
    assert again["settings"]["steps"] == 3
    (tmp_path / "b.parts").mkdir()
    (tmp_path / "b.parts" / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="is not a folder of figures"):
        evaluate(small, tmp_path / "b.json", overwrite=True)
    assert (tmp_path / "b.parts" / "mine.txt").read_text() == "x"


# ---- methods


def test_a_method_is_one_line_of_the_table(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cheats with the truth is perfect; the unedited photo is worse than the warp."""
    truth = {t.edit.seed: t.truth for t in HeldOutPairs(2).make((0, 1), run.preset_bench(setup)).trials}

    def oracle(context: MethodContext) -> Method:
        def call(edits: Sequence[PreparedEdit]) -> list[Any]:
            return [to_uint8(truth[edit.seed]) for edit in edits]

        return call

    monkeypatch.setattr(method_room, "_METHODS", dict(method_table()))
    register_method("oracle", MethodEntry("the truth", oracle))
    with pytest.raises(UserError, match="'oracle' is registered already"):
        register_method("oracle", MethodEntry("another", oracle))
    result = evaluate(replace(setup, trials=HeldOutPairs(2), methods=("photo", "warp", "oracle")), tmp_path / "a.json")
    for edit in result["edits"]:
        assert edit["methods"]["oracle"]["mse"] < 0.01  # 8 bits
        assert edit["methods"]["oracle"]["ssim"] == pytest.approx(1, abs=1e-3)
    table = tables(evaluation_report(result))["Against the true picture, all edits (2)"]
    error = {row[0]: row[table.columns.index("error ↓")] for row in table.rows}
    assert error["the truth"].value < 0.01  # type: ignore[union-attr]
    assert error["mesh warp"].value < error["unedited photo"].value  # type: ignore[union-attr]
    assert error["mesh warp"].count == 2  # type: ignore[union-attr]


def test_unknown_methods_are_named() -> None:
    with pytest.raises(UserError, match="'magic' is not known; choose from photo, warp"):
        methods.method_names("warp,magic")
    assert methods.method_names(" noise , warp,noise") == ("noise", "warp")
    assert "draft-personal" not in methods.method_names(None)


def test_plain_diffae_has_no_control(setup: Setup) -> None:
    """It rebuilds the source, whatever the edit."""
    context = method_context(setup)
    edit = HeldOutPairs(1).make((0,), run.preset_bench(setup)).trials[0].edit
    other = replace(edit, snapshot=replace(edit.snapshot, image=torch.zeros_like(edit.snapshot.image)))
    diffae = methods.METHODS["diffae"].make(context)
    assert np.array_equal(diffae([edit])[0], diffae([other])[0])
    noise = methods.METHODS["noise"].make(context)
    assert not np.array_equal(noise([edit])[0], noise([other])[0])


def test_both_starts_share_one_fine_tuning(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """And all edits of a source do; it changes the picture; another source has its own."""
    few = replace(OPEN_ONE_SHOT, iterations=2, warps=1, mask_patch=4, lr=1e-2)
    counted: list[int] = []
    personalize = Editor.personalize

    def quick(editor: Editor, person: Any, settings: Any = None, seed: int = 0, progress: Any = None) -> Any:
        counted.append(seed)
        return personalize(editor, person, few, seed, progress)

    monkeypatch.setattr(Editor, "personalize", quick)
    context = method_context(setup)
    edits = [t.edit for t in HeldOutPairs(2).make((0, 1), run.preset_bench(setup)).trials]
    noise, draft = (methods.METHODS[name].make(context) for name in ("noise-personal", "draft-personal"))
    tuned = noise(edits)
    assert len(draft([*edits, edits[0]])) == 3
    assert counted == [edit.seed for edit in edits]
    plain = methods.METHODS["cool-noise"].make(context)
    assert not np.array_equal(tuned[0], plain(edits[:1])[0])


def test_what_is_scored_is_the_crop_that_edit_gives(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: of drawn pairs and of a photo, from each start, the picture a method hands to the metrics is that of `Editor.edit`."""
    scored: list[np.ndarray] = []
    monkeypatch.setattr(metrics.TrialMeter, "measure", lambda meter, picture: scored.append(picture) or {})
    context = method_context(setup)
    person = context.editor.read(PHOTO)
    photo = trials.edited_trials({"turn": {"yaw": 12}}, (5,), person, run.preset_bench(setup), on_photo=True).trials
    for trial in (*HeldOutPairs(1).make((0,), run.preset_bench(setup)).trials, *photo):
        for name in ("draft", "noise"):
            picture = methods.METHODS[name].make(context)([trial.edit])[0]
            metrics.Meter(context.editor.reader).trial(trial).measure(picture)
            temperature = {"temperature": 1.0} if name == "noise" else {}
            result = context.editor.edit(trial.edit.person, trial.edit.target, start=name, steps=2, seed=trial.edit.seed, **temperature)
            assert np.array_equal(scored[-1], result.crop_at(trial.edit.size))
            assert not np.array_equal(scored[-1], trial.source)
    assert len(scored) == 4


def method_context(setup: Setup) -> MethodContext:
    """Two steps; the draft's strength is 0.5."""
    from discontrolface.weights.preset import load_preset

    preset = load_preset(setup.preset)
    return MethodContext(Editor(preset, run.preset_bench(setup).reader), preset.sampling)


# ---- others' pictures


def test_the_folder_format_there_and_back(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = replace(setup, trials=HeldOutPairs(4), methods=("photo", "warp"))
    bench = run.preset_bench(setup)
    inputs, outputs = tmp_path / "in", tmp_path / "theirs"
    outputs.mkdir()
    assert write_inputs(setup.trials, bench, inputs, lambda *_: None) == 4
    index = json.loads((inputs / "index.json").read_text())
    names = [edit["name"] for edit in index["edits"]]
    assert index["size"] == bench.size
    assert not list(inputs.glob("**/*truth*"))
    for name in names[:3]:  # a method that returns the source; the fourth picture is missing
        (outputs / f"{name}.png").write_bytes((inputs / name / "source.png").read_bytes())
        guide = json.loads((inputs / name / "guide.json").read_text())
        assert np.array(guide["target"]["landmarks_68"]).shape == (68, 2)
        assert {p.name for p in (inputs / name).iterdir()} == {"source.png", "head.png", "source.json", "target.json", "guide.json"}
    from discontrolface.face.parameters import FaceParameters

    trial = HeldOutPairs(1).make((0,), bench).trials[0]
    assert FaceParameters.from_json((inputs / names[0] / "target.json").read_text()) == trial.edit.target
    assert np.array_equal(np.asarray(Image.open(inputs / names[0] / "source.png")), trial.source)

    result = evaluate(replace(setup, outputs=(("Theirs", outputs),)), tmp_path / "a.json")
    theirs, photo = ([e["methods"][n] for e in result["edits"]] for n in ("Theirs", "photo"))
    assert theirs[3] == {"missing": "no picture"}
    for a, b in zip(theirs[:3], photo[:3], strict=True):
        assert a["mse"] == pytest.approx(b["mse"], abs=0.05)  # 8 bits
    counts = tables(evaluation_report(result))["Pictures"]
    row = next(r for r in counts.rows if str(r[0]).startswith("Theirs"))
    assert row[1:3] == (4, 1)
    (outputs / f"{names[3]}.png").write_bytes((inputs / names[3] / "source.png").read_bytes())
    with pytest.raises(UserError, match="other pictures of Theirs"):  # figures of other pictures are not mixed in
        evaluate(replace(setup, outputs=(("Theirs", outputs),)), tmp_path / "a.json")
    made: list[tuple[str, ...]] = []
    measure = run.measure_batch
    monkeypatch.setattr(run, "measure_batch", lambda job: made.append(job.setup.names) or measure(job))
    again = evaluate(replace(setup, outputs=(("Theirs", outputs),)), tmp_path / "a.json", overwrite=True)
    assert made == [("Theirs",), ("Theirs",)]  # and nothing else once more
    assert again["edits"][3]["methods"]["Theirs"]["mse"] == pytest.approx(photo[3]["mse"], abs=0.05)
    assert again["edits"][0]["methods"]["warp"] == result["edits"][0]["methods"]["warp"]


def test_inputs_are_written_once_and_for_one_set_of_edits(setup: Setup, tmp_path: Path) -> None:
    bench = run.preset_bench(setup)
    pairs = HeldOutPairs(2)
    write_inputs(pairs, bench, tmp_path / "in", lambda *_: None)
    before = (tmp_path / "in" / "pair-1000000" / "source.png").stat().st_mtime_ns
    write_inputs(HeldOutPairs(4), bench, tmp_path / "in", lambda *_: None)  # more of the same
    assert (tmp_path / "in" / "pair-1000000" / "source.png").stat().st_mtime_ns == before
    assert len(json.loads((tmp_path / "in" / "index.json").read_text())["edits"]) == 4
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(PHOTO.read_bytes())
    with pytest.raises(UserError, match="another kind"):
        write_inputs(PhotoEdits.of(tmp_path / "photos"), bench, tmp_path / "in", lambda *_: None)
    with pytest.raises(UserError, match="holds other files"):
        write_inputs(pairs, bench, tmp_path / "photos", lambda *_: None)


def test_pictures_of_other_sizes_are_resampled_and_odd_ones_refused(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (255, 0, 0)).save(tmp_path / "a.png")
    Image.new("RGB", (64, 48)).save(tmp_path / "b.jpg")
    picture = read_output(tmp_path, "a", 32)
    assert picture is not None
    assert picture.shape == (32, 32, 3)
    assert picture[..., 0].min() == 255
    assert read_output(tmp_path, "none", 32) is None
    with pytest.raises(UserError, match="64x48 pixels; a square crop"):
        read_output(tmp_path, "b", 32)


def test_outputs_are_named(tmp_path: Path) -> None:
    assert parse_outputs([f"GIF={tmp_path}"]) == {"GIF": tmp_path}
    for text, words in ((str(tmp_path), "NAME=FOLDER"), (f"warp={tmp_path}", "is taken"), ("GIF=/nowhere", "is not a folder")):
        with pytest.raises(UserError, match=words):
            parse_outputs([text])


# ---- photos and shards


@pytest.mark.usefixtures("reading")
def test_photos(setup: Setup, tmp_path: Path) -> None:
    """A real photo, with every edit; beside it a file that is none. Beyond the mask nothing may change, whatever the method paints."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(PHOTO.read_bytes())
    (tmp_path / "photos" / "b.txt").write_text("no photo")
    edits = {"open mouth": {"expression": {"jawOpen": 0.6}}, "turn": {"yaw": 12}}
    found = pytest.MonkeyPatch()
    with found.context() as patch:
        patch.setattr(trials, "EDITS", edits)
        source = trials_of(tmp_path / "photos", 200)
        assert isinstance(source, PhotoEdits)
        result = evaluate(replace(setup, trials=source, methods=("photo", "noise")), tmp_path / "a.json")
    assert [e["name"] for e in result["edits"]] == ["a-0000-open-mouth", "a-0000-turn"]
    assert len(result["left_out"]) == 2
    assert "not a picture" in result["left_out"][0]["left_out"]
    for edit in result["edits"]:
        assert edit["methods"]["photo"]["psnr"] is None
        for figures in edit["methods"].values():
            assert figures["outside"] == 0
    assert result["edits"][0]["methods"]["photo"]["still"] == 0  # of a turn the motion fills a crop of 32 pixels
    report = evaluation_report(result)
    assert "Against the true picture" not in [section.title for section in report.sections]
    assert "Edits left out" in tables(report)


def test_shards(setup: Setup, tmp_path: Path) -> None:
    from discontrolface.training.prepare import prepare
    from discontrolface.training.samples import SampleSettings

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(PHOTO.read_bytes())
    prepare(tmp_path / "photos", tmp_path / "shards", SampleSettings(size=32))
    source = trials_of(tmp_path / "shards", 5)
    assert isinstance(source, ShardEdits)
    result = evaluate(replace(setup, trials=source, methods=("photo", "warp")), tmp_path / "a.json")
    assert [e["name"] for e in result["edits"]] == ["sample-000000-open-mouth"]
    assert result["edits"][0]["methods"]["warp"]["still"] == 0


# ---- the report and the command


def test_missing_weights_are_said(setup: Setup, tmp_path: Path) -> None:
    result = evaluate(replace(setup, trials=HeldOutPairs(2), methods=("photo", "warp")), tmp_path / "a.json")
    report = evaluation_report(result)
    assert {
        "MS-SSIM: crops smaller than 176 pixels",
        "LPIPS, ArcFace cosine, truth, ArcFace cosine, FID, KID: weights missing",
        "dlib distance, truth, dlib distance: the extra 'eval' is not installed",
    } <= set(report.missing)
    table = tables(report)["Against the true picture, all edits (2)"]
    assert "LPIPS ↓" not in table.columns, "said once, not in every table"
    assert "Sets of pictures" not in tables(report)
    text = to_markdown(report, lambda image: None)
    assert all(text.count(reason) == 1 for reason in ("crops smaller than", "LPIPS", "ArcFace cosine, truth", "FID"))
    error = table.rows[1][table.columns.index("error ↓")]
    assert isinstance(error, Estimate)
    assert error.low is not None
    assert error.value is not None
    assert error.low <= error.value
    assert {"weights", "torch", "steps", "edits", "preset"} <= set(report.settings)


def test_fid_kid_and_lpips_with_weights(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network in Inception's place: the true pictures' features against themselves have distance 0."""
    from discontrolface.evaluation import inception, lpips

    class Small(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)

    class Red(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return (a - b)[:, 0].abs().mean((1, 2))

    monkeypatch.setattr(inception.Inception, "load", lambda path: Small())
    monkeypatch.setattr(lpips.Lpips, "load", lambda *paths: Red())
    for name in ("i", "b", "l"):
        (tmp_path / name).write_bytes(b"x")
    measures = Measures(tmp_path / "i", tmp_path / "b", tmp_path / "l", identity=False)
    result = evaluate(replace(setup, methods=("photo", "warp"), measures=measures), tmp_path / "a.json")
    sets = result["sets"]
    assert sets["warp"]["fid"]["count"] == 4
    made = HeldOutPairs(4).make((0, 1, 2, 3), run.preset_bench(setup)).trials
    pictures = [np.stack([np.asarray(p) for p in side]) for side in ([to_float(t.source) for t in made], [t.truth for t in made])]
    before, true = (Small()(torch.from_numpy(p).permute(0, 3, 1, 2)).numpy() for p in pictures)
    assert sets["photo"]["fid"]["value"] == pytest.approx(set_distances.fid(before, true), abs=1e-9)
    assert sets["photo"]["kid"]["value"] == pytest.approx(set_distances.kid(before, true), abs=1e-9)
    assert result["edits"][0]["methods"]["warp"]["lpips"] > 0
    cells = tables(evaluation_report(result))["Sets of pictures"].rows[0][1:]
    assert all(isinstance(cell, Estimate) and cell.value is not None for cell in cells)
    with pytest.raises(UserError, match="another inception"):
        evaluate(replace(setup, methods=("photo", "warp")), tmp_path / "a.json")
    with pytest.raises(UserError, match="LPIPS needs two files"):
        Measures(lpips_backbone=tmp_path / "b")


def test_a_worse_method_is_named_first(setup: Setup, tmp_path: Path) -> None:
    result = evaluate(setup, tmp_path / "a.json")
    for edit in result["edits"]:
        edit["methods"]["draft"]["mse"] = edit["methods"]["warp"]["mse"] + 3.0
    report = evaluation_report(result)
    assert report.sections[0].title == "What fell short"
    assert "ours, from the draft: worse than the mesh warp in error" in report.summary


def test_the_command(preset: Path, tmp_path: Path) -> None:
    report_room = pytest.importorskip("discontrolface.reports")
    assert report_room.write_html
    out = tmp_path / "out.json"
    given = ["evaluate", "-o", str(out), "--count", "8", "--methods", "photo,warp", "--preset", str(preset), "--processes", "1", "-q"]
    first = CliRunner().invoke(app, [*given, "--report", str(tmp_path / "out.html")])
    assert first.exit_code == 0, first.output
    assert "8 edits of held-out pairs" in first.output
    written = out.read_bytes()
    assert json.loads(written)["settings"]["preset"] == "debug"
    assert "mesh warp" in (tmp_path / "out.md").read_text()
    assert "mesh warp" in (tmp_path / "out.html").read_text()
    again = CliRunner().invoke(app, given)
    assert again.exit_code == 0, again.output
    assert out.read_bytes() == written


def test_the_command_refuses(preset: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{}")
    cases = {
        "give -o": [],
        "exists": ["-o", str(tmp_path / "mine.json")],
        "must end in .json": ["-o", str(tmp_path / "x.txt")],
        "is not a folder of photos": [str(tmp_path / "none"), "-o", str(tmp_path / "x.json")],
        "is not known": ["-o", str(tmp_path / "x.json"), "--methods", "magic"],
    }
    for words, arguments in cases.items():
        done = CliRunner().invoke(app, ["evaluate", *arguments, "--preset", str(preset)])
        assert done.exit_code == 2
        assert words in done.output
    assert (tmp_path / "mine.json").read_text() == "{}"


# ---- the results page


def test_the_results_page_says_first_what_fell_short(setup: Setup, tmp_path: Path) -> None:
    result = evaluate(replace(setup, trials=HeldOutPairs(2)), tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps(result))
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "results.md"
    write_results(page, [f"Two pairs={tmp_path / 'a.json'}"], "*Trained for a minute.*")
    text = page.read_text()
    assert (
        text.index("Trained for a minute") < text.index("worse than the mesh warp") < text.index("Against the true picture, all edits (2)")
    )
    assert f"weights: {result['settings']['weights']}" in text
    picture = page.parent / "results" / "two-pairs.jpg"
    assert "(results/two-pairs.jpg)" in text
    assert Image.open(picture).width > 100
    hidden = tmp_path / "docs" / "unseen.md"
    write_results(hidden, [f"Two pairs={tmp_path / 'a.json'}"], "", "Portraits", "make portraits", ["Two pairs"])
    assert hidden.read_text().startswith("# Portraits\n\nMade by `make portraits`")
    assert not list((tmp_path / "docs" / "unseen").glob("*.jpg"))
    with pytest.raises(UserError, match=r"b\.json is not what"):
        write_results(page, [f"x={tmp_path / 'b.json'}"])
    with pytest.raises(UserError, match="is not TITLE"):
        write_results(page, ["x"])
