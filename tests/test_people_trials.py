"""People's photos with a true result: who is measured, one frame for two photos, return pairs, intervals over people, other weights in a column."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.common.pixels import to_float
from discontrolface.common.statistics import bootstrap_mean, paired_difference
from discontrolface.editing.editor import Editor
from discontrolface.editing.method import MethodContext
from discontrolface.editing.reading import Reader
from discontrolface.evaluation import methods, model_card, run
from discontrolface.evaluation.other_weights import other_columns, split_weights
from discontrolface.evaluation.people_trials import RealPairs, ReturnPairs, list_evaluated, people_trials
from discontrolface.evaluation.report import evaluation_report
from discontrolface.evaluation.run import Measures, Setup, evaluate
from discontrolface.evaluation.similarity import psnr
from discontrolface.evaluation.trials import REAL, RETURN, Bench, TrialBatch
from discontrolface.face.crop import Crop, cut_square
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import debug_config
from discontrolface.reports.content import Report, Table
from discontrolface.weights.preset import load_preset

PHOTO = example_photo()
MAPS = ("normals", "lambertian", "preview", "visibility")
TABLE = """file,person,view,expression,age,gender,ethnicity
a/other.png,a,left_3quarter,smiling,24,female,east_asian
a/broken.jpg,a,front,smiling,24,female,east_asian
a/front.png,a,front,neutral,24,female,east_asian
a/profile.png,a,left_profile,neutral,24,female,east_asian
b/only.png,b,front,neutral,,male,
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a: a photo, the same one turned in the plane and smaller (said to be of another view), and a file that is none. Of b: one, mirrored."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("a", "b"):
        (folder / name).mkdir()
    photo = Image.open(PHOTO).convert("RGB")
    photo.save(folder / "a" / "front.png")
    photo.rotate(-9, Image.Resampling.BICUBIC, center=(224, 116), fillcolor=(120, 120, 120)).resize(
        (440, 440), Image.Resampling.LANCZOS
    ).save(folder / "a" / "other.png")
    (folder / "a" / "broken.jpg").write_bytes(b"no picture")
    photo.save(folder / "a" / "profile.png")
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "b" / "only.png")
    (folder / "people.csv").write_text(TABLE)
    return folder


@pytest.fixture(scope="module")
def bench() -> Bench:
    reader = Reader.open(128)
    return Bench(reader, reader.geometry, 128, MAPS)


def preset_of(folder: Path, seed: int) -> Path:
    """A preset of 32 pixels with random weights; the control network's last layers are random too, so that they show."""
    torch.manual_seed(seed)
    model = DiffAE(**debug_config()).eval()
    control = ExpFaceNet.from_backbone(model, snapshot_maps=MAPS, preview_gate="visibility")
    with torch.no_grad():
        for value in control.parameters():
            value.add_(0.05 * torch.randn(value.shape))
    model.save_pretrained(folder / "diffae")
    control.save_pretrained(folder / "exp_facenet")
    (folder / "preset.json").write_text(json.dumps({"name": "debug", "head": "open", "start": "draft", "strength": 0.5, "steps": 2}))
    return folder


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    first = preset_of(tmp_path_factory.mktemp("one"), 0)
    return first, preset_of(tmp_path_factory.mktemp("two"), 1)


@pytest.fixture(scope="module")
def made(photos: Path, bench: Bench) -> TrialBatch:
    pairs = people_trials(photos, "real", str(photos / "people.csv"), None, 200)
    return pairs.make(pairs.batches()[0], bench)


def tables(report: Report) -> dict[str, Table]:
    return {table.title: table for section in report.sections for table in section.tables}


# ---- who is measured


def test_the_source_is_the_neutral_front_photo_and_profiles_are_no_targets(photos: Path) -> None:
    a, b = list_evaluated(photos, str(photos / "people.csv"), None)
    assert [photo.name for photo in a.photos] == ["front.png", "broken.jpg", "other.png"]
    assert a.edits == ("smiling", "turned, smiling")
    assert a.groups == (("ethnicity", "east asian"), ("gender", "female"), ("age", "under 25"))
    assert b.groups == (("gender", "male"),)
    by_folder = list_evaluated(photos, "folders", "a")
    assert [photo.name for photo in by_folder[0].photos] == ["broken.jpg", "front.png", "other.png", "profile.png"]
    assert by_folder[0].edits == ("", "", "")


