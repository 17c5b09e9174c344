"""What "auto" becomes on each machine."""

import pytest
import torch

from supernet.attacks.arithmetic import resolve_attack_dtype

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize("there", [False, True])
def test_automatic_is_bfloat16_where_the_cpu_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: there)
    assert resolve_attack_dtype("auto", CPU) == ("bfloat16" if there else "float32")
    assert resolve_attack_dtype("float32", CPU) == "float32"
    assert resolve_attack_dtype("bfloat16", CPU) == "bfloat16"


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
