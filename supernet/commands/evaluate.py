"""Evaluate a stand-alone network: clean, FGSM, PGD-20 and AutoAttack on the test images.

    python scripts/evaluate.py --model runs/NAME/standalone/model.pt
    python scripts/evaluate.py --model runs/NAME/standalone --limit 200
    python scripts/evaluate.py --model model.pt --dataset cifar10 --attacks clean,pgd --eps 8/255

Writes evaluation.json next to the model. AutoAttack's four attacks take hours for ten thousand
images on a CPU: --limit takes the first images of each class.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from supernet import cli, invocation
from supernet.errors import UserError
from supernet.flags import fraction, whole_number


def main() -> None:
    """Parse, run, print."""
    arguments = _parser().parse_args()
    if arguments.out is not None and (arguments.out.suffix != ".json" or arguments.out.is_dir()):
        raise UserError(f"--out {arguments.out} must be a file that ends in .json; rename it")

    # After the flags are known to be good: importing torch takes seconds.
    import torch

    from supernet.files import write_json
    from supernet.runs.machine import describe, resolve_device
    from supernet.train.evaluate import evaluate
    from supernet.train.export import load_images_of, load_model

    device = resolve_device(arguments.device)
    model, facts = load_model(arguments.model, device)
    model.use_layout(torch.channels_last)
    folder = arguments.model if arguments.model.is_dir() else arguments.model.parent
    data = load_images_of(
        facts, arguments.dataset, side=arguments.side, val=arguments.val,
        data_root=arguments.data_root, limit=0, test_limit=arguments.limit, device=device,
    )  # fmt: skip
    rows = evaluate(
        model, data, attacks=arguments.attacks, radii=arguments.eps, seed=arguments.seed,
        batch_size=arguments.batch_size, progress=not arguments.quiet,
    )  # fmt: skip
    out = arguments.out or folder / "evaluation.json"
    content = {
        "model": str(arguments.model),
        "arch": facts["arch"],
        "code": facts["code"],
        "C": facts["C"],
        "N": facts["N"],
        "weights": facts.get("weights"),
        "dataset": data.name,
        "split": "test",
        "images": rows[0]["images"],
        "source": data.source,
        "stand_in": data.stand_in,
        "image_size": data.image_size,
        "trained_image_size": facts.get("image_size"),
        "precision": "float32",
        "batch_size": arguments.batch_size,
        "command": invocation.command_line(),
        **describe(device),
        "results": rows,
        "training": facts.get("training"),
    }
    write_json(out, content)
    print(_table(content))
    print(f"written    {out}")
    _refresh_report(folder)


def _parser() -> argparse.ArgumentParser:
    parser = cli.argument_parser(__doc__ or "")
    add = parser.add_argument
    add("--model", type=Path, required=True, help="model.pt of a training, or its folder.")
    add("--dataset", metavar="NAME", help="Default: the one the network was trained on.")
    add("--data-root", metavar="PATH",
        help="Folder with data sets; else ROBUST_SUPERNET_DATA, else ./data.")  # fmt: skip
    add("--limit", type=whole_number(1), metavar="N",
        help="Only the first N test images, classes evenly. Default: all of them.")  # fmt: skip
    add("--attacks", type=_names, default=("clean", "fgsm", "pgd", "autoattack"), metavar="A,B,..",
        help="Among clean, fgsm, pgd, autoattack. Default: all four.")  # fmt: skip
    add("--eps", type=_radii, metavar="A,B,..",
        help="L-inf radii in the pixel range [0, 1]; AutoAttack runs at the largest. Default:"
        " 3/255,8/255, for digits 12/255,32/255.")  # fmt: skip
    add("--side", type=whole_number(1), metavar="N", help="Side in pixels for folder:PATH. Default:"
        " the one that the network was trained with.")  # fmt: skip
    add("--val", metavar="FOLDER", help="Folder with the held-out pictures of folder:PATH. Default:"
        " the one that the network was trained with.")  # fmt: skip
    add("--seed", type=whole_number(), default=0, metavar="N",
        help="Seed of the attacks' random starts. Default: 0.")  # fmt: skip
    add("--batch-size", type=whole_number(1), default=250, metavar="N",
        help="Images at once. Default: 250.")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N. Default: auto.")
    add("--out", type=Path, metavar="FILE", help="Default: evaluation.json next to the model.")
    add("--quiet", action="store_true", help="No progress bars.")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _radii(text: str) -> tuple[float, ...]:
    return tuple(fraction(part, "8/255") for part in text.split(",") if part.strip())


_radii.__name__ = "list of radii"


def _table(content: dict[str, Any]) -> str:
    from supernet.report.standalone import BY_CLASS, classes_differ

    stand_in = " (a STAND-IN)" if content["stand_in"] else ""
    side, trained = content["image_size"], content["trained_image_size"]
    other_side = "" if trained in (None, side) else f"; trained with {trained}x{trained}"
    uneven = classes_differ(content["results"])
    lines = [
        "",
        f"cell       {content['arch']}  (code {content['code']}, C={content['C']},"
        f" N={content['N']})",
        f"images     {content['images']:,} test images of {content['dataset']}{stand_in};"
        f" {content['source']}{other_side}",
        "",
        f"{'attack':12} {'eps':>9} {'steps':>6} {'accuracy':>9} {'seconds':>8}"
        + (f" {BY_CLASS:>9}" if uneven else ""),
    ]
    for row in content["results"]:
        eps = f"{round(row['eps'] * 255, 3):g}/255" if row["eps"] else ""
        steps = row["steps"] or ""
        lines.append(
            f"{row['attack']:12} {eps:>9} {steps:>6} {row['accuracy']:9.2%} {row['seconds']:8.1f}"
            + (f" {row['balanced_accuracy']:9.2%}" if uneven else "")
        )
        for stage in row.get("stages", ()):
            lines.append(
                f"  {stage['attack']:10} {'':>9} {'':>6} {stage['accuracy']:9.2%}"
                f" {stage['seconds']:8.1f}  {stage['broken']} of {stage['attacked']} broken"
            )
    return "\n".join(lines)


def _refresh_report(folder: Path) -> None:
    """Where the network stands in the run directory of a search, its report takes the table in."""
    # Relative: the report's commands are for where they are typed.
    search = Path(os.path.relpath(folder.resolve().parent))
    if not ((search / "genotype.json").is_file() and (search / "config.json").is_file()):
        return
    from supernet.report.write import write_report
    from supernet.runs.folder import read_description

    try:
        read_description(search, "search")
    except UserError as error:  # no reason to fail: the evaluation is written
        print(f"report     left as it is: {error}")
        return
    print(f"report     {write_report(search)}")