def test_only_the_people_who_were_kept_out(photos: Path, tmp_path: Path) -> None:
    table, names = str(photos / "people.csv"), tmp_path / "kept.txt"
    names.write_text("# kept out of training\n\nb  # one\n")
    assert [p.name for p in list_evaluated(photos, table, str(names))] == ["b"]
    assert [p.name for p in list_evaluated(photos, table, "b,a")] == ["a", "b"]
    with pytest.raises(UserError, match=r"'c', who is not among the people .* \(1 such"):
        list_evaluated(photos, table, "a,c")
    names.write_text("# nobody\n")
    with pytest.raises(UserError, match="names nobody"):
        list_evaluated(photos, table, str(names))


def test_several_photos_make_real_pairs_and_one_makes_return_pairs(photos: Path) -> None:
    table = str(photos / "people.csv")
    real, back = (people_trials(photos, kind, table, None, 200) for kind in ("real", "return"))
    assert isinstance(real, RealPairs)
    assert isinstance(back, ReturnPairs)
    assert [p.name for p in real.people] == ["a"]
    assert [p.name for p in back.people] == ["b"]
    assert real.batches() == [(0, 1)]
    with pytest.raises(UserError, match="none of the 1 of"):
        people_trials(photos, "return", table, "a", 200)


# ---- the trials


def test_the_truth_of_a_photo_that_was_moved_is_the_source(made: TrialBatch) -> None:
    """b is a, turned in the plane by 9 degrees and smaller: brought into a's frame it lies on a."""
    (trial,) = made.trials
    assert trial.name == "a-other"
    assert trial.groups[0] == ("edit", "turned, smiling")
    assert list(made.left_out) == ["a-broken"]
    truth, source, inner = trial.truth, to_float(trial.source), np.s_[24:104, 24:104]
    assert truth is not None
    other = Image.open(trial.edit.person.photo.path.parent / "other.png").resize((512, 512))
    as_it_lies = cut_square(np.asarray(other), trial.edit.person.crop.photo_to_crop, trial.edit.size).image
    assert psnr(to_float(as_it_lies)[inner], source[inner]) < 20
    assert psnr(truth[inner], source[inner]) > 26


def test_the_target_is_the_sources_but_for_what_the_other_photo_shows(made: TrialBatch) -> None:
    edit = made.trials[0].edit
    own, target = edit.person.parameters, edit.target
    for name in ("shape", "camera", "light", "albedo"):
        assert np.array_equal(getattr(own, name), getattr(target, name)), name
    assert not np.array_equal(own.pose, target.pose)
    assert made.trials[0].on_photo
    assert isinstance(edit.person.crop, Crop)
    assert edit.person.photo.path.name == "front.png"


def test_a_return_pair_leads_back_to_the_photo(photos: Path, bench: Bench) -> None:
    pairs = people_trials(photos, "return", str(photos / "people.csv"), None, 200)
    trial = pairs.make((0,), bench).trials[0]
    photo = bench.reader.read(photos / "b" / "only.png")
    assert trial.truth is not None
    assert np.array_equal(trial.truth, to_float(photo.crop.image))
    assert trial.edit.target == photo.parameters
    assert psnr(to_float(trial.source), trial.truth) < psnr(trial.edit.preview.image, trial.truth)
    again = pairs.make((0,), bench).trials[0]
    assert np.array_equal(again.source, trial.source)


def test_what_is_scored_is_the_crop_that_edit_gives(made: TrialBatch, presets: tuple[Path, Path], photos: Path) -> None:
    preset = load_preset(presets[0])
    reader = Reader.open(preset.model.image_size)
    pairs = people_trials(photos, "real", str(photos / "people.csv"), None, 200)
    trial = pairs.make(pairs.batches()[0], Bench(reader, reader.geometry, preset.model.image_size, MAPS)).trials[0]
    context = MethodContext(Editor(preset, reader), preset.sampling)
    picture = methods.METHODS["ours"].make(context)([trial.edit])[0]
    result = context.editor.edit(trial.edit.person, trial.edit.target, seed=trial.edit.seed)
    assert np.array_equal(picture, result.crop_at(trial.edit.size))


# ---- intervals over people


