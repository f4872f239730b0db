"""Run an ablation: every item with every variant, the figures into a JSON file after each, a labelled grid of the first ones.

Stopped and started again it goes on where it was. Files in the output folder: NAME.json (settings, every figure, the summary), NAME.md (the
tables), NAME.png (the grid).
"""

from __future__ import annotations

import copy
import io
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.pixels import to_uint8
from discontrolface.common.tensors import from_network
from discontrolface.common.weights_id import weights_id
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.detail import down, up
from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.editing.personalize import OneShot, Subject, fine_tune
from discontrolface.editing.pipeline import Networks, denoise, prepare
from discontrolface.editing.sheet import contact_sheet
from discontrolface.evaluation.ablation_items import PHOTO_EDITS, Array, Item, pair_items, photo_items
from discontrolface.evaluation.ablation_page import section_markdown
from discontrolface.evaluation.ablation_reading import Readings, item_estimates
from discontrolface.evaluation.ablation_tables import section_of, summary_of
from discontrolface.evaluation.ablations import EDITING, FULL, RECONSTRUCTION, THIS_PRESET, Experiment, Sizes, Variant, experiment
from discontrolface.face.geometry import DetailGeometry
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.reports.content import Picture, Section
from discontrolface.synthetic.anatomy import HEAD
from discontrolface.synthetic.portraits import HELD_OUT
from discontrolface.weights.control_head import check_control_head
from discontrolface.weights.manifest import preset_folder
from discontrolface.weights.preset import Preset, load_network, load_preset

TAKE_WEIGHTS = ("maps", "space")  # experiments that compare other weights
SEED = 0  # of edits of photos; a pair's own seed makes its noise
TILE = 224  # pixels of a picture in the grid

Progress = Callable[[int, int], None]  # (edits done, of)


class Maker:
    """Makes the pictures: the preset's networks, other control networks or presets by name, and those fine-tuned on the last item's source."""

    def __init__(self, editor: Editor, sizes: Sizes, weights: Mapping[str, Any]) -> None:
        self.editor, self.sizes, self.weights = editor, sizes, weights
        self.maps = editor.networks.maps
        self._tuned_for = ""
        self._tuned: dict[int, Any] = {}

    @property
    def one_shot(self) -> OneShot:
        """How fine-tuning is done."""
        given: dict[str, Any] = {"warps": self.sizes.warps, "batch": self.sizes.batch, "iterations": max(self.sizes.iterations)}
        usual = self.editor.settings
        if usual.warps == 0:
            given.pop("warps")  # the paper's way has none
        return replace(usual, **{name: value for name, value in given.items() if value is not None})

    def item_for(self, item: Item, variant: Variant) -> Item:
        """The item with the control image that this variant sees; of another preset it is prepared when it is made."""
        if variant.preset:
            return item
        geometry = item.person.geometry if variant.detail else item.person.geometry.coarse()
        maps = tuple(self.control(item, variant).config["snapshot_maps"])
        return item if geometry is item.person.geometry and maps == self.maps else item.controlled(geometry, maps)

    def control(self, item: Item, variant: Variant) -> Any:
        """The control network of a variant."""
        if variant.weights:
            return self.weights[variant.weights]
        return self._fine_tuned(item)[variant.iterations] if variant.iterations else self.editor.preset.control

    def _fine_tuned(self, item: Item) -> dict[int, Any]:
        """{iterations: network} of one fine-tuning on the item's source, which stops at each count on its way."""
        if self._tuned_for == item.who:
            return self._tuned
        network: Any = copy.deepcopy(self.editor.preset.control).requires_grad_(True)
        kept: dict[int, Any] = {}

        def keep(done: int, total: int, loss: float) -> None:
            if done in self.sizes.iterations:
                kept[done] = copy.deepcopy(network).eval().requires_grad_(False)

        subject = Subject(item.source, item.person.parameters, item.person.geometry)
        fine_tune(self.editor.preset.model, network, subject, self.one_shot, "", torch.Generator().manual_seed(item.edit.seed), keep)
        self._tuned_for, self._tuned = item.who, kept
        return kept

    @property
    def sampling(self) -> Sampling:
        """The run's, which variants change: from noise at temperature 1."""
        return Sampling(steps=self.sizes.steps, start="noise", temperature=1.0, strength=self.editor.preset.sampling.strength)

    def make(self, item: Item, variant: Variant) -> tuple[Array, float]:
        """The networks' whole picture (S, S, 3) in [0, 1], and the seconds that the denoising took."""
        preset: Preset = self.weights[variant.preset] if variant.preset else self.editor.preset
        usual = preset.sampling if variant.own_sampling else self.sampling
        if variant.preset:
            networks = Networks(preset.model, preset.control, self.editor.device, self.editor.networks.head)
            edit = prepare(item.person, item.edit.target, networks.size, networks.maps, item.edit.seed)
        else:
            networks = replace(self.editor.networks, control=self.control(item, variant))
            edit = self.item_for(item, variant).edit.without(variant.without)
        begin = time.perf_counter()
        picture = from_network(denoise(networks, [edit], variant.sampled(usual)))
        seconds = time.perf_counter() - begin
        return (picture if len(picture) == item.size else (down if len(picture) > item.size else up)(picture, item.size)), seconds


