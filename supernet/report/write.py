"""report.md and report.html: the answer first, then the reasons, then how to repeat it."""

import json
import shlex
from pathlib import Path

from supernet.benchmark.table import Table
from supernet.files import atomic_write
from supernet.invocation import command
from supernet.progress import with_progress
from supernet.report import (
    figures,
    finalists,
    front,
    place,
    proposals,
    refinement,
    search_sections,
    standalone,
)
from supernet.report.markdown import code, code_block, plain, table
from supernet.report.page.report import PAGE_FILE, write_page
from supernet.report.run_files import RunFiles
from supernet.report.words import duration, pixels

REPORT_FILE = "report.md"


def write_report(
    run_dir: str | Path,
    benchmark: Table | None = None,
    page: Path | None = None,
    *,
    quiet: bool = False,
) -> Path:
    """Write report.md, figures/ and report.html of a finished search; returns report.md's path.

    page: where report.html goes instead.

    Reads config.json, genotype.json, metrics.jsonl, refine.json, front.json, finalists.json, the
    evaluation.json of stand-alone networks (in the folder or one below it) and the benchmark table.
    Writing it again after an evaluation adds what was missing.

    Raises: UserError when the folder holds no finished search.
    """
    run = RunFiles.read(Path(run_dir), benchmark)
    sections = (
        _answer, place.section, proposals.section, refinement.section, finalists.section,
        front.section, search_sections.edge_weights, search_sections.learning_curves,
        search_sections.derivation, standalone.section, _repeat,
    )  # fmt: skip
    shown = with_progress(sections, "report", "section", quiet=quiet)
    blocks = [block for section in shown for block in section(run)]
    path = run.folder / REPORT_FILE
    with atomic_write(path) as stream:
        stream.write("\n\n".join(blocks) + "\n")
    write_page(run, blocks, page or run.folder / PAGE_FILE)
    return path


def _answer(run: RunFiles) -> list[str]:
    record, data = run.record, run.description["data"]
    figures.draw_cell(run.cell, run.folder / "figures" / "cell")
    kind = "Robust" if run.robust else "Ordinary (clean)"
    index = record["index"]
    facts = [
        ["code", f"`{run.cell.code}`"],
        ["index in NAS-Bench-201", "-" if index is None else str(index)],
        ["parameters", f"{record['params']:,}"],
        ["FLOPs (multiply-adds)", f"{record['flops'] / 1e6:.2f} M"],
    ]
    full = data["full_size"]
    size = (
        f"Parameters and FLOPs are those of the stand-alone network (C=16, N=5) for "
        f"{data['num_classes']} classes at {full}x{full}."
    )
    return [
        f"# {kind} search on {plain(run.data_words)}, seed {record['seed']}: cell {run.cell.code}",
        place.verdict(run),
        "![The found cell](figures/cell.svg)",
        # Beside the table, not in it: there its pipes would have to be escaped.
        f"`{run.cell.arch}`",
        table(["", ""], facts, align="ll"),
        size,
    ]


def _arithmetic(run: RunFiles) -> list[list[str]]:
    """What training and attacks ran in; runs of older versions say less about it."""
    found = {
        "training in": run.description.get("arithmetic"),
        "attacks in": run.description.get("attack_dtype") or run.config.get("attack_dtype"),
    }
    if not run.robust or not run.config["epochs"]:
        del found["attacks in"]  # nothing was attacked
    return [[name, plain(value)] for name, value in found.items() if value]


def _repeat(run: RunFiles) -> list[str]:
    description, config = run.description, run.config
    data = description["data"]
    facts = [
        ["images", plain(data["source"])],
        [
            "halves",
            f"{data['weight_images']:,} for the weights, {data['alpha_images']:,} for alpha",
        ],
        ["attack radius", f"L-inf {pixels(description['eps'])}" if run.robust else "none"],
        *_arithmetic(run),
        [
            "alpha follows",
            plain(f"{' and '.join(run.record['alpha_follows'])} loss ({run.record['objective']})"),
        ],
        ["mixed cell", plain(description["impl"])],
        ["device", plain(description["device"])],
        *[["CUDA graphs", plain(reason)] for reason in run.record.get("without_graphs", [])],
        ["time", duration(run.record["seconds"])],
        ["config hash", code(description["config_hash"])],
        *[
            [f"{plain(name)} version", plain(value)]
            for name, value in description["versions"].items()
        ],
    ]
    here = shlex.quote(str(run.folder / "genotype.json"))
    return [
        "## How to repeat it",
        code_block(description["command"]),
        table(["", ""], facts, align="ll"),
        "<details><summary>Resolved configuration</summary>",
        code_block(json.dumps(config, indent=2), "json"),
        "</details>",
        "## Next",
        "Train this cell alone and attack it; this report then takes the result in. `--preset "
        "quick` is a small network in minutes on two CPU cores; without it, it is the "
        "benchmark's recipe, hours on a GPU.",
        code_block(
            f"{command('train')} --genotype {here} --preset quick\n"
            f"{command('evaluate')} --model {shlex.quote(str(run.folder / 'standalone'))}"
        ),
    ]