def test_more_edits_of_one_person_are_no_more_people() -> None:
    rng = np.random.default_rng(0)
    people = rng.normal(size=12)
    values = np.repeat(people, 5).tolist()
    names = [f"p{k}" for k in range(12) for _ in range(5)]
    over_people, alone = bootstrap_mean(values, clusters=names), bootstrap_mean(people.tolist(), clusters=[f"p{k}" for k in range(12)])
    over_edits = bootstrap_mean(values)
    assert over_people.value == over_edits.value
    assert (over_people.low, over_people.high) == pytest.approx((alone.low, alone.high))
    assert over_people.high is not None
    assert over_people.low is not None
    assert over_edits.high is not None
    assert over_edits.low is not None
    assert over_people.high - over_people.low > 1.8 * (over_edits.high - over_edits.low)  # sqrt(5) = 2.2
    assert over_people.high - over_people.low == pytest.approx(2 * 1.96 * people.std() / 12**0.5, rel=0.1)
    one = bootstrap_mean([1.0, 2.0, None], clusters=["p", "p", "q"])
    assert (one.value, one.low, one.count) == (1.5, None, 2)
    gap = paired_difference([2.0, 3.0, 5.0], [1.0, 2.0, 4.0], clusters=["p", "p", "q"])
    assert (gap.value, gap.low, gap.high) == (1.0, 1.0, 1.0)


def test_people_of_several_edits_weigh_by_their_edits() -> None:
    found = bootstrap_mean([0.0, 0.0, 0.0, 1.0], clusters=["p", "p", "p", "q"])
    assert found.value == 0.25
    assert (found.low, found.high) == (0.0, 1.0)


# ---- the whole of it


def test_the_report_has_intervals_over_people_and_tables_by_group(photos: Path, presets: tuple[Path, Path], tmp_path: Path) -> None:
    pairs = people_trials(photos, "real", str(photos / "people.csv"), None, 200)
    setup = Setup(presets[0], None, pairs, ("photo", "warp", "ours"), (), Measures(identity=False), None, None, "cpu")
    result = evaluate(setup, tmp_path / "a.json")
    assert result["kind"] == REAL
    (edit,) = result["edits"]
    assert edit["person"] == "a"
    assert edit["groups"] == {"edit": "turned, smiling", "ethnicity": "east asian", "gender": "female", "age": "under 25"}
    assert edit["methods"]["warp"]["mask_mse"] > 0
    assert edit["methods"]["ours"]["outside"] == 0
    second = {**edit, "person": "z", "groups": {**edit["groups"], "gender": "male"}}
    second["methods"] = {name: {**line, "psnr": line["psnr"] + 2} for name, line in edit["methods"].items()}
    report = evaluation_report({**result, "edits": [edit, second]})
    assert "over the people (2)" in report.summary
    found = tables(report)
    assert "Against the true picture, turned, smiling (2)" in found
    by_gender = found["By gender"]
    assert [row[:3] for row in by_gender.rows][:4] == [
        ("female", 1, "unedited photo"),
        ("female", 1, "mesh warp"),
        ("female", 1, "ours, as `edit` does it unless told otherwise"),
        ("male", 1, "unedited photo"),
    ]
    assert by_gender.rows[3][3].value == pytest.approx(by_gender.rows[0][3].value + 2)  # type: ignore[union-attr]
    assert set(found) >= {"By ethnicity", "By gender", "By age"}


def test_the_model_card_gets_its_figures_between_two_marks(tmp_path: Path) -> None:
    def line(person: str, gender: str, psnr: float) -> dict[str, object]:
        groups = {"edit": "turned", "gender": gender}
        values = {name: {"psnr": psnr + k, "ssim": None} for k, name in enumerate(("photo", "draft", "new:default"))}
        return {"name": person, "person": person, "groups": groups, "kinds": [], "methods": values}

    labels = {"photo": "unedited photo", "draft": "ours, from the draft", "new:default": "new: ours"}
    result = {"format": "discontrolface.evaluation", "edits": [line("a", "female", 10), line("b", "male", 14)], "labels": labels}
    (tmp_path / "real.json").write_text(json.dumps(result))
    card = tmp_path / "card.md"
    card.write_text(f"# Card\n{model_card.BEGIN}\nold\n{model_card.END}\nmore\n")
    for _ in range(2):
        model_card.main([str(card), str(tmp_path / "real.json")])
        text = card.read_text()
        assert text.startswith("# Card\n")
        assert text.endswith("\nmore\n")
        assert "old" not in text
        rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("|")]
        assert rows == [
            ["PSNR ↑", "people", "edits", "unedited photo", "new: ours"],
            ["---", "---:", "---:", "---:", "---:"],
            ["all", "2", "2", "12.0 [10.0, 14.0]", "14.0 [12.0, 16.0]"],
            ["turned", "2", "2", "12.0", "14.0"],
            ["female", "1", "1", "10.0", "12.0"],
            ["male", "1", "1", "14.0", "16.0"],
        ]
    card.write_text("# Card\n")
    with pytest.raises(UserError, match="does not have the lines"):
        model_card.write_card(card, tmp_path / "real.json")
    with pytest.raises(UserError, match="not what `discontrolface evaluate --pairs real` wrote"):
        model_card.write_card(card, card)


