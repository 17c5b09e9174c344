"""The arithmetic that attacks of a search run in."""

import torch


def resolve_attack_dtype(name: str, device: torch.device) -> str:
    """Replace "auto" by "bfloat16" where the device multiplies it, else by "float32".

    A CPU does where oneDNN has bfloat16 convolutions for it (on x86 AVX-512, from avx512bw on), a
    GPU from compute capability 8.0 on.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        with torch.cuda.device(device):
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bfloat16" if fast else "float32"
