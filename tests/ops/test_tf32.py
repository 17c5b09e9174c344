"""TF32's switches, in every state that a user of torch may have brought them to."""

import json
import subprocess
import sys

import pytest
import torch

from ops import tf32

STATES = {
    "as they are": "",
    "allow_tf32": "b.cudnn.allow_tf32 = False; b.cuda.matmul.allow_tf32 = True",
    "set_float32_matmul_precision": "torch.set_float32_matmul_precision('high')",
    "medium": "torch.set_float32_matmul_precision('medium')",
    "convolutions": "b.cudnn.conv.fp32_precision = 'ieee'",
    "products": "b.cuda.matmul.fp32_precision = 'tf32'",
    "both": "b.cudnn.conv.fp32_precision = b.cuda.matmul.fp32_precision = 'tf32'",
    "cudnn": "b.cudnn.fp32_precision = 'tf32'",
    "everything": "b.fp32_precision = 'tf32'",
    "nothing": "b.fp32_precision = 'ieee'",
}
BLOCK = """
import torch
from ops import tf32
from ops.captures import arithmetic
b = torch.backends
{state}
def medium():
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None
before, keys, words = tf32.precisions(), arithmetic(), medium()
for _ in range(2):
    with tf32.switched_off():
        assert tf32.allowed() == (False, False), tf32.precisions()
        if hasattr(b.cudnn, "conv"):
            found = b.cudnn.conv.fp32_precision, b.cuda.matmul.fp32_precision
            assert found == ("ieee", "ieee"), found
    assert tf32.precisions() == before and arithmetic() == keys, (before, tf32.precisions())
    assert medium() == words, (words, medium())
print(*tf32.allowed())
"""
ALLOWED = {
    "as they are": "True False", "allow_tf32": "False True",
    "set_float32_matmul_precision": "True True", "convolutions": "False False",
    "products": "True True", "both": "True True", "everything": "True True",
    "cudnn": "True True", "nothing": "False False", "medium": "True True",
}  # fmt: skip


FORKS = """
import json, os, sys, traceback
import torch
from ops import captures
for name, block in json.load(sys.stdin).items():
    print(name, end=": ", flush=True)
    if os.fork() == 0:
        try:
            exec(block, {})
        except BaseException:
            print(traceback.format_exc().splitlines()[-1])
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    """What each block prints in a process of its own, since its switches are a process's: forks of
    one that has imported torch."""
    blocks = {name: BLOCK.format(state=state) for name, state in STATES.items()}
    done = subprocess.run(
        [sys.executable, "-c", FORKS], input=json.dumps(blocks), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_switches_are_off_inside_and_as_they_were_outside(
    state: str, found: dict[str, str]
) -> None:
    if "fp32_precision" in STATES[state] and not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("this torch has allow_tf32 alone")
    assert found[state] == ALLOWED[state]


def test_an_error_inside_leaves_the_switches_as_they_were() -> None:
    before = tf32.precisions()
    with pytest.raises(KeyError), tf32.switched_off():
        raise KeyError
    assert tf32.precisions() == before
