"""Ablations: every command runs at its smallest size, carries on after a stop, and concludes what its figures say and nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from discontrolface import Editor, UserError
from discontrolface.cli.app import app
from discontrolface.common.example import example_photo
from discontrolface.common.snapshot_spec import OPEN_MAPS, PAPER_MAPS
from discontrolface.common.statistics import Estimate, paired_difference
from discontrolface.evaluation import ablation_run, ablations
from discontrolface.evaluation.ablation_items import pair_items, photo_items
from discontrolface.evaluation.ablation_page import PICTURE_BYTES
from discontrolface.evaluation.ablation_reading import Readings, angle_between, item_estimates
from discontrolface.evaluation.ablation_run import Maker, run_ablation
from discontrolface.evaluation.ablation_tables import ENOUGH, section_of, summary_of
from discontrolface.evaluation.ablations import EDITING, FULL, QUICK, RECONSTRUCTION, experiment
from discontrolface.evaluation.similarity import detail_correlation
from discontrolface.face.regions import face_hull
from discontrolface.geometry.rotations import head_rotation
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import debug_config
from discontrolface.reports.content import IntervalPlot, Plot
from discontrolface.reports.pictures import small_jpeg

PHOTO = example_photo()
ON_PAIRS = tuple(name for name in ablations.NAMES if name not in ("detail", "space"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preset of the open kind with networks of 64 pixels, and a second control network without the preview."""
    store: Path = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    model = DiffAE(**debug_config() | {"image_size": 64, "patch": 4})
    control = ExpFaceNet.from_backbone(model, snapshot_maps=OPEN_MAPS, preview_gate="visibility")
    plain = ExpFaceNet.from_backbone(model, snapshot_maps=PAPER_MAPS)
    with torch.no_grad():  # fresh networks' last layers are zero: nothing would pass them
        for network in (model, control, plain):
            for p in network.parameters():
                p.add_(0.05 * torch.randn(p.shape))
    model.save_pretrained(store / "diffae")
    control.save_pretrained(store / "exp_facenet")
    plain.save_pretrained(store / "plain")
    preset = {"name": "tiny", "head": "open", "start": "draft", "strength": 0.5, "steps": 2, "one_shot": {"lr": 1e-4, "warps": 32}}
    (store / "preset.json").write_text(json.dumps(preset))
    return store


@pytest.fixture(scope="module")
def editor(tiny: Path) -> Editor:
    return Editor.load(tiny)


# ---- every command


@pytest.mark.heavy
def test_all_of_them_by_one_command(tiny: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out", tmp_path / "ablations.md"
    order = (
        "ablate",
        "all",
        "--quick",
        "--pairs",
        "1",
        "--preset",
        tiny,
        "-o",
        out,
        "--photo",
        PHOTO,
        "--weights",
        f"paper's maps={tiny / 'plain'}",
    )
    result = run(*order, "--page", page)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    for name in ON_PAIRS:
        record = json.loads((out / f"{name}.json").read_text())
        wanted = experiment(name, QUICK, ("paper's maps",) if name == "maps" else ())
        variants = [v.name for v in wanted.variants]
        assert len(record["items"]) == len(wanted.tasks)
        for entry in record["items"].values():
            assert list(entry["variants"]) == variants
            assert all(figures["psnr"] > 3 and figures["seconds"] > 0 for figures in entry["variants"].values())
        assert f"discontrolface ablate {name}" in text
        assert all(v in (out / f"{name}.md").read_text() for v in variants)
        picture = tmp_path / "ablations" / f"{name}.jpg"
        assert 1000 < picture.stat().st_size < 150_000
        assert f"ablations/{name}.jpg" in text
        assert record["settings"]["versions"]["torch"] == torch.__version__
    assert "**Not measured:**\n\n- detail: `ablate detail` compares" in text
    assert "- space: `ablate space` compares this preset with others; give them" in text
    assert "too few to conclude" in text
    assert "agrees" not in text.replace("`agrees", "")  # from one pair nothing is concluded
    changed = json.loads((out / "maps.json").read_text())["items"]["1000000 editing"]["variants"]
    assert len({figures["mse"] for figures in changed.values()}) == len(changed)  # every variant is another picture
    again = run(*order, "--page", page)
    assert again.exit_code == 2
    assert "exists" in again.stderr


def test_some_of_them_by_one_command(tiny: Path, tmp_path: Path) -> None:
    given = ("--quick", "--pairs", "1", "--preset", tiny, "-o", tmp_path / "out", "--page", tmp_path / "some.md")
    result = run("ablate", "patch,maps", *given, "--weights", f"paper's maps={tiny / 'plain'}")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").glob("*.json")) == ["maps.json", "patch.json"]
    text = (tmp_path / "some.md").read_text()
    assert text.index("ablate patch ") < text.index("ablate maps ")
    assert "discontrolface ablate patch,maps" in text
    assert "choose one of start" in run("ablate", "patch,mask", *given).stderr


def test_with_the_shipped_weights(tmp_path: Path) -> None:
    """The command as a user gives it, one pair and one step: what the control needs most is the preview."""
    result = run("ablate", "maps", "--pairs", "1", "--steps", "1", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "maps.json").read_text())
    figures = record["items"]["1000000 editing"]["variants"]
    assert figures["all maps"]["psnr"] > 20
    assert figures["all maps"]["mse"] < figures["no preview (nor visibility)"]["mse"]
    assert figures["all maps"]["landmarks"] < 6
    assert (tmp_path / "out" / "maps.png").stat().st_size > 10_000


