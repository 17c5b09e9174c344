#!/usr/bin/env bash
# Everything about the kernels that needs a GPU, in one go and within eight minutes:
#
#     scripts/gpu_check.sh OUT_DIR
#
# builds for the GPU at hand, runs the kernel tests on it, a search with CUDA graphs against one
# without, compute-sanitizer (memcheck, racecheck) over the tests marked `sanitize`, each kernel
# against the copy bandwidth, and the benchmark.
# Each step leaves a log in OUT_DIR; summary.json says of each whether it was ok, failed or timed
# out. A step has until its deadline, so the next one may use what it leaves, and one that fails
# stops none of those after it. Status 0 when all were ok.
#
# PYTHON=python3  the interpreter, with torch and pytest; nothing is downloaded
# DRY_RUN=1       say what would run until when, and run nothing
# BUDGET=480      seconds for everything
set -uo pipefail

if [ $# -ne 1 ]; then
    echo "usage: scripts/gpu_check.sh OUT_DIR" >&2
    exit 2
fi
mkdir -p "$1" && out="$(cd "$1" && pwd)" || exit 2
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
python="${PYTHON:-python3}" budget="${BUDGET:-480}" dry="${DRY_RUN:-}" failed=0 steps=()
# The environment of the interpreter may have brought ninja.
PATH="$(dirname "$(command -v "$python")"):$PATH:${CUDA_HOME:-/usr/local/cuda}/bin"
export PATH PYTHONUNBUFFERED=1 REQUIRE_NATIVE=1 REQUIRE_GPU=1

# step NAME DEADLINE COMMAND...: the deadline in seconds of 480 from the start; output to NAME.log.
step() {
    local name=$1 deadline=$(($2 * budget / 480)) began=$SECONDS limit status=failed code
    shift 2
    if [ -n "$dry" ]; then
        echo "until $deadline s  $name: ${*//$'\n'/ }"
        return
    fi
    limit=$((deadline > SECONDS ? deadline - SECONDS : 1))
    timeout -k 5 "$limit" "$@" > "$out/$name.log" 2>&1
    code=$?
    [ $code -eq 0 ] && status=ok
    # A killed program ends with 137 whoever killed it.
    [[ $code = 124 || $code = 137 ]] && [ $((SECONDS - began)) -ge "$limit" ] && status="timed out"
    [ $code -eq 0 ] || failed=1
    echo "$status: $name, $((SECONDS - began)) of $limit s"
    steps+=("$(printf '{"step": "%s", "status": "%s", "exit": %d, "seconds": %d, "limit": %d}' \
        "$name" "$status" $code $((SECONDS - began)) "$limit")")
    (
        IFS=,
        printf '{"seconds": %d, "ok": %s, "steps": [%s]}\n' $SECONDS \
            "$([ $failed = 0 ] && echo true || echo false)" "${steps[*]}" > "$out/summary.json"
    )
    return $code
}

step device 30 "$python" -c '
import torch
assert torch.cuda.is_available(), "torch sees no GPU"
p = torch.cuda.get_device_properties(0)
print(f"{p.name}, {p.multi_processor_count} multiprocessors, torch {torch.__version__}, CUDA {torch.version.cuda}")
print(f"{p.major}.{p.minor}")' || { cat "$out/device.log"; exit 1; }
[ -n "$dry" ] || export TORCH_CUDA_ARCH_LIST="$(tail -n 1 "$out/device.log")"
step build 200 "$python" setup.py build_ext --inplace
step load 215 "$python" -c '
from cuda_ext import _native
why = _native.why_not("cuda") or _native.describe("cuda")  # which tries them
assert "cuda" in _native.compiled_for(), why'

pytest=("$python" -m pytest -q -p no:cacheprovider)
step tests 255 "${pytest[@]}" -k "not replay_equals" \
    tests/cuda_ext/test_cuda.py tests/cuda_ext/test_mixed_op.py tests/ops/test_graphs.py
# An attack and a search, each in a process of its own, by graphs and by ordinary calls.
step captures 280 "${pytest[@]}" -k replay_equals tests/cuda_ext/test_cuda.py
# The kernels in Triton, which compile when they are first used.
step triton 355 "${pytest[@]}" -k on_a_gpu tests/cuda_ext/test_triton.py

# torch's allocator hands out pieces of large blocks, where an overrun is no error to the device;
# without it every tensor is an allocation of its own. Our kernels, and none of torch's, go through
# run_kernel. torch asks the driver for functions that it may lack: those errors are not ours.
sanitizer=(env PYTORCH_NO_CUDA_MEMORY_CACHING=1
    compute-sanitizer --error-exitcode 3 --kernel-name kns=run_kernel)
cases=("${pytest[@]}" -m sanitize tests/cuda_ext/test_cuda.py)
step memcheck 388 "${sanitizer[@]}" --tool memcheck --report-api-errors no "${cases[@]}"
step racecheck 412 "${sanitizer[@]}" --tool racecheck "${cases[@]}"

step kernels 425 "$python" scripts/bench_kernels.py --device cuda --batch-size 256 \
    --dtype float32 bfloat16 --json "$out/kernels.json"
step benchmark 474 "$python" scripts/bench_mixed_op.py --device cuda --batch-size 256 \
    --skip compiled compiled_folded --json "$out/gpu.json"

[ -n "$dry" ] || cat "$out/device.log" "$out/kernels.log" "$out/benchmark.log"
exit $failed
