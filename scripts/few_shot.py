"""What a second photo of a person is worth: `python scripts/few_shot.py FACES PEOPLE.csv docs/kept-back.txt`, with the photographs of docs/data.md.

Of each person of the London set who is kept back the networks learn from the neutral front and the neutral left three-quarter view; the edits are of
the front, towards the photos that smile or look to the right. Differences to the same edits without that, intervals over the people.
"""

import argparse
import time
from pathlib import Path

LEARNED = "_neutral_left_3quarter"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("people")
    parser.add_argument("only")
    parser.add_argument("--alone", action="store_true", help="learn from the front alone (one-shot), for comparison")
    parser.add_argument("--count", type=int, default=100, help="people at most")
    parser.add_argument("--sheet", type=Path, help="a picture: source, truth, without, with")
    args = parser.parse_args()

    import numpy as np
    from PIL import Image

    from discontrolface import Editor
    from discontrolface.common.files import replacing
    from discontrolface.common.pixels import to_float, to_uint8
    from discontrolface.common.statistics import bootstrap_mean
    from discontrolface.editing.method import finished
    from discontrolface.editing.pipeline import denoise
    from discontrolface.evaluation.people_trials import list_evaluated, people_trials
    from discontrolface.evaluation.similarity import psnr, ssim
    from discontrolface.evaluation.trials import Bench

    editor = Editor.load("open")
    bench = Bench(editor.reader, editor.reader.geometry, editor.networks.size, editor.networks.maps)
    people = {p.name: p for p in list_evaluated(args.faces, args.people, args.only) if len(p.photos) > 2}
    trials = people_trials(args.faces, "real", args.people, args.only, args.count)
    differences, rows = [], []
    for numbers in trials.batches():
        batch = trials.make(numbers, bench).trials
        photos = people[batch[0].person].photos
        begin = time.monotonic()
        also = () if args.alone else [editor.read(p) for p in photos if LEARNED in p.name]
        weights = editor.personalize(editor.read(photos[0]), also=also).personal
        took = time.monotonic() - begin
        kept = [trial for trial in batch if "left" not in trial.name]
        measured = []
        for trial in kept:
            pictures = [trial.source, to_uint8(trial.truth)]
            for personal in (None, weights):
                networks = editor.networks_of(trial.edit.person.with_personal(personal))
                pictures += finished([trial.edit], denoise(networks, [trial.edit], editor.preset.sampling))
            hidden = trial.edit.preview.visibility < 0.5
            of = [(psnr(p, trial.truth), psnr(p, trial.truth, hidden), ssim(p, trial.truth)) for p in map(to_float, pictures[2:])]
            measured.append([after - before for before, after in zip(*of, strict=True)])
            rows.append(np.concatenate(pictures, axis=1))
        differences.append(np.nanmean(measured, axis=0))
        print(f"{batch[0].person}: {took:.0f} s; PSNR, hidden PSNR, SSIM {np.round(differences[-1], 3).tolist()}", flush=True)
    for name, values in zip(("PSNR", "hidden PSNR", "SSIM"), np.array(differences).T, strict=True):
        print(f"{name}: {bootstrap_mean(values.tolist())}")
    if args.sheet is not None:
        with replacing(args.sheet, "the sheet") as file:
            Image.fromarray(np.concatenate(rows)).save(file, format="PNG")


if __name__ == "__main__":
    main()
