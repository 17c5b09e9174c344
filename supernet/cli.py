"""Runs command lines: an error becomes one sentence with the right exit status.

Nothing here imports torch, so that a command's `--help` is instant. `supernet.flags` makes flags of
a config.
"""

import argparse
import contextlib
import io
import itertools
import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TextIO

from supernet import invocation
from supernet.errors import UserError, refusal
from supernet.files import DISK_ERRORS
from supernet.quiet import hushed
from supernet.text import printable
from supernet.threads import prepare_threads

USER_ERROR = 2
INTERRUPTED = 130
STREAMS = {"stdout": "standard output", "stderr": "standard error"}
"""The streams that a command writes to, in words."""
FIRST_SPEAKS = 60.0
"""Seconds that the first of several processes gets to name a mistake that all of them make."""
OUT_OF_MEMORY = (
    "the memory does not suffice; ask for less at once, for example with --batch-size, --C, --N, "
    "--side or --limit"
)


def run(main: Callable[[], None]) -> NoReturn:
    """Run a command's main and end the process.

    UserError: its sentence on standard error, status 2. Ctrl-C: status 130. A reader that closed
    the pipe (`| head`) ends the command quietly. A file or stream that cannot be read or written,
    and memory that does not suffice, are a sentence and status 2 too. Anything else keeps its
    traceback.
    """
    _prepare_streams()
    prepare_threads()
    # Figures are drawn into files: the backend of the user's windows, or a mistake in its name,
    # is none of theirs.
    os.environ["MPLBACKEND"] = "agg"
    threading.excepthook = _thread_failed
    try:
        status = _status_of(main)
        sys.stdout.flush()
    except UserError as error:
        if "torch" not in sys.modules and _is_one_of_many():
            time.sleep(FIRST_SPEAKS)  # torchrun ends this process sooner, once the first has spoken
        status = _say(f"error: {error}", USER_ERROR)
    except KeyboardInterrupt as stop:
        status = _say(str(stop) or "interrupted", INTERRUPTED)
    except BrokenPipeError as error:  # an OSError, and nobody's fault
        if error.filename not in STREAMS.values():
            raise  # of another pipe
        status = 0
    except OSError as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        status = _say(f"error: {sentence}", USER_ERROR)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        status = _say(f"error: {OUT_OF_MEMORY}", USER_ERROR)
    for stream in (sys.stdout, sys.stderr):
        _give_up_on(stream)
    sys.exit(status)


def _is_one_of_many() -> bool:
    """Whether torchrun has started this process next to a first one, which has the same flags and
    names the mistakes in them. `supernet.torchrun` sorts out later ones.

    When one process ends, torchrun ends the others: a process that left before the first one has
    spoken would silence it."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0"


def _status_of(main: Callable[[], None]) -> int:
    """0, or the status with which the main ends the process, as --help does."""
    try:
        with hushed("--quiet" in sys.argv):  # the same flag in all commands that have it
            main()
    except SystemExit as end:
        if isinstance(end.code, str):
            raise
        return end.code or 0
    return 0


def _thread_failed(arguments: threading.ExceptHookArgs) -> None:
    """The log's thread meets a full disk first; the next write to the log raises that again."""
    error = arguments.exc_value
    if not (isinstance(error, OSError) and error.errno in DISK_ERRORS):
        threading.__excepthook__(arguments)


def _prepare_streams() -> None:
    """Give the process the standard streams that it was started without (`>&-`), and let them write
    every character: one that the terminal's encoding lacks comes as an escape, \\u2192."""
    try:
        # A file that is opened later must not get the number of a standard stream.
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)
    except OSError:
        pass  # without /dev/null the streams stay as they are
    for name, words in STREAMS.items():
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif stream is getattr(sys, f"__{name}__"):
            named = _NamedStream(stream, words)
            setattr(sys, name, named)
            setattr(sys, f"__{name}__", named)


class _NamedStream(io.TextIOWrapper):
    """A standard stream that names itself in the error when it is full, broken or closed."""

    def __init__(self, stream: io.TextIOWrapper, words: str) -> None:
        self._words = words
        super().__init__(
            stream.detach(), encoding=stream.encoding, errors="backslashreplace",
            line_buffering=stream.line_buffering, write_through=stream.write_through,
        )  # fmt: skip

    def write(self, text: str) -> int:
        with self._naming_itself():
            return super().write(text)

    def flush(self) -> None:
        with self._naming_itself():
            super().flush()

    @contextlib.contextmanager
    def _naming_itself(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._words) from error


def _say(text: str, status: int) -> int:
    """Print to standard error, as far as that can be written; returns the status."""
    with contextlib.suppress(OSError):
        print(printable(text, besides="\n"), file=sys.stderr, flush=True)
    return status


def _sentence(error: OSError) -> str | None:
    """The sentence about a file or a stream; None for an error that is not about one."""
    words = refusal(error, "the disk" if error.errno in DISK_ERRORS else None)
    return None if words is None else f"{words}; check the path, its rights and the disk"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch on the CPU or torch on a GPU found too little memory."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(error)
    )


def _give_up_on(stream: TextIO) -> None:
    """Python would complain once more at exit about what a broken stream still holds."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _OneSentenceParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse's own passes over a stream that is full.
        (file or sys.stderr).write(message)
        (file or sys.stderr).flush()

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        given = [_at_home(text) for text in (sys.argv[1:] if args is None else args)]
        for before, text in itertools.pairwise(["", *given]):
            if text.startswith("--") and text.endswith("=--"):
                # argparse of Python before 3.12.5 takes the value away and then misses it.
                self.error(f"{text.removesuffix('=--')}: expected one argument")
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                # Neither TensorBoard's log nor a report can hold such a name.
                encoding = sys.getfilesystemencoding().upper()
                self.error(f"{text} is not {encoding}; rename it, or link to it by such a name")
            if not text.strip() or (text.startswith("--") and text.endswith("=")):
                # Of an unset shell variable, as in --out "$FOLDER".
                flag = text.strip()[:-1] or (before if before.startswith("-") else "an argument")
                self.error(f"{flag} is empty; give it a value, or leave it out")
        return super().parse_known_args(given, namespace)


def _at_home(text: str) -> str:
    """--out=~/a as --out ~/a comes: shells leave ~ behind = as it is, and a folder would get that
    name."""
    flag, _, path = text.partition("=")
    if flag.startswith("--") and (path == "~" or path.startswith("~/")):
        return f"{flag}={os.path.expanduser(path)}"
    return text


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)


def argument_parser(description: str | None, **kwargs: Any) -> argparse.ArgumentParser:
    """An ArgumentParser whose errors are UserErrors and whose help keeps the text's line breaks.

    The description is a docstring: `python -OO` has None. Its examples `python scripts/X.py` are
    shown as this process was started.
    """
    kwargs.setdefault("prog", invocation.usage_name())
    return _OneSentenceParser(
        description=invocation.as_started(textwrap.dedent(description or "").strip()),
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
        **kwargs,
    )