@pytest.mark.heavy
def test_the_detail_vector_on_a_synthetic_flame(paper_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    paper = ("--preset", "paper", "--assets-dir", paper_folder, "--quick", "-o", out)
    assert "give one or more with --photo" in run("ablate", "detail", *paper).stderr
    result = run("ablate", "detail", *paper, "--photo", PHOTO)
    assert result.exit_code == 0, result.output
    items = json.loads((out / "detail.json").read_text())["items"]
    assert [entry["task"] for entry in items.values()] == [RECONSTRUCTION, EDITING, EDITING]
    for entry in items.values():
        assert list(entry["variants"]) == ["with detail", "without detail"]
    rebuilt = next(iter(items.values()))["variants"]
    assert rebuilt["with detail"]["detail"] is not None
    assert rebuilt["with detail"] | {"seconds": 0} != rebuilt["without detail"] | {"seconds": 0}  # the detail vector reaches the picture
    assert "given --preset open" not in result.output
    refused = run("ablate", "masking", *paper)
    assert refused.exit_code == 2
    assert "drawn with the open head" in refused.stderr


# ---- carrying on


def without_seconds(record: dict[str, Any]) -> dict[str, Any]:
    return {
        k: {v: {f: x for f, x in made.items() if f != "seconds"} for v, made in e["variants"].items()} for k, e in record["items"].items()
    }


def test_carries_on_after_a_stop(editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the picture's mean as its only figure, which is quicker than reading faces."""
    monkeypatch.setattr(ablation_run, "item_estimates", lambda picture, *_: {"mse": float(picture.mean(dtype=np.float64))})
    monkeypatch.setattr(ablation_run.Readings, "of", lambda *_: Readings(None, None, np.zeros((468, 2))))
    sizes = replace(QUICK, pairs=3)
    told: list[tuple[int, int]] = []
    whole = run_ablation("face-only", editor, tmp_path / "a", sizes, progress=lambda done, total: told.append((done, total)))
    assert told == [(k + 1, 24) for k in range(24)]
    make, made = Maker.make, 0

    def stopping(self: Maker, *given: Any) -> Any:
        nonlocal made
        made += 1
        if made == 14:  # 8 are in the picture; the sixth after it
            raise KeyboardInterrupt
        return make(self, *given)

    monkeypatch.setattr(Maker, "make", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_ablation("face-only", editor, tmp_path / "b", sizes)
    section = run_ablation("face-only", editor, tmp_path / "b", sizes)
    assert made == 25  # the one that was stopped, and no other, was made again
    a, b = (json.loads((tmp_path / f / "face-only.json").read_text()) for f in "ab")
    assert without_seconds(a) == without_seconds(b)
    assert (tmp_path / "a" / "face-only.png").read_bytes() == (tmp_path / "b" / "face-only.png").read_bytes()
    assert section.text == whole.text
    more = run_ablation("face-only", editor, tmp_path / "b", replace(sizes, pairs=4))
    assert made == 25 + 8  # more pairs go on with what is there
    assert "(4 pairs)" in more.tables[1].title


def test_what_is_there_is_not_overwritten(editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "maps.png").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"maps\.png exists"):
        run_ablation("maps", editor, tmp_path, QUICK)
    (tmp_path / "maps.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="not a record of `ablate maps`"):
        run_ablation("maps", editor, tmp_path, QUICK)
    small = replace(QUICK, pairs=1)
    run_ablation("maps", editor, tmp_path, small, overwrite=True)
    with pytest.raises(UserError, match=r"other settings \(steps\)"):
        run_ablation("maps", editor, tmp_path, replace(small, steps=3))
    monkeypatch.setattr(Maker, "make", lambda *_: pytest.fail("made again"))
    run_ablation("maps", editor, tmp_path, small, overwrite=True)  # the same settings: nothing is thrown away
    with pytest.raises(pytest.fail.Exception):
        run_ablation("maps", editor, tmp_path, replace(small, steps=3), overwrite=True)


def test_what_cannot_be_run_is_said(tiny: Path, editor: Editor, tmp_path: Path) -> None:
    def refused(*arguments: str | Path) -> str:
        result = run("ablate", *arguments, "-o", tmp_path / "out", "--preset", tiny, "--quick")
        assert result.exit_code == 2, result.output
        assert not (tmp_path / "out").exists()
        return result.stderr

    assert "choose one of start, detail, masking" in refused("mask")
    assert "bring FLAME and EMOCA's networks" in refused("detail", "--photo", PHOTO)
    assert "compared by `ablate maps`" in refused("masking", "--weights", f"a={tiny / 'plain'}")
    assert "NAME=FOLDER" in refused("maps", "--weights", "a")
    assert "is not a folder" in refused("maps", "--weights", f"a={tiny / 'none'}")
    assert "must end in .md" in refused("maps", "--page", tmp_path / "page.txt")
    with pytest.raises(UserError, match="they need one backbone"):
        ablation_run.load_controls({"open": Path(ablations.__file__).parents[1] / "assets" / "open"}, editor)


# ---- what is concluded


def record_of(name: str, effects: dict[str, dict[str, float]], count: int, noise: float = 0.0) -> dict[str, Any]:
    """A record in which the variants' figures differ by these effects and by noise. effects: {variant: {figure: by how much}}."""
    rng = np.random.default_rng(0)
    found = experiment(name, FULL)
    items = {}
    for k in range(count):
        for task in found.tasks:
            base = {
                "mse": 20 + 10 * rng.random(),
                "psnr": 25 + rng.random(),
                "control": 0.8 + 0.1 * rng.random(),
                "landmarks": 2 + rng.random(),
            }
            made = {
                v.name: {f: x + effects.get(v.name, {}).get(f, 0.0) + noise * rng.standard_normal() for f, x in base.items()}
                for v in found.variants
            }
            items[f"{k} {task}"] = {"task": task, "edit": "", "variants": made}
    return {"items": items, "settings": {"weights": "w", "preset": "p", "steps": 20}}


WORSE = {"A (0 %)": {"control": -0.3, "mse": 2}, "B (75 %)": {"mse": 1}, "C (25 %)": {"mse": 1}}
AS_THE_PAPER = {**WORSE, "D (25, then 75 %)": {"mse": 0.5}, "E (75, then 25 %)": {"mse": 0.5}}


def test_verdicts_follow_the_figures() -> None:
    found = experiment("masking", FULL)

    def statements(effects: dict[str, dict[str, float]], count: int = 16, noise: float = 0.05) -> dict[str, str]:
        return dict(summary_of(found, record_of("masking", effects, count, noise)["items"])["statements"])

    agreed = statements(AS_THE_PAPER)
    assert agreed["0 % (A) ignores the control"] == "agrees"
    assert agreed["75 % (B) is slightly worse"] == agreed["25 % (C) is slightly worse"] == "agrees"
    assert agreed["linear (F) is the best overall"] == "agrees"
    assert agreed["0 % (A) rebuilds strongly"] == "contradicts"  # the effects are in reconstructions too: A has the larger error
    opposite = statements({name: {f: -x for f, x in by.items()} for name, by in AS_THE_PAPER.items()})
    assert opposite["linear (F) is the best overall"] == opposite["0 % (A) ignores the control"] == "contradicts"
    assert statements(WORSE)["linear (F) is the best overall"] == "agrees in part"
    assert set(statements({}, noise=0.5).values()) <= {"not decided", "agrees in part"}
    assert set(statements(AS_THE_PAPER, count=ENOUGH - 1).values()) == {f"not decided (fewer than {ENOUGH} items)"}


def test_tables_rank_and_compare() -> None:
    found = experiment("masking", FULL)
    record = record_of("masking", AS_THE_PAPER, 16, 0.05)
    section = section_of(found, record, None)
    assert section.text.startswith("Editing, error, against `F (linear, 75 to 25 %)` (16 items")
    assert "worse: " in section.text
    means = next(t for t in section.tables if t.title == "Editing (16 pairs)")
    assert [row[1] for row in means.rows] == list(range(1, 8))
    errors = {str(row[0]): row[means.columns.index("error")] for row in means.rows}
    assert str(means.rows[-1][0]) == "A (0 %)"
    usual = errors["F (linear, 75 to 25 %)"]
    assert isinstance(usual, Estimate)
    told = re.search(r"The largest difference is ([\d.]+) % of the error of `F ", section.text)
    assert told is not None
    assert float(told[1]) == pytest.approx(100 * 2 / (usual.value or 0), abs=0.3)
    assert all(isinstance(f, Estimate) and f.low is not None and f.low < (f.value or 0) < (f.high or 0) for f in errors.values())
    gaps = next(t for t in section.tables if t.title.startswith("Editing: difference"))
    row = next(row for row in gaps.rows if row[0] == "B (75 %)")
    assert isinstance(row[1], Estimate)
    assert row[1].value == pytest.approx(1, abs=0.1)  # the pairs differ by 10, the paired difference is exact to 0.1
    assert row[1].high is not None
    assert row[1].high - (row[1].low or 0) < 0.2
    assert row[-1] == "worse"


def test_one_shot_is_plotted_by_iterations() -> None:
    found = experiment("oneshot", FULL)
    section = section_of(found, record_of("oneshot", {"100 iterations": {"mse": -3}}, 8, 0.01), None)
    plot, gaps = section.plots
    assert isinstance(plot, Plot)
    assert isinstance(gaps, IntervalPlot)
    assert "100 iterations" in [row[0] for row in gaps.table.rows]
    assert plot.series[0].x == (0.0, 25.0, 50.0, 100.0)
    assert plot.series[0].y[3] < plot.series[0].y[0] - 2
    assert "better: `100 iterations`" in section.text


# ---- what is measured


def test_fine_tuning_stops_on_its_way(editor: Editor) -> None:
    """The network after 1 of 3 iterations is that of a fine-tuning of 1."""
    (item,) = pair_items(0, (EDITING,), editor, OPEN_MAPS)
    long, short = (Maker(editor, replace(QUICK, iterations=n), {})._fine_tuned(item) for n in ((1, 3), (1,)))
    a, b, before = long[1].state_dict(), short[1].state_dict(), editor.preset.control.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert any(not torch.equal(a[k], long[3].state_dict()[k]) for k in a)
    assert any(not torch.equal(a[k], before[k]) for k in a)


def test_figures_of_known_pictures() -> None:
    """The truth itself, and the source as if nothing had been edited. No networks: the pictures are given."""
    editor = Editor.load("open")
    (item,) = pair_items(8, (EDITING,), editor, OPEN_MAPS)
    assert item.truth is not None
    assert "head" in item.label
    readings = Readings.of(item, editor.reader)
    right = item_estimates(item.truth, item, readings, editor.reader)
    assert right["control"] == pytest.approx(1)
    assert right["mse"] == right["landmarks"] == right["head"] == right["off_face"] == 0
    assert right["detail"] == pytest.approx(1)
    wrong = item_estimates(item.source, item, readings, editor.reader)
    assert wrong["control"] == pytest.approx(0, abs=0.05)
    assert (wrong["landmarks"] or 0) > 1
    assert (wrong["head"] or 0) > 1
    nothing = item_estimates(np.zeros_like(item.truth), item, readings, editor.reader)
    assert nothing["landmarks"] is None  # no face, no figure
    assert 0.02 < item.face.mean() < 0.5
    assert not (item.off_face & item.face).any()
    person = editor.read(PHOTO)
    kinds = [i.kind for i in photo_items(person, 0, (RECONSTRUCTION, EDITING), editor, OPEN_MAPS)]
    assert kinds == [RECONSTRUCTION, EDITING, EDITING]


def test_small_measures() -> None:
    assert angle_between(head_rotation(10, 0), head_rotation(-5, 0)) == pytest.approx(15)
    square = face_hull(np.array([[10, 10], [30, 10], [30, 30], [10, 30], [20, 20]]), 64)
    assert square.sum() == pytest.approx(400, rel=0.12)
    assert square[20, 20]
    assert not square[5, 5]
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 100, 100, 3))
    assert detail_correlation(a, a) == pytest.approx(1)
    assert abs(detail_correlation(a, b)) < 0.1
    assert detail_correlation(a, np.ones_like(a)) == 0
    gap = paired_difference([1, 2, None, 4], [0, 1, 5, 3])
    assert (gap.value, gap.low, gap.high, gap.count) == (1, 1, 1, 3)
    noise = rng.integers(0, 256, (900, 1200, 3)).astype(np.uint8)
    assert len(small_jpeg(noise, PICTURE_BYTES)) <= PICTURE_BYTES
