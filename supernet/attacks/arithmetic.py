"""The arithmetic that attacks of a search run in."""

import platform

import torch


def resolve_attack_dtype(name: str, device: torch.device) -> str:
    """Replace "auto" by "bfloat16" where the device multiplies it, else by "float32".

    A GPU does from compute capability 8.0 on, a CPU where it has instructions for it, on x86
    AVX512-BF16 or AMX, and oneDNN has convolutions of them.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        with torch.cuda.device(device):
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported() and _has_instructions()
    return "bfloat16" if fast else "float32"


def _has_instructions() -> bool:
    """Whether an x86 CPU multiplies bfloat16; oneDNN emulates it on every AVX-512 CPU, and an
    attack then takes twice as long as in float32 (docs/bench)."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return True
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
