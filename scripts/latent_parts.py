"""Write the trained parts of the latent preset: `python scripts/latent_parts.py MADE TRAINED OUTPUT.safetensors`.

MADE: the preset of `discontrolface assets latent --untrained -o MADE`. TRAINED: the weights of `train expfacenet --config latents_expfacenet`
(diffae/, exp_facenet/). What ships is src/discontrolface/assets/latent/parts.safetensors.
"""

import argparse
from pathlib import Path

from discontrolface.common.weights_id import weights_id
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.weights.latent_parts import changed, write_parts
from discontrolface.weights.manifest import preset_folder
from discontrolface.weights.preset import load_backbone, load_network, load_preset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("made", type=Path)
    parser.add_argument("trained", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--preset", default="open", help="The preset on pixels beside which they were trained.")
    args = parser.parse_args()
    made, pixels = load_preset(args.made), load_preset(preset_folder(args.preset))
    trained = load_backbone(args.trained / "diffae"), load_network(ExpFaceNet, args.trained / "exp_facenet")
    parts = changed((made.model, made.control), trained)
    write_parts(args.output, weights_id(pixels.model, pixels.control), parts)
    numbers = sum(value.numel() for value in parts.values())
    print(f"{args.output}: {numbers:,} numbers in {len(parts)} tensors, {args.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
