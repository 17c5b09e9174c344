"""README, CONTRIBUTING and docs: command lines parse, flags and files exist, links resolve.

Nothing is run. A line goes through the parser of its script and, where the flags make a config,
through that config's own checks. Words of capitals (RUN, DIR, PICTURES) stand for a value.
"""

import argparse
import functools
import importlib
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supernet.commands.table import COMMANDS
from supernet.errors import UserError
from supernet.flags import given_flags
from supernet.search import presets
from supernet.search.config import SearchConfig
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.ranking.config import RankConfig
from supernet.studies.sweep.config import SweepConfig
from supernet.train import config as train_config
from supernet.train.config import TrainConfig
from supernet.train.export_config import ExportConfig

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))
ROOM = ROOT / "supernet" / "commands"
"""Where the code of a script lies that is a command's door."""
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = [*(ROOT / "scripts").glob("*.py"), *ROOM.glob("*.py")]
RESULTS = sorted(
    path for path in (ROOT / "docs" / "results").rglob("*.md") if path.name != "notes.md"
)  # notes.md is taken into ../search.md, and its links are those of that page
COMMAND = re.compile(
    r'(?:\w+="|(?:\w+=\S+ )+)?'  # a variable's value or an environment
    r"(?:python[\d.]* |torchrun (?:--[\w-]+ \d+ )*)?"
    r"(scripts/\w+\.(?:py|sh)|make|robust-supernet) ?(.*)"
)
RECORD = re.compile(r"\sat commit [0-9a-f]{7,}")
"""In the comment of a command that another version ran: it need not run today."""
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*")
FOREIGN = {"--help", "--error-exitcode", "--logdir", "--nnodes"}
"""Flags of every parser, of compute-sanitizer, of tensorboard and of torchrun."""

GPU_SEARCH = ["--robust", "--dataset", "cifar10", "--preset", "gpu"]
"""What scripts/gpu_search.sh says before the flags that it is given."""

CONTEXTS = {
    "search": ["", "--robust", "--robust --path-share 0.5"],
    "train": ["--genotype 333133"],
    "evaluate": ["--model model.pt"],
    "export": ["--model model.pt"],
    "benchmark": ["query 1", "top", "stats", "compare", "front", "baselines"],
    "make_pack": ["pictures pack.npz"],
    "data": ["", "show digits", "download cifar10", "pack pictures pack.npz"],
    "rank": ["", "--ntk-outputs trace"],
    "same_search": ["main"],
    "bench_attack": ["--model model.pt"],
}
"""What has to be said as well before a flag alone is a command line."""


def search_settings(arguments: argparse.Namespace) -> Any:
    if not getattr(arguments, "resume", None):
        given = given_flags(arguments, SearchConfig)
        presets.with_preset(arguments.preset, given, cuda=False)


def train_settings(arguments: argparse.Namespace) -> Any:
    if not arguments.resume:
        given = given_flags(arguments, TrainConfig)
        train_config.with_preset(arguments.preset or "benchmark", given)


SETTINGS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "search": search_settings,
    "profile_step": search_settings,
    "train": train_settings,
    "export": lambda arguments: ExportConfig(**given_flags(arguments, ExportConfig)),
    "rank": lambda arguments: RankConfig(**given_flags(arguments, RankConfig)),
    "sweep": lambda arguments: SweepConfig(**given_flags(arguments, SweepConfig)),
    "evidence": lambda arguments: EvidenceConfig(**given_flags(arguments, EvidenceConfig)),
}


@functools.cache
def parser_of(script: str) -> argparse.ArgumentParser:
    package = "supernet.commands" if (ROOM / f"{script}.py").is_file() else "scripts"
    parser: argparse.ArgumentParser = importlib.import_module(f"{package}.{script}")._parser()
    return parser


@functools.cache
def flags_of(script: str) -> frozenset[str]:
    """Every option string of a script, with those of its subcommands."""

    def strings(parser: argparse.ArgumentParser) -> Iterator[str]:
        for action in parser._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for each in action.choices.values():
                    yield from strings(each)

    return frozenset(strings(parser_of(script)))


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """(line number, line) of fenced and indented code, continued lines joined."""
    fenced, lines = False, enumerate(text.splitlines(), start=1)
    for number, line in lines:
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            while line.endswith("\\"):
                line = line[:-1].rstrip() + " " + next(lines)[1].strip()
            yield number, line.strip()


