"""What "auto" becomes on each machine."""

import platform

import pytest
import torch

from supernet.attacks.arithmetic import resolve_attack_dtype

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("machine", "one_dnn", "instructions", "amx", "expected"),
    [
        ("x86_64", True, True, False, "bfloat16"),
        ("x86_64", True, False, True, "bfloat16"),
        ("x86_64", True, False, False, "float32"),  # emulated, at half the speed of float32
        ("x86_64", False, True, True, "float32"),
        ("aarch64", True, False, False, "bfloat16"),
        ("aarch64", False, False, False, "float32"),
    ],
)
def test_automatic_is_bfloat16_where_the_cpu_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, machine: str, one_dnn: bool, instructions: bool, amx: bool,
    expected: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: one_dnn)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert resolve_attack_dtype("auto", CPU) == expected
    assert resolve_attack_dtype("float32", CPU) == "float32"
    assert resolve_attack_dtype("bfloat16", CPU) == "bfloat16"


def test_this_torch_can_tell() -> None:
    """The two questions are private in torch; a version without them fails here, not at a user."""
    assert resolve_attack_dtype("auto", CPU) in ("bfloat16", "float32")


@pytest.mark.parametrize("there", [False, True])
def test_automatic_is_bfloat16_where_the_gpu_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """A GPU that only emulates it does not count."""

    def supported(including_emulation: bool = True) -> bool:
        return there or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "device", lambda device: torch.no_grad())
    assert resolve_attack_dtype("auto", CUDA) == ("bfloat16" if there else "float32")
