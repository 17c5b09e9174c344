"""Export a trained network: a torch.export program, ONNX, and safetensors with a model card.

    python scripts/export.py --model runs/NAME/standalone
    python scripts/export.py --model runs/NAME/standalone/model.pt --license apache-2.0
    python scripts/export.py --model runs/NAME/standalone --formats safetensors --out card

Program and ONNX have batch norm folded and dead edges removed: same logits, fewer operations. Every
file is read back and compared before anything is written. docs/export.md shows how each is loaded.
"""

import argparse
from typing import TYPE_CHECKING

from supernet import cli
from supernet.flags import add_config_flags, given_flags
from supernet.train.export_config import ExportConfig

if TYPE_CHECKING:
    from supernet.train.exported import Exported


def main() -> None:
    """Parse, export, print."""
    config = ExportConfig(**given_flags(_parser().parse_args(), ExportConfig))

    # After the flags are known to be good: importing torch takes seconds.
    from supernet.train.exported import export

    print(_summary(export(config)))


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    add_config_flags(parser, ExportConfig)
    return parser


def _summary(done: "Exported") -> str:
    facts = done.facts
    checked = ", ".join(f"{name} {value:.1g}" for name, value in done.differences.items())
    return "\n".join(
        [
            "",
            f"cell       {facts['arch']}",
            f"           code {facts['code']}, index {done.index}, C={facts['C']}, N={facts['N']}",
            f"folded     {done.sizes}",
            f"logits     differ at most by: {checked}",
            f"accuracies {done.evaluated}",
            f"written    {done.folder}: {', '.join(done.files)}",
            *([f"left out   {done.left_out}"] if done.left_out else []),
        ]
    )