def fits(variant: Variant, editor: Editor) -> bool:
    """Whether the preset's network has the maps, and its size the patches, that a variant is about."""
    sampling = variant.sampled(Sampling())
    needed = {*variant.without, *(("preview",) if sampling.start == "inverted" and sampling.inversion == "control" else ())}
    return needed <= set(editor.networks.maps) and editor.size % sampling.mask_patch == 0


def checked_experiment(name: str, editor: Editor, sizes: Sizes, people: Sequence[Person], weights: Mapping[str, Any]) -> Experiment:
    """The experiment with the variants that this preset can show. UserError that says what is needed if it cannot be run at all."""
    plan = experiment(name, sizes, tuple(weights) if name in TAKE_WEIGHTS else ())
    if weights and name not in TAKE_WEIGHTS:
        raise UserError(
            f"--weights {', '.join(weights)} are compared by `ablate maps` and `ablate space`, not by `ablate {name}`; leave them out"
        )
    if name == "space" and not weights:
        raise UserError(
            "`ablate space` compares this preset with others; give them with --weights NAME=PRESET, a folder or a preset's name"
        )
    head = editor.reader.geometry.head.name
    if plan.on_photos:
        if head == HEAD:
            raise UserError(
                "`ablate detail` compares control with and without EMOCA's detail vector, and the open head has none; "
                "bring FLAME and EMOCA's networks (see `discontrolface assets`), then give --preset paper and --photo"
            )
        if not people:
            raise UserError(f"`ablate {name}` is made on photos; give one or more with --photo")
        lacking = [p.photo.path.name for p in people if not isinstance(p.geometry, DetailGeometry)]
        if lacking:
            raise UserError(
                f"no detail vector was read in {lacking[0]}; that takes EMOCA's or DECA's networks, the texture coordinates and the detail mask "
                "(see `discontrolface assets`)"
            )
    elif head != HEAD:
        raise UserError(
            f"the held-out pairs are drawn with the open head, and preset {editor.preset.name!r} is controlled by {head!r}; give --preset open"
        )
    variants = tuple(v for v in plan.variants if fits(v, editor))
    names = {v.name for v in variants}
    claims = tuple(c for c in plan.claims if all({x.variant, x.against} <= names for x in c.comparisons))
    return replace(plan, variants=variants, claims=claims)


def load_presets(given: Mapping[str, Path], editor: Editor) -> dict[str, Any]:
    """Other presets, by folder or name, that are controlled by the same head model. UserError for one that is not."""
    presets: dict[str, Any] = {}
    for name, folder in given.items():
        if name == THIS_PRESET:
            raise UserError(f"--weights {name}={folder}: that name is the preset's own; choose another")
        preset = load_preset(preset_folder(str(folder)), editor.device)
        if preset.head != editor.preset.head:
            raise UserError(
                f"--weights {name}: {folder} is controlled by the head model {preset.head!r}, this preset by {editor.preset.head!r}"
            )
        presets[name] = preset
    return presets


def load_controls(given: Mapping[str, Path], editor: Editor) -> dict[str, Any]:
    """Other trained Exp-FaceNets: folders of the network itself, or of a preset. UserError for one that is not for this backbone."""
    controls: dict[str, Any] = {}
    for name, folder in given.items():
        inner = folder / "exp_facenet"
        control = load_network(ExpFaceNet, inner if inner.is_dir() else folder, editor.device)
        check_control_head(control, editor.preset.head, folder)
        own, theirs = editor.preset.control.config, control.config
        for key in ("image_size", "patch", "model_channels", "channel_mult", "num_res_blocks", "z_channels"):
            if tuple(np.atleast_1d(theirs[key])) != tuple(np.atleast_1d(own[key])):
                raise UserError(
                    f"--weights {name}: {folder} has {key} {theirs[key]}, the preset's network {own[key]}; they need one backbone"
                )
        controls[name] = control
    return controls


