#!/usr/bin/env python3
"""Compile the CUDA kernels and count what a GPU would need for them. No GPU is asked for.

    python scripts/kernel_resources.py --json docs/bench/kernel_resources.json
    python scripts/kernel_resources.py --triton           those in Triton, which need no nvcc

Registers and spills are what ptxas says of each kernel; instructions and the widths of loads and
stores are counted in the machine code, where cuobjdump is there to show it (CUDA has it, and so has
Triton). The status is 1 where a kernel spills registers, uses more than 128 of them, or, of those
that move 16 bytes at a time, stores less. A kernel in Triton may use more registers.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from supernet import cli
from supernet.errors import UserError

CUDA = Path(__file__).resolve().parents[1] / "cuda_ext" / "csrc" / "cuda"
MOST_REGISTERS = 128

_FORMS = ("train", "attack", "gather")
_PTXAS = re.compile(
    r"Compiling entry function '(\S+)' for.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
    r".*?Used (\d+) registers",
    re.DOTALL,
)
_RESOURCES = re.compile(r"REG:(\d+) STACK:(\d+)")
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]+)")
_BITS = re.compile(r"\.(?:[US](?=8|16)|)(8|16|64|128)(?:\.|$)")

Kernel = dict[str, Any]


def main() -> None:
    """Compile, print a table, write JSON, and exit with status 1 where a limit is broken."""
    arguments = _parser().parse_args()
    kernels: dict[str, Kernel] = {}
    if arguments.triton:
        kernels = compile_triton(arguments.arch)
    for source in () if arguments.triton else sorted(CUDA.glob("*.cu")):
        kernels.update(compile_kernels(source, arguments.arch))
    for name, kernel in kernels.items():
        print(f"{name:46} {_line(kernel)}")
    if arguments.json:
        from supernet.files import write_json

        command = "python " + " ".join(sys.argv)
        compiler = {"triton": version("triton")} if arguments.triton else {"nvcc": nvcc_version()}
        report = {"command": command, **compiler, "arch": arguments.arch, "kernels": kernels}
        write_json(arguments.json, report)
    if broken := [text for name, kernel in kernels.items() for text in faults(name, kernel)]:
        raise UserError("; ".join(broken))


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    add = parser.add_argument
    add("--arch", default="sm_90", help="The GPU architecture. Default: sm_90.")
    add("--triton", action="store_true", help="The kernels in Triton instead of those in CUDA C++.")
    add("--json", type=Path, metavar="FILE", help="Write the numbers here.")
    return parser


def nvcc() -> str | None:
    """The compiler: in CUDA_HOME, else on the path; None where there is none."""
    home = os.environ.get("CUDA_HOME")
    return shutil.which(str(Path(home) / "bin" / "nvcc") if home else "nvcc")


def nvcc_version() -> str:
    """The release that nvcc names."""
    said = subprocess.run([str(nvcc()), "--version"], capture_output=True, text=True).stdout
    found = re.search(r"release (\S+),", said)
    return found[1] if found else "unknown"


def compile_kernels(source: Path, arch: str) -> dict[str, Kernel]:
    """Name -> what the kernels in one .cu file need, compiled as setup.py does.

    Raises: UserError where there is no nvcc, or where it fails.
    """
    compiler = nvcc()
    if compiler is None:
        raise UserError("there is no nvcc; set CUDA_HOME to the folder that holds bin/nvcc")
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernels.cubin"
        command = [compiler, "-std=c++17", "-O3", "-Xptxas", "-v", f"-arch={arch}", "-cubin",
                   str(source), "-o", str(cubin)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise UserError(f"nvcc does not compile {source.name}: {_last_line(done.stderr)}")
        kernels = read_ptxas(done.stderr)
        if disassembler := _cuobjdump(compiler):
            shown = subprocess.run(
                [disassembler, "-sass", str(cubin)], capture_output=True, text=True, check=True
            )
            for name, counted in read_machine_code(shown.stdout).items():
                kernels[name].update(counted)
    return {readable(name): kernel for name, kernel in kernels.items()}


def compile_triton(arch: str, sources: tuple[int, ...] = (1, 2, 3)) -> dict[str, Kernel]:
    """Name -> what the kernels in Triton need, compiled for nodes with 16 channels and these
    numbers of sources.

    Raises: UserError where there is no cuobjdump.
    """
    disassembler = _cuobjdump(nvcc() or "nvcc")
    if disassembler is None:
        raise UserError("there is no cuobjdump; Triton's wheels for Linux have one")
    from cuda_ext.triton_offline import compiled_kernels

    kernels = {}
    for name, cubin in compiled_kernels(int(re.sub(r"\D", "", arch)), sources).items():
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(cubin)
            file.flush()
            used, code = (
                subprocess.run(
                    [disassembler, flag, file.name], capture_output=True, text=True, check=True
                ).stdout
                for flag in ("-res-usage", "-sass")
            )
        registers, stack = map(int, _RESOURCES.search(used).groups())  # type: ignore[union-attr]
        (counted,) = read_machine_code(code).values()
        kernels[name] = {"registers": registers, "spilled_bytes": stack, **counted}
    return kernels


def read_ptxas(text: str) -> dict[str, Kernel]:
    """Mangled name -> registers and spilled bytes, from what `-Xptxas -v` prints."""
    return {
        name: {"registers": int(registers), "spilled_bytes": int(stores) + int(loads)}
        for name, stores, loads, registers in _PTXAS.findall(text)
    }


def read_machine_code(text: str) -> dict[str, Kernel]:
    """Mangled name -> instructions, and the bits of each global load and store -> how many, from
    what `cuobjdump -sass` prints."""
    kernels = {}
    for part in text.split("Function : ")[1:]:
        codes = [code for code in _INSTRUCTION.findall(part) if code != "NOP"]
        kernels[part.split()[0]] = {
            "instructions": len(codes),
            "loads": _widths(codes, "LDG"),
            "stores": _widths(codes, "STG"),
        }
    return kernels


def _widths(codes: list[str], kind: str) -> dict[str, int]:
    found = (_BITS.search(code) for code in codes if code.startswith(kind))
    return dict(sorted(Counter(bits[1] if bits else "32" for bits in found).items()))


def readable(name: str) -> str:
    """`NodeWriteKernel<float, 4, train, 2>` for the mangled name of its run_kernel."""
    plain = subprocess.run(["c++filt", name], capture_output=True, text=True).stdout
    found = re.search(r"run_kernel<(.*?)>\(", plain)
    if not found:
        return name
    named = re.sub(r"\(rs::Form\)(\d)", lambda form: _FORMS[int(form[1])], found[1])
    return named.replace("rs::", "").strip()


def faults(name: str, kernel: Kernel) -> list[str]:
    """A sentence for each limit that the kernel breaks."""
    found = []
    if kernel["spilled_bytes"]:
        found.append(f"{name} spills {kernel['spilled_bytes']} bytes of registers")
    in_triton = name[0].islower()
    if kernel["registers"] > MOST_REGISTERS and not in_triton:
        found.append(f"{name} uses {kernel['registers']} registers, more than {MOST_REGISTERS}")
    if moves_16_bytes(name) and set(kernel.get("stores", {"128": 1})) != {"128"}:
        widths = ", ".join(kernel["stores"]) or "no"
        found.append(f"{name} has stores of {widths} bits, expected 128")
    return found


def moves_16_bytes(name: str) -> bool:
    """Whether the kernel writes tensors, and is the form that does so 16 bytes at a time."""
    if name.startswith(("node_write", "norm_backward", "attack_step")):
        return True
    writes = name.startswith(("NodeWriteKernel", "NormBackwardKernel", "StepKernel"))
    return writes and ("<float, 4" in name or "BFloat16, 8" in name)


def _line(kernel: Kernel) -> str:
    text = f"{kernel['registers']:4} registers {kernel['spilled_bytes']:4} B spilled"
    if "instructions" in kernel:
        text += f" {kernel['instructions']:5} instructions"
        for kind in ("loads", "stores"):
            text += f", {kind} " + " ".join(f"{n} x {b}" for b, n in kernel[kind].items())
    return text


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]


def _cuobjdump(compiler: str) -> str | None:
    beside = Path(compiler).resolve().with_name("cuobjdump")
    triton = importlib.util.find_spec("triton")
    folder = Path(triton.origin).parent if triton and triton.origin else Path()
    bundled = folder / "backends" / "nvidia" / "bin" / "cuobjdump"
    paths = (str(path) for path in (beside, bundled) if path.exists())
    return next(paths, shutil.which("cuobjdump"))


if __name__ == "__main__":
    cli.run(main)
