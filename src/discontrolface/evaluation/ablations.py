"""The experiments of the paper's supplement, and ours: what is varied, against what it is compared, and what the paper says comes out.

An experiment makes the same edits in several ways. ablation_run.py runs it, ablation_tables.py says what came out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from discontrolface.common.errors import UserError
from discontrolface.diffusion.settings import Sampling

EDITING, RECONSTRUCTION = "editing", "reconstruction"  # another look against a known truth; the source's own parameters against the source
THIS_PRESET = "this preset"
NAMES = ("start", "detail", "masking", "oneshot", "maps", "patch", "face-only", "steps", "space")


@dataclass(frozen=True)
class Sizes:
    """How much is measured. More pairs later go on with what is there."""

    pairs: int
    masking_pairs: int  # of the paper's own table, whose differences are small
    one_shot_pairs: int  # each needs a fine-tuning of its own
    steps: int
    iterations: tuple[int, ...]  # of one-shot fine-tuning, ascending
    warps: int | None = None  # of one-shot fine-tuning; None: the preset's
    batch: int | None = None  # likewise
    rows: int = 3  # pairs in the picture

    def of(self, name: str) -> int:
        """Pairs of an experiment."""
        return {"masking": self.masking_pairs, "oneshot": self.one_shot_pairs}.get(name, self.pairs)


FULL = Sizes(pairs=8, masking_pairs=16, one_shot_pairs=8, steps=20, iterations=(25, 50, 100))
QUICK = Sizes(pairs=2, masking_pairs=2, one_shot_pairs=1, steps=2, iterations=(1, 2), warps=1, batch=1, rows=1)


@dataclass(frozen=True)
class Variant:
    """One way to make an edit. sampling: fields of `Sampling` that differ from the run's (from noise, at temperature 1)."""

    name: str
    sampling: tuple[tuple[str, Any], ...] = ()
    without: tuple[str, ...] = ()  # snapshot maps that are set to zero
    iterations: int = 0  # of one-shot fine-tuning on the source beforehand
    weights: str = ""  # of another Exp-FaceNet, by its name in the run
    preset: str = ""  # another preset, by its name in the run
    own_sampling: bool = False  # sampled as its preset is, and not from noise
    detail: bool = True  # False: FLAME without the detail vector

    def sampled(self, usual: Sampling) -> Sampling:
        """The run's sampling with this variant's own fields."""
        return replace(usual, **dict(self.sampling))


def differing(name: str, without: tuple[str, ...] = (), **sampling: Any) -> Variant:
    """A variant that differs in these fields of `Sampling`."""
    return Variant(name, tuple(sorted(sampling.items())), without)