def spans(text: str) -> Iterator[tuple[int, str]]:
    """(line number, text) of inline code; code blocks are left out."""
    prose = re.sub(r"^```(?s:.)*?^```", lambda code: "\n" * code[0].count("\n"), text, flags=re.M)
    for number, line in enumerate(prose.splitlines(), start=1):
        if not line.startswith("    "):
            yield from ((number, span) for span in re.findall(r"`([^`]+)`", line))


def words(command: str) -> list[str]:
    """The arguments of a line, without its comment, what the shell does next, and placeholders."""
    text = re.split(r"\s#\s|\s{2,}|\s(?:&&|\|\|?|;|>)\s", command)[0]
    text = re.sub(r"\$\{[^}]*\}|\$\w+", "1", text)
    text = text.rstrip('"') if text.count('"') % 2 else text
    return ["1" if PLACEHOLDER.fullmatch(word) else word for word in shlex.split(text)]


def commands(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, command line) of a document, or of the docstring of a script."""
    text = path.read_text()
    if path.suffix == ".py":
        text = text.split('"""')[1]
    variables: dict[str, str] = {}
    for number, line in blocks(text):
        if found := re.match(r'(\w+)="(python .*)"', line):
            variables[f"${found[1]} "] = f"{found[2]} "
        for name, value in variables.items():
            line = line.replace(name, value)
        if COMMAND.match(line) and not RECORD.search(line):
            yield number, line
    for number, span in spans(text):
        # `scripts/x.py` alone names a file.
        if COMMAND.match(span) and " " in span:
            yield number, span


def check(command: str) -> None:
    """Raises: UserError or an AssertionError where a line would not run."""
    found = COMMAND.match(command)
    assert found is not None
    program, rest = found.groups()
    if program == "make":
        check_make(words(rest))
        return
    if program == "robust-supernet":
        check_program(words(rest))
        return
    script = Path(program).stem
    assert (ROOT / program).is_file(), f"there is no {program}"
    if script == "gpu_search":
        check_script("search", [*GPU_SEARCH, *words(rest)[2:]])
    elif not program.endswith(".sh"):
        check_script(script, words(rest))


def check_program(arguments: list[str]) -> None:
    """Of the installed program; 1 stands for any COMMAND."""
    if arguments[0] not in ("--help", "--version", "1"):
        assert arguments[0] in COMMANDS, f"there is no command {arguments[0]}"
        if arguments[1:] != ["--help"]:
            check_script(arguments[0], arguments[1:])


def check_script(script: str, arguments: list[str]) -> None:
    parsed = parser_of(script).parse_args(arguments)
    SETTINGS.get(script, lambda _: None)(parsed)


def check_make(arguments: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.M)
    assert targets is not None
    for word in arguments:
        name, is_variable, value = word.partition("=")
        if not is_variable:
            assert name in targets[1].split(), f"make has no target {name}"
            continue
        assert re.search(rf"^# {name}=|^{name} +\?=", makefile, re.M), f"make reads no {name}"
        if name == "ARGS" and "search" in arguments:
            check_script("search", ["--robust", *shlex.split(value)])


def flag_spans(path: Path) -> Iterator[tuple[int, str]]:
    """Inline code that starts with a flag: `--resume RUN`, `--eps 8/255`."""
    return ((number, span) for number, span in spans(path.read_text()) if span.startswith("--"))


def check_flags(span: str) -> None:
    """Some script has all these flags and, in one of its contexts, takes the values given."""
    names = {word.partition("=")[0] for word in span.split() if word.startswith("--")}
    having = [script for script in SCRIPTS if names <= flags_of(script) | FOREIGN]
    assert having, f"no script has {span}"
    if len(span.split()) == len(names):  # only named
        return
    reasons = []
    for script in having:
        for context in CONTEXTS.get(script, [""]):
            try:
                return check_script(script, [*context.split(), *words(span.split("|")[0])])
            except UserError as error:
                reasons.append(f"{script}: {error}")
    raise AssertionError("\n".join(reasons))