def settings_of(plan: Experiment, maker: Maker, people: Sequence[Person]) -> dict[str, Any]:
    """Everything that the figures depend on, as JSON holds it. A record of other settings is not continued."""
    editor = maker.editor
    given: dict[str, Any] = {
        "preset": editor.preset.name,
        "weights": editor.base_id,
        "other weights": {
            name: weights_id(other.model, other.control) if isinstance(other, Preset) else weights_id(other)
            for name, other in maker.weights.items()
        },
        "steps": maker.sizes.steps,
        "variants": {v.name: repr(v) for v in plan.variants},
        "tasks": list(plan.tasks),
        "first seed of the pairs": HELD_OUT,
        "seed of photos": SEED,
        "photos": [p.photo.sha256 for p in people],
        "device": editor.device,
        "versions": {name: version(name) for name in ("discontrolface", "torch", "numpy")} | {"python": platform.python_version()},
    }
    if any(v.own_sampling for v in plan.variants):
        given["samplings"] = {name: repr(preset.sampling) for name, preset in {THIS_PRESET: editor.preset, **maker.weights}.items()}
    if any(v.sampled(maker.sampling).start == "draft" for v in plan.variants):
        given["steps from the draft"] = maker.sampling.refinement
        given["strength of the draft"] = maker.sampling.strength
    if plan.axis == "iterations":
        given["one-shot"] = repr(maker.one_shot)
    return dict(json.loads(json.dumps(given)))


def begin_record(path: Path, name: str, settings: dict[str, Any], overwrite: bool) -> dict[str, Any]:
    """What was measured so far. Files of another run: UserError, or with `overwrite` an empty record that will replace them."""
    fresh: dict[str, Any] = {"ablation": name, "settings": settings, "figure": False, "items": {}}
    if not path.exists():
        for other in (path.with_suffix(".png"), path.with_suffix(".md")):
            if other.exists() and not overwrite:
                raise UserError(f"{other} exists; choose another -o or give --overwrite")
        return fresh
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        known = record["settings"]
        record["items"].items()
        if record["ablation"] != name:
            raise KeyError(name)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        if overwrite:
            return fresh
        raise UserError(f"{path} is not a record of `ablate {name}`; choose another -o or give --overwrite") from error
    changed = [key for key in sorted({*known, *settings}) if known.get(key) != settings.get(key)]
    if changed and overwrite:
        return fresh
    if changed:
        raise UserError(
            f"{path} was measured with other settings ({', '.join(changed)}); choose another -o or give --overwrite to start again"
        )
    return record


