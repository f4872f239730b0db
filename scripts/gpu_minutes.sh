#!/usr/bin/env bash
# Minutes of a rented GPU, from an album to averaged weights and a state that can go on (docs/scale.md).
#
#   scripts/gpu_minutes.sh ALBUM.zip OUT MINUTES [train's options, e.g. --stop-after 9 --import-state STATE]
#
# Nothing is fetched, nothing but OUT and RUN is written. The package need not be installed: it is run from the working tree.
#   OUT/state   the state in files of less than 15.5 MB (the averaged weights among them, as float16), OUT/log.jsonl the losses
#   RUN         the whole run, for going on here (default runs/gpu); CONFIG, START: the config and the weights to start with
#   PYTHON      the interpreter that has PyTorch (default python3)
set -euo pipefail
album=$1 out=$2 minutes=$3
shift 3
here=$(cd "$(dirname "$0")/.." && pwd)
run=${RUN:-runs/gpu} config=${CONFIG:-open_expfacenet_8} open=$here/src/discontrolface/assets/open
export PYTHONPATH=$here/src${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
mkdir -p "$out"
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,memory.total --format=csv,noheader || true
copy_log() { cp "$run/log.jsonl" "$out/log.jsonl" 2>/dev/null || true; }
trap copy_log EXIT
"${PYTHON:-python3}" -m discontrolface train expfacenet --config "$config" --data "$album" --backbone "$open/diffae" \
    --start-from "${START:-$open/exp_facenet}" -o "$run" --export-state "$out/state" --end-after "$minutes" "$@"
