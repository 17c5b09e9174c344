"""How this process was started, and so what a user types for a command of this project. No torch.

A command has two doors: `robust-supernet train` where the package is installed, and
`python scripts/train.py` in a checkout. What the program prints uses the one it came in by.
"""

import re
import shlex
import sys
from pathlib import Path

PROGRAM = "robust-supernet"
ROOT = Path(__file__).resolve().parents[1]
"""Of the checkout, or where the package is installed."""
_EXAMPLE = re.compile(r"python scripts/(\w+)\.py")

_entered: str | None = None


def enter(name: str) -> None:
    """Take the subcommand's name off the command line: what is left are the command's own flags."""
    global _entered
    _entered = name
    del sys.argv[1]


def command(name: str) -> str:
    """What a user types for the command `name`, ready for a shell: `python scripts/train.py`,
    `robust-supernet train` or `python -m supernet train`.

    A script's folder is written as in the command that runs, so that it is found from here.
    Without a command (in a notebook) a checkout answers with its scripts.
    """
    folder = _scripts_folder()
    if folder is None:
        return f"{_program()} {name}"
    script, *rest = name.split()
    return " ".join(["python", shlex.quote(str(folder / f"{script}.py")), *rest])


def named(name: str) -> str:
    """The same in a sentence: `scripts/train.py`, or `robust-supernet train`."""
    return command(name) if _scripts_folder() is None else command(name).removeprefix("python ")


def command_line() -> str:
    """The command that runs, ready for a shell."""
    if _entered is None:
        return shlex.join(["python", *sys.argv])
    return " ".join([f"{_program()} {_entered}", *map(shlex.quote, sys.argv[1:])])


def process(name: str) -> list[str]:
    """The words that start the command `name` in a process of its own, from any folder."""
    script = ROOT / "scripts" / f"{name}.py"
    if script.is_file():
        return [sys.executable, str(script)]
    return [sys.executable, "-m", "supernet", name]


def usage_name() -> str | None:
    """The name of the command in its own help; None leaves that to argparse."""
    return None if _entered is None else f"{_program()} {_entered}"


def as_started(text: str) -> str:
    """A text whose examples begin as this process did; they are written `python scripts/X.py`."""
    return _EXAMPLE.sub(lambda found: command(found[1]), text)


def _program() -> str:
    started = Path(sys.argv[0])
    if started.name == "__main__.py" and started.parent.resolve() == ROOT / "supernet":
        return "python -m supernet"
    return PROGRAM


def _scripts_folder() -> Path | None:
    """The folder of scripts that this process was started from, as typed; None: an installed one's
    command, or no command where there are no scripts."""
    if _entered is not None:
        return None
    started = Path(sys.argv[0])
    if started.suffix == ".py" and started.parent.resolve() == ROOT / "scripts":
        return started.parent
    return Path("scripts") if (ROOT / "scripts" / "search.py").is_file() else None