@dataclass
class Run:
    """One ablation under way."""

    plan: Experiment
    maker: Maker
    people: Sequence[Person]
    pairs: int
    path: Path  # of the JSON
    record: dict[str, Any]
    progress: Progress | None

    def items(self, shown: bool) -> Iterator[Item]:
        """The items of the picture, or those that are measured."""
        kinds, editor, maps = self.plan.tasks, self.maker.editor, self.maker.maps
        if not self.plan.on_photos:
            for number in range(min(self.maker.sizes.rows, self.pairs) if shown else self.pairs):
                if shown or not self.measured(number):
                    yield from pair_items(number, kinds, editor, maps)
        if self.plan.on_photos or shown:
            for person in self.people:
                yield from photo_items(person, SEED, kinds, editor, maps)

    def measured(self, number: int) -> bool:
        """Whether all of a pair's figures are there, so that it need not be drawn."""
        done = [self.record["items"].get(f"{HELD_OUT + number} {kind}", {"variants": {}}) for kind in self.plan.tasks]
        return all(v.name in entry["variants"] for entry in done for v in self.plan.variants)

    def counts(self, item: Item) -> bool:
        """Whether the item's figures belong to the tables: of pairs, or of photos in an experiment on photos."""
        return self.plan.on_photos == item.on_photo

    def entry(self, item: Item) -> dict[str, Any]:
        """The item's place in the record."""
        entry: dict[str, Any] = self.record["items"].setdefault(item.key, {"task": item.kind, "edit": item.label, "variants": {}})
        return entry

    def save(self) -> None:
        """The record so far."""
        write_atomically(self.path, json.dumps(self.record, indent=1).encode())

    def report_progress(self) -> None:
        """Progress, in measured edits."""
        if self.progress is not None:
            done = sum(len(entry["variants"]) for entry in self.record["items"].values())
            of_photo = (len(PHOTO_EDITS) if EDITING in self.plan.tasks else 0) + (RECONSTRUCTION in self.plan.tasks)
            items = len(self.people) * of_photo if self.plan.on_photos else self.pairs * len(self.plan.tasks)
            self.progress(done, max(items * len(self.plan.variants), done))

    def measure(self, item: Item, keep: bool) -> dict[str, Array]:
        """Every variant of an item that is not measured yet; with `keep` all of them, and their pictures."""
        pictures: dict[str, Array] = {}
        entry = self.entry(item) if self.counts(item) else {"variants": {}}
        missing = [v for v in self.plan.variants if keep or v.name not in entry["variants"]]
        readings = Readings.of(item, self.maker.editor.reader) if missing and self.counts(item) else None
        for variant in missing:
            picture, seconds = self.maker.make(item, variant)
            if keep:
                pictures[variant.name] = picture
            if readings is not None and variant.name not in entry["variants"]:
                figures = item_estimates(picture, item, readings, self.maker.editor.reader)
                entry["variants"][variant.name] = {**figures, "seconds": round(seconds, 3)}
                self.save()
                self.report_progress()
        return pictures

    def draw(self) -> None:
        """The picture: a row per item; photo, truth, (each variant's normals,) each variant."""
        tiles: list[tuple[str, Image.Image]] = []
        columns = 0
        for item in self.items(shown=True):
            pictures = self.measure(item, keep=True)
            row: list[tuple[str, Array]] = [(f"for: {item.label}", item.source)]
            if not self.plan.on_photos:
                row.append(("", np.ones_like(item.source)) if item.truth is None else ("truth", item.truth))
            if self.plan.snapshots:
                row += [(f"normals {v.name}", normals(self.maker.item_for(item, v))) for v in self.plan.variants]
            row += list(pictures.items())
            tiles += [(label, Image.fromarray(to_uint8(picture))) for label, picture in row]
            columns = len(row)
        if not tiles:
            return
        out = io.BytesIO()
        contact_sheet(tiles, columns, TILE).save(out, "PNG", optimize=True)
        write_atomically(self.path.with_suffix(".png"), out.getvalue())
        self.record["figure"] = True
        self.save()


def normals(item: Item) -> Array:
    """(H, W, 3) in [0, 1]: the normals of an item's snapshot, black off the head."""
    shown = item.edit.snapshot.image[0, :3].permute(1, 2, 0).numpy()
    return np.asarray((shown + 1) / 2 * (np.abs(shown).sum(-1, keepdims=True) > 0), np.float32)


def run_ablation(
    name: str,  # one of ablations.NAMES
    editor: Editor,
    output: Path,  # a folder; created if it does not exist
    sizes: Sizes = FULL,
    people: Sequence[Person] = (),  # photos for the picture; for `detail` also for the figures
    weights: Mapping[str, Any]
    | None = None,  # other Exp-FaceNets for `maps`, see load_controls; other presets for `space`, see load_presets
    overwrite: bool = False,  # replace what other settings or another program left there; a record of the same settings is carried on
    progress: Progress | None = None,
) -> Section:
    """Run an ablation, or carry on with it, and write its files. UserError if the preset cannot show it or files of another run are there."""
    plan = checked_experiment(name, editor, sizes, people, weights or {})
    maker = Maker(editor, sizes, weights or {})
    path = output / f"{name}.json"
    record = begin_record(path, name, settings_of(plan, maker, people), overwrite)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {output}: {error.strerror}; choose another -o") from error
    pairs = 0 if plan.on_photos else sizes.of(name)
    run = Run(plan, maker, people, pairs, path, record, progress)
    picture = path.with_suffix(".png")
    if not (record["figure"] and picture.is_file()):
        run.draw()
    for item in run.items(shown=False):
        run.measure(item, keep=False)
    record["summary"] = summary_of(plan, record["items"])
    run.save()
    section = section_of(plan, record, picture_of(picture))
    write_atomically(path.with_suffix(".md"), section_markdown(section, picture.name if picture.is_file() else None).encode())
    return section


def picture_of(path: Path) -> Picture | None:
    """The grid as a report holds it."""
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return Picture("The same edits in every way", np.asarray(image.convert("RGB")))
