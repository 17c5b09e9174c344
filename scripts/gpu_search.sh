#!/usr/bin/env bash
# Robust CIFAR-10 searches of several seeds on one GPU, one after the other within a time limit:
#
#     scripts/gpu_search.sh OUT_DIR MINUTES [FLAGS of scripts/search.py]
#
# Each seed is a run directory, OUT_DIR/seedN, and a line: cell, rank and regret by PGD-20 8/255,
# seconds, images per second (weight and alpha batches of a step, median over the epochs after the
# warm-up), peak memory. When the time is over the search that runs writes a checkpoint and ends with
# status 130; the same command goes on from there and repeats no seed that is finished. Status 0 when
# all seeds are.
#
# PYTHON=python3  the interpreter, with torch; nothing is downloaded
# SEEDS="0 1 2"   the seeds
# DRY_RUN=1       say what would run, and run nothing
set -uo pipefail

if [ $# -lt 2 ] || ! [[ $2 =~ ^[0-9]+$ ]]; then
    echo "usage: scripts/gpu_search.sh OUT_DIR MINUTES [FLAGS of scripts/search.py]" >&2
    exit 2
fi
mkdir -p "$1" && out="$(cd "$1" && pwd)" || exit 2
minutes=$2 python="${PYTHON:-python3}" dry="${DRY_RUN:-}"
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

# line RUN: what the files of a finished run say.
line() {
    "$python" - "$1" <<'PYTHON'
import json, statistics, sys
from pathlib import Path

run = Path(sys.argv[1])
cell, config = (json.loads((run / f"{name}.json").read_text()) for name in ("genotype", "config"))
metrics = run / "metrics.jsonl"
epochs = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []
settings, table = config["config"], cell["benchmark"]
steps = [e["step_seconds"] for e in epochs if e["epoch"] > settings["warmup_epochs"]]
place = "not in a table at hand"
if table:
    rank, regret = (table[name]["cifar10"]["pgd_8"] for name in ("ranks", "regret"))
    place = f"rank {rank:,}  regret {100 * regret:.2f}"
print(
    f"seed {cell['seed']}  {cell['code']}  {place}  {cell['seconds']:.0f} s  "
    + (
        f"{2 * settings['batch_size'] / statistics.median(steps):,.0f} images/s  "
        f"{max(e['peak_memory_mb'] for e in epochs) / 1024:.1f} GiB"
        if steps else "without a supernet"
    )
)
PYTHON
}

for seed in ${SEEDS:-0 1 2}; do
    run="$out/seed$seed" left=$((60 * minutes - SECONDS))
    if [ ! -f "$run/genotype.json" ]; then
        command=("$python" scripts/search.py)
        if [ -f "$run/checkpoint.pt" ]; then
            command+=(--resume "$run" --quiet)
        else
            command+=(--robust --dataset cifar10 --preset gpu --quiet "$@" --seed "$seed" --out "$run")
        fi
        if [ -n "$dry" ]; then
            echo "${command[*]}"
            continue
        fi
        if [ "$left" -le 0 ]; then
            echo "the time is over before seed $seed; the same command goes on" >&2
            exit 130
        fi
        # Killed before its first checkpoint: nothing to go on from.
        [ -f "$run/checkpoint.pt" ] || rm -f "$run/config.json"
        timeout -s INT -k 60 "$left" "${command[@]}" > "$out/seed$seed.log" 2>&1
        status=$?
        if [ ! -f "$run/genotype.json" ]; then
            [ $status = 124 ] && status=130
            echo "seed $seed ended with status $status; its log is $out/seed$seed.log" >&2
            exit $status
        fi
    fi
    [ -n "$dry" ] || line "$run"
done