def file_spans(path: Path) -> Iterator[tuple[int, str]]:
    """Inline code that names a file or folder of this project."""
    for number, span in spans(path.read_text()):
        if re.fullmatch(r"(?:supernet|ops|cuda_ext|scripts|tests|docs)/[\w./-]*(?:::\w+)?", span):
            yield number, span


def link_targets(path: Path) -> Iterator[tuple[int, str]]:
    """The relative targets of links and pictures."""
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if not re.match(r"[a-z]+:", target):
                yield number, target


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


def cases(found: Callable[[Path], Iterator[tuple[int, str]]], paths: list[Path]) -> list[Any]:
    """(document, text) for each text found, named by the place where it stands."""
    return [
        pytest.param(path, text, id=f"{path.relative_to(ROOT)}:{number}: {text[:70]}")
        for path in paths
        for number, text in found(path)
    ]


@pytest.mark.parametrize(("path", "command"), cases(commands, [*GUIDES, *RESULTS, *SOURCES]))
def test_every_command_line_parses(path: Path, command: str) -> None:
    check(command)


@pytest.mark.parametrize(("path", "span"), cases(flag_spans, GUIDES))
def test_every_flag_exists(path: Path, span: str) -> None:
    check_flags(span)


@pytest.mark.parametrize(("path", "name"), cases(file_spans, GUIDES))
def test_every_named_file_exists(path: Path, name: str) -> None:
    file, _, inside = name.partition("::")
    if Path(file).stem in ("x", "test_x"):  # any
        return
    assert (ROOT / file).exists()
    if inside:
        assert re.search(rf"^(def {inside}\(|{inside} =)", (ROOT / file).read_text(), re.M)


@pytest.mark.parametrize(("path", "target"), cases(link_targets, [*GUIDES, *RESULTS]))
def test_every_relative_link_resolves(path: Path, target: str) -> None:
    file, _, anchor = target.partition("#")
    there = (path.parent / file) if file else path
    assert there.exists()
    assert not anchor or anchor in anchors(there)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python scripts/search.py --derive-score", "unrecognized arguments: --derive-score"),
        ("python scripts/search.py --robust --objective pareto", "--objective 'pareto' is unkn"),
        ("python scripts/train.py --preset quick", "no cell was named"),
        ("python scripts/rank.py --attack cw    # attacked", "--attack 'cw' is unknown"),
        ("scripts/benchmark.py topp", "invalid choice: 'topp'"),
        ("python scripts/absent.py", "there is no scripts/absent.py"),
        ("make all", "make has no target all"),
        ("make search NAME=1", "make reads no NAME"),
        ('make search ARGS="--epoch 3"', "unrecognized arguments: --epoch 3"),
        ("robust-supernet serch --robust", "there is no command serch"),
        ("robust-supernet search --derive-score", "unrecognized arguments: --derive-score"),
    ],
)
def test_what_does_not_run_is_found(command: str, message: str) -> None:
    with pytest.raises((UserError, AssertionError), match=re.escape(message)):
        check(command)


def test_lines_are_found_wherever_they_stand(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "Call `python scripts/rank.py --cells 3`, see `scripts/rank.py`.\n\n"
        "```bash\nmake test\n"
        'base="python scripts/search.py --robust"\n$base --epochs 1 \\\n    --C 4\n```\n\n'
        "    OMP_NUM_THREADS=1 python scripts/evidence.py --minutes 0   # at most\n"
        "    python scripts/search.py --derive-score   # at commit a07a17d\n"
    )
    assert list(commands(document)) == [
        (4, "make test"),
        (5, 'base="python scripts/search.py --robust"'),
        (6, "python scripts/search.py --robust --epochs 1 --C 4"),
        (10, "OMP_NUM_THREADS=1 python scripts/evidence.py --minutes 0   # at most"),
        (1, "python scripts/rank.py --cells 3"),
    ]


def test_flags_in_prose_are_those_of_some_script() -> None:
    with pytest.raises(AssertionError, match="no script has --derive-score"):
        check_flags("--derive-score")
    with pytest.raises(AssertionError, match="'pareto' is unknown"):
        check_flags("--objective pareto")
    check_flags("--objective mgda")