@dataclass(frozen=True)
class Comparison:
    """`variant` has more (or less) of a figure than `against`."""

    task: str
    figure: str
    variant: str
    against: str
    more: bool


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, and what has to be found if it holds here too: all of the comparisons."""

    text: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Experiment:
    """A question and the ways that answer it. reference: the variant that the others are compared with."""

    name: str
    title: str
    question: str
    variants: tuple[Variant, ...]
    reference: str
    tasks: tuple[str, ...] = (EDITING,)
    figures: tuple[str, ...] = ("psnr", "ssim", "mse", "hidden_mse", "landmarks", "head", "control")  # columns, see MEASURES
    main: str = "mse"  # the figure that ranks
    claims: tuple[Claim, ...] = ()
    axis: str = ""  # "steps" or "iterations": also a plot over this
    on_photos: bool = False  # made on photos, not on held-out pairs
    snapshots: bool = False  # the picture shows each variant's normals too
    note: str = ""


@dataclass(frozen=True)
class MeasureKind:
    """What a figure is called in a table; better: +1 if more is better, -1 if less is, 0 if neither."""

    label: str
    better: int
    scale: float = 1.0


MEASURES: dict[str, MeasureKind] = {
    "psnr": MeasureKind("PSNR, dB", 1),
    "ssim": MeasureKind("SSIM x 100", 1, 100),
    "mse": MeasureKind("error", -1),
    "hidden_mse": MeasureKind("error, hidden", -1),
    "off_face": MeasureKind("error off the face", -1),
    "landmarks": MeasureKind("landmarks, %", -1),
    "head": MeasureKind("head, degrees", -1),
    "control": MeasureKind("control", 1),
    "detail": MeasureKind("fine detail", 1),
    "seconds": MeasureKind("seconds", -1),
}
LEGEND = (
    "Measured are the networks' whole pictures; `edit` keeps the photo where the preview changes nothing. "
    "Error: squared difference to the true picture, colours in [-1, 1], x 1000; hidden: on what the photo did not show (visibility < 0.5). "
    "Landmarks: mean distance to those found in the true picture, % of the face's width. Head: angle between the heads read again in both. "
    "Control: share of the true motion of the landmarks that was made (1: all of it; only where they move by 1 % or more). "
    "Means with 95 % bootstrap intervals over the pairs."
)


def experiment(name: str, sizes: Sizes, weights: Sequence[str] = ()) -> Experiment:
    """An experiment by its name. weights: names of other Exp-FaceNets, for `maps`, or of presets, for `space`. UserError for an unknown name."""
    makers = {
        "start": start,
        "detail": detail,
        "masking": masking,
        "oneshot": lambda: oneshot(sizes.iterations),
        "maps": lambda: maps(weights),
        "patch": patch,
        "face-only": face_only,
        "steps": lambda: steps(sizes.steps),
        "space": lambda: space(weights),
    }
    if name not in makers:
        raise UserError(f"there is no ablation {name!r}; choose one of {', '.join(NAMES)}, or all")
    return makers[name]()


def start() -> Experiment:
    """Supplement, 1: where the denoising starts."""
    blind = ("preview", "visibility")
    return Experiment(
        "start",
        "Where an edit starts (X_T)",
        "The paper inverts the photo to its deterministic x_T and finds that this rebuilds the photo better but edits worse than X_T ~ N(0, I). "
        "Does that hold here, and what does a start from the noised preview (`draft`) do?",
        (
            Variant("noise"),
            differing("inverted", start="inverted", inversion="backbone"),
            differing("inverted, controlled", start="inverted", inversion="control"),
            differing("draft", start="draft"),
            differing("noise, no preview", blind),
            differing("inverted, no preview", blind, start="inverted", inversion="backbone"),
        ),
        "noise",
        (RECONSTRUCTION, EDITING),
        claims=(
            Claim("inverting rebuilds better", (Comparison(RECONSTRUCTION, "mse", "inverted", "noise", False),)),
            Claim("inverting edits worse", (Comparison(EDITING, "mse", "inverted", "noise", True),)),
            Claim("inverting makes control less exact", (Comparison(EDITING, "landmarks", "inverted", "noise", True),)),
            Claim(
                "inverting rebuilds better, without our preview",
                (Comparison(RECONSTRUCTION, "mse", "inverted, no preview", "noise, no preview", False),),
            ),
            Claim(
                "inverting edits worse, without our preview",
                (Comparison(EDITING, "mse", "inverted, no preview", "noise, no preview", True),),
            ),
        ),
        note="The open preset's network may copy from the preview, which in a reconstruction is the photo itself: so both starts also without it "
        "(preview and visibility zeroed, a state that the network was not trained for). The open networks predict x0, and inverting with such a "
        "backbone divides its errors by little noise (docs/decisions.md): what it does here says little about the paper's, which predicts noise. "
        "Controlled: inverted under the photo's own control and scaled, as `edit --start inverted` does it with the open preset.",
    )


def detail() -> Experiment:
    """Supplement, 2: the detail vector."""
    return Experiment(
        "detail",
        "The detail vector",
        "The paper adds EMOCA's person-specific detail vector to pose and expression: finer normals in the snapshot, so that wrinkles are kept. "
        "What does it change?",
        (Variant("with detail"), Variant("without detail", detail=False)),
        "with detail",
        (RECONSTRUCTION, EDITING),
        ("psnr", "ssim", "mse", "detail", "control"),
        "detail",
        claims=(
            Claim("the detail vector keeps wrinkles", (Comparison(RECONSTRUCTION, "detail", "without detail", "with detail", False),)),
        ),
        on_photos=True,
        snapshots=True,
        note="Reconstructions are compared with the photo. Of edits of photos nobody has the true picture: only control is measured, "
        "against the motion that the parameters ask for. Fine detail: correlation with the photo's finest structures inside the face.",
    )


def masking() -> Experiment:
    """Supplement, 3: schedules A to F."""
    usual, others = "F (linear, 75 to 25 %)", ("A (0 %)", "B (75 %)", "C (25 %)", "D (25, then 75 %)", "E (75, then 25 %)")
    variants = [differing(name, masking=name[0]) for name in (*others, usual)]
    return Experiment(
        "masking",
        "Masking while editing",
        "How much of the photo should the semantic encoder not see, step by step? Schedules A to F of the paper's supplement, and F reversed.",
        (*variants, differing("F reversed (25 to 75 %)", masking="linear-up")),
        usual,
        (RECONSTRUCTION, EDITING),
        claims=(
            Claim("0 % (A) rebuilds strongly", (Comparison(RECONSTRUCTION, "mse", others[0], usual, False),)),
            Claim("0 % (A) ignores the control", (Comparison(EDITING, "control", others[0], usual, False),)),
            Claim("75 % (B) is slightly worse", (Comparison(EDITING, "mse", others[1], usual, True),)),
            Claim("25 % (C) is slightly worse", (Comparison(EDITING, "mse", others[2], usual, True),)),
            Claim("linear (F) is the best overall", tuple(Comparison(EDITING, "mse", name, usual, True) for name in others)),
        ),
        note="The supplement gives neither F's ends nor its direction: 75 to 25 % is assumed. The paper's network sees renderings alone, so that all "
        "about the person comes through the masked encoder. The open preset's also sees the preview and may copy from it: what masking does "
        "there says little about a network without a preview.",
    )


def oneshot(iterations: Sequence[int]) -> Experiment:
    """Supplement, 4: one-shot fine-tuning."""
    tuned = [Variant(f"{n} iteration{'s' if n > 1 else ''}", iterations=n) for n in iterations]
    last = tuned[-1].name
    return Experiment(
        "oneshot",
        "One-shot fine-tuning",
        "Does adapting the network to one photo help, and how many iterations does it take?",
        (Variant("off"), *tuned),
        "off",
        (RECONSTRUCTION, EDITING),
        claims=(
            Claim("fine-tuning brings lost semantics back: rebuilding", (Comparison(RECONSTRUCTION, "mse", last, "off", False),)),
            Claim("fine-tuning brings lost semantics back: editing", (Comparison(EDITING, "mse", last, "off", False),)),
        ),
        axis="iterations",
        note="Fine-tuned on the first picture of each pair alone. All counts come from one fine-tuning, stopped on its way: "
        "its learning rate is constant, so a shorter one gives the same.",
    )


def maps(weights: Sequence[str]) -> Experiment:
    """Ours: which maps of the snapshot does the control need?"""
    without = {
        "no normals": ("normals",),
        "no Lambertian": ("lambertian",),
        "no 3D (neither)": ("normals", "lambertian"),
        "no visibility": ("visibility",),
        "no preview (nor visibility)": ("preview", "visibility"),
    }
    return Experiment(
        "maps",
        "Channels of the snapshot",
        "Which maps of the snapshot carry the control?",
        (
            Variant("all maps"),
            *(differing(name, zeroed) for name, zeroed in without.items()),
            *(Variant(name, weights=name) for name in weights),
        ),
        "all maps",
        note="Maps are zeroed in a network that was trained with all of them: a probe of what this network reads, not of what "
        "a network trained without them would reach. Networks trained on other maps enter with `--weights NAME=FOLDER`"
        + (f"; here: {', '.join(weights)}." if weights else "; none was given here."),
    )


def patch() -> Experiment:
    """Ours: size of the hidden patches, and a constant ratio."""
    sizes = [differing(f"{n} px", mask_patch=n) for n in (8, 32, 64)]
    ratios = [differing(f"16 px, always {r:.0%}", masking=r) for r in (0.1, 0.5, 0.9, 1.0)]
    return Experiment(
        "patch",
        "Size and number of the hidden patches",
        "What do the size of the masked patches and a constant ratio change at inference? (16 px, 75 to 25 %, is the paper's.)",
        (Variant("16 px"), *sizes, *ratios),
        "16 px",
        note="The network was trained with 16 px and ratios from 25 to 75 %.",
    )


def face_only() -> Experiment:
    """Ours, named by the paper as a way out of a limit: mask only patches that touch the face."""
    return Experiment(
        "face-only",
        "Masking the face only",
        "The paper expects that masking only patches of the face keeps the background steadier, at some cost in time. Does it?",
        (
            Variant("whole crop"),
            differing("face only", mask_region="face"),
            differing("whole crop, always 75 %", masking="B"),
            differing("face only, always 75 %", masking="B", mask_region="face"),
        ),
        "whole crop",
        (RECONSTRUCTION, EDITING),
        ("psnr", "ssim", "mse", "off_face", "landmarks", "control", "seconds"),
        claims=(
            Claim("face-only masking keeps the background steadier", (Comparison(EDITING, "off_face", "face only", "whole crop", False),)),
        ),
        note="The face is the hull of the photo's 468 landmarks. Error off the face: where neither the photo's face nor the true picture's is.",
    )


def steps(usual: int) -> Experiment:
    """Ours: number of steps and solver."""
    counts = [n for n in (1, 2, 5, 10, 20, 50) if n <= 2.5 * usual]
    solvers = [("ddim", n) for n in counts] + [("dpm++", n) for n in counts if n > 1]
    if usual not in counts:
        solvers.append(("ddim", usual))
    return Experiment(
        "steps",
        "Steps and solver",
        "How many denoising steps does an edit from noise need, and does DPM-Solver++ need fewer than DDIM?",
        tuple(differing(f"{solver}, {n}", solver=solver, steps=n) for solver, n in solvers),
        f"ddim, {usual}",
        figures=("psnr", "ssim", "mse", "hidden_mse", "landmarks", "control", "seconds"),
        axis="steps",
        note="One step of either solver is the same prediction, at t = 999. N steps begin at t = 1000 (N - 1) / N, as the official code's: two at "
        "t = 500, where pure noise does not belong, which would explain why two are worse than one. "
        "Seconds: of one edit on this machine, whatever else it was doing.",
    )


def space(presets: Sequence[str]) -> Experiment:
    """The paper's future work: denoise pixels, or the latents of an autoencoder?"""
    return Experiment(
        "space",
        "Pixels or latents",
        "The paper names a second network beside the U-Net and diffusion on pixels as what keeps its pictures small. What do the latents of an "
        "autoencoder change in quality and time?",
        (Variant(THIS_PRESET, own_sampling=True), *(Variant(name, preset=name, own_sampling=True) for name in presets)),
        THIS_PRESET,
        (RECONSTRUCTION, EDITING),
        ("psnr", "ssim", "mse", "hidden_mse", "detail", "landmarks", "control", "seconds"),
        note="Each preset denoises as its preset.json says, at its own size; its picture is brought to this preset's size and compared there. "
        "Seconds: the denoising of one edit on this machine, the autoencoder's work in it, whatever else the machine was doing. "
        "Presets that were trained otherwise differ in more than their space.",
    )
