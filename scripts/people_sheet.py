"""A sheet of photographs with twelve edits each: `python scripts/people_sheet.py docs/people-1.webp FACES/london/005_neutral_front.jpg ...`

Only of people who may be shown (docs/responsible-use.md), and who were kept out of training (docs/kept-back.txt).
"""

import argparse
from pathlib import Path

EDITS = {
    "smile": {"expression": {"smile": 0.8}},
    "jawOpen 0.6": {"expression": {"jawOpen": 0.6}},
    "blink": {"expression": {"blink": 1.0}},
    "neutral": {"neutral": True},
    "yaw +15": {"turn": (15, 0, 0)},
    "yaw -15": {"turn": (-15, 0, 0)},
    "yaw +25": {"turn": (25, 0, 0)},
    "yaw -25": {"turn": (-25, 0, 0)},
    "pitch +10": {"turn": (0, 10, 0)},
    "light left": {"light": "left"},
    "light right": {"light": "right"},
    "mix": {"turn": (12, 0, 0), "expression": {"smile": 0.6, "browsUp": 0.5}, "light": "right"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=160, help="pixels of a picture")
    args = parser.parse_args()

    import numpy as np
    from PIL import Image

    from discontrolface import Editor
    from discontrolface.common.files import replacing

    editor = Editor.load("open")
    rows = []
    for photo in args.photos:
        person = editor.read(photo)
        results = editor.edit_many(person, [person.parameters.edit(**edit) for edit in EDITS.values()])  # type: ignore[arg-type]
        rows.append(np.concatenate([person.crop.resize(args.size).image, *(r.crop_at(args.size) for r in results)], axis=1))
    with replacing(args.output, "the sheet") as file:
        Image.fromarray(np.concatenate(rows)).save(file, format="WEBP", quality=80, method=6)
    print(f"{args.output}: photo, {', '.join(EDITS)}")


if __name__ == "__main__":
    main()