def test_other_weights_are_a_column_of_their_own(photos: Path, presets: tuple[Path, Path], tmp_path: Path) -> None:
    """The preset's own again are its pictures; others' are not; a control network alone goes with the preset's backbone."""
    pairs = people_trials(photos, "return", str(photos / "people.csv"), None, 200)
    names = ("photo", "warp", "draft")
    folders = {"same": presets[0], "control": presets[0] / "exp_facenet", "new": presets[1]}
    setup = Setup(presets[0], None, pairs, names, (), Measures(identity=False), None, None, "cpu", others=other_columns(names, folders))
    assert setup.names == (*names, "same:draft", "control:draft", "new:draft")
    result = evaluate(setup, tmp_path / "a.json")
    assert result["kind"] == RETURN
    found = result["edits"][0]["methods"]
    assert found["same:draft"] == found["control:draft"] == found["draft"]
    assert found["new:draft"]["mse"] != found["draft"]["mse"]
    assert result["labels"]["new:draft"] == "new: ours, from the draft"
    without = evaluate(replace(setup, others=()), tmp_path / "a.json")
    assert list(without["edits"][0]["methods"]) == list(names)
    moved = other_columns(names, {"new": presets[0]})
    with pytest.raises(UserError, match="other weights of new"):
        evaluate(replace(setup, others=moved), tmp_path / "a.json")
    again = evaluate(replace(setup, others=moved), tmp_path / "a.json", overwrite=True)
    assert again["edits"][0]["methods"]["new:draft"] == found["draft"]


def test_weights_are_of_a_method_or_of_a_name(tmp_path: Path) -> None:
    assert split_weights({"diffusionrig": tmp_path, "mine": tmp_path}) == ({"diffusionrig": tmp_path}, {"mine": tmp_path})
    with pytest.raises(UserError, match="give the folder another name"):
        split_weights({"draft": tmp_path})
    with pytest.raises(UserError, match="none of the methods photo, warp"):
        other_columns(("photo", "warp"), {"mine": tmp_path})


@pytest.mark.heavy
def test_a_process_of_its_own_knows_the_methods(presets: tuple[Path, Path], photos: Path, tmp_path: Path) -> None:
    """A pool's processes load nothing but what measures."""
    pairs = people_trials(photos, "return", str(photos / "people.csv"), None, 200)
    setup = Setup(presets[0], None, pairs, ("photo",), (), Measures(identity=False), None, None, "cpu")
    jobs = [run.Job(setup, number, (0,), tmp_path) for number in (0, 1)]
    assert sorted(run.run_jobs(jobs, 2)) == [1, 1]


def test_the_command(photos: Path, presets: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("discontrolface.reports")
    given = ["evaluate", str(photos), "--preset", str(presets[0]), "--processes", "1", "-q", "-o", str(tmp_path / "a.json")]
    table = ["--people", str(photos / "people.csv")]
    done = CliRunner().invoke(app, [*given, "--pairs", "return", *table, "--only", "b", "--methods", "photo,warp"])
    assert done.exit_code == 0, done.output
    assert "1 edits of return pairs, 2 methods" in done.output
    assert "By gender" in (tmp_path / "a.md").read_text()
    for words, arguments in {
        "--people goes with --pairs": table,
        "needs the folder of the photos and --people": ["--pairs", "real"],
        "--pairs 'all' is not known": ["--pairs", "all", *table],
    }.items():
        refused = CliRunner().invoke(app, [*given, *arguments])
        assert refused.exit_code == 2
        assert words in " ".join(refused.output.split())
