#!/usr/bin/env bash
# Everything about the kernels that needs a GPU, in one go and within eight minutes:
#
#     scripts/gpu_check.sh OUT_DIR
#
# builds for the GPU at hand, runs the kernel tests on it, compute-sanitizer (memcheck, racecheck)
# over the same tests where it is installed, each kernel against the copy bandwidth, and the
# benchmark. Leaves build.log, tests.log, memcheck.log, racecheck.log, kernels.json, gpu.json,
# gpu.txt and summary.txt in OUT_DIR. Status 0 when every step passed. PYTHON=... names the
# interpreter; nothing is downloaded. A step that runs past its limit counts as failed.
set -uo pipefail

if [ $# -ne 1 ]; then
    echo "usage: scripts/gpu_check.sh OUT_DIR" >&2
    exit 2
fi
mkdir -p "$1" && out="$(cd "$1" && pwd)" || exit 2
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
python="${PYTHON:-python3}"
failed=0
: > "$out/summary.txt"

say() { echo "$*" | tee -a "$out/summary.txt"; }

# step NAME SECONDS LOG COMMAND...: one line of summary; the output goes to LOG.
step() {
    local name=$1 limit=$2 log=$3 began=$SECONDS status
    shift 3
    timeout "$limit" "$@" > "$out/$log" 2>&1
    status=$?
    if [ $status -eq 0 ]; then
        say "ok      $name ($((SECONDS - began)) s)"
    else
        [ $status -eq 124 ] && say "TIMEOUT $name (limit $limit s, see $log)" \
            || say "FAILED  $name (status $status, see $log)"
        failed=1
    fi
    return $status
}

"$python" - <<'PY' | tee -a "$out/summary.txt" || { say "FAILED  no usable GPU"; exit 1; }
import torch
assert torch.cuda.is_available(), "torch sees no GPU"
p = torch.cuda.get_device_properties(0)
print(f"{p.name}, {p.multi_processor_count} multiprocessors, torch {torch.__version__}, CUDA {torch.version.cuda}")
PY

capability=$("$python" -c 'import torch; print("%d.%d" % torch.cuda.get_device_capability())')
export TORCH_CUDA_ARCH_LIST="$capability" REQUIRE_NATIVE=1
step "build for $capability" 200 build.log "$python" setup.py build_ext --inplace || exit 1
"$python" -c 'import sys; from cuda_ext import _native; sys.exit(not _native.runs_on("cuda"))' \
    || { say "FAILED  the extension was built without CUDA (see build.log)"; exit 1; }

if "$python" -c 'import pytest' 2> /dev/null; then
    step "kernel tests" 120 tests.log "$python" -m pytest -q -p no:cacheprovider \
        tests/cuda_ext/test_cuda.py tests/cuda_ext/test_mixed_op.py tests/ops/test_graphs.py
    sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2> /dev/null)
    if [ -n "$sanitizer" ]; then
        # torch's allocator hands out pieces of large blocks, where an overrun is no error to the
        # device; without it every tensor is an allocation of its own.
        for tool in memcheck racecheck; do
            step "compute-sanitizer $tool" 75 $tool.log env PYTORCH_NO_CUDA_MEMORY_CACHING=1 \
                "$sanitizer" --tool "$tool" --error-exitcode 3 --kernel-name regex:run_kernel \
                "$python" -m pytest -q -p no:cacheprovider tests/cuda_ext/test_cuda.py \
                -k "every_dtype or kernel_equals and 33"
        done
    else
        say "absent  compute-sanitizer is not installed: memcheck and racecheck did not run"
    fi
else
    say "absent  pytest is not installed: neither tests nor compute-sanitizer ran"
    failed=1
fi

step "kernels against the copy bandwidth" 60 kernels.txt \
    "$python" scripts/bench_kernels.py --device cuda --batch-size 256 --json "$out/kernels.json"
step "benchmark" 170 gpu.txt "$python" scripts/bench_mixed_op.py --device cuda --batch-size 256 \
    --attack-dtype bfloat16 --repeats 5 --json "$out/gpu.json"
cat "$out/kernels.txt" "$out/gpu.txt"
say "$SECONDS s in all"
exit $failed
