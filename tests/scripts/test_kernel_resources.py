"""scripts/kernel_resources.py: what it reads from the compiler, and the limits of every kernel."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from scripts.kernel_resources import (
    CUDA,
    compile_kernels,
    faults,
    nvcc,
    read_machine_code,
    read_ptxas,
    readable,
)

NAME = "_ZN2rs10run_kernelINS_14NodeSumsKernelIfLi4ELi3EEEEEvT_"
PTXAS = f"""ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '{NAME}' for 'sm_90'
ptxas info    : Function properties for {NAME}
    8 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 130 registers, used 1 barriers, 8 bytes cumulative stack size
ptxas info    : Compile time = 378.084 ms
"""
MACHINE_CODE = f"""
\t\tFunction : {NAME}
\t.headerflags\t@"EF_CUDA_SM90"
        /*0000*/                   LDC R1, c[0x0][0x28] ;    /* 0x00000a00ff017b82 */
                                                             /* 0x000fe20000000800 */
        /*0010*/              @!P0 LDG.E.128.CONSTANT R4, desc[UR4][R2.64] ; /* 0x0 */
        /*0020*/               @P1 LDG.E.U16.CONSTANT R4, desc[UR4][R2.64] ; /* 0x0 */
        /*0030*/                   LDG.E R4, desc[UR4][R2.64] ; /* 0x0 */
        /*0040*/                   STG.E.64 desc[UR4][R2.64], R4 ; /* 0x0 */
        /*0050*/                   EXIT ;                    /* 0x0 */
        /*0060*/                   NOP;                      /* 0x0 */
"""


def test_registers_and_spills_are_read() -> None:
    assert read_ptxas(PTXAS) == {NAME: {"registers": 130, "spilled_bytes": 12}}


def test_instructions_and_widths_are_counted() -> None:
    expected = {"instructions": 6, "loads": {"128": 1, "16": 1, "32": 1}, "stores": {"64": 1}}
    assert read_machine_code(MACHINE_CODE) == {NAME: expected}


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("FoldKernel", {}, []),
        ("FoldKernel", {"registers": 129}, ["FoldKernel uses 129 registers, more than 128"]),
        ("FoldKernel", {"spilled_bytes": 8}, ["FoldKernel spills 8 bytes of registers"]),
        ("FoldKernel", {"stores": {"64": 3}}, []),
        ("StepKernel<float, 4>", {}, []),
        ("StepKernel<float, 4>", {"stores": {"128": 1, "32": 4}},
         ["StepKernel<float, 4> has stores of 128, 32 bits, expected 128"]),
        ("StepKernel<float, 1>", {"stores": {"32": 1}}, []),
    ],
)  # fmt: skip
def test_limits(name: str, change: dict[str, Any], said: list[str]) -> None:
    kernel = {"registers": 128, "spilled_bytes": 0, "stores": {"128": 2}}
    assert faults(name, {**kernel, **change}) == said


@pytest.mark.slow
@pytest.mark.skipif(nvcc() is None, reason="there is no nvcc")
@pytest.mark.parametrize("source", sorted(CUDA.glob("*.cu")), ids=lambda path: path.stem)
def test_every_kernel_fits_its_registers(source: Path) -> None:
    kernels = compile_kernels(source, "sm_90")
    assert kernels and all(kernel["registers"] > 0 for kernel in kernels.values())
    assert [text for name, kernel in kernels.items() for text in faults(name, kernel)] == []


@pytest.mark.skipif(shutil.which("c++filt") is None, reason="there is no c++filt")
def test_names_are_readable() -> None:
    assert readable(NAME) == "NodeSumsKernel<float, 4, 3>"
    of_a_form = "_ZN2rs10run_kernelINS_15NodeWriteKernelIfLi4ELNS_4FormE2ELi1EEEEEvT_"
    assert readable(of_a_form) == "NodeWriteKernel<float, 4, gather, 1>"
