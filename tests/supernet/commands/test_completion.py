"""The completion that bash gets: commands, their flags, and the commands below them."""

import subprocess
import sys
from pathlib import Path

import pytest

from supernet.commands import completion

ROOT = Path(__file__).parents[3]

COMPLETE = """
source {script}
COMP_WORDS=(robust-supernet {words}) COMP_CWORD={place}
_shtab_robust_supernet robust-supernet '{last}' robust-supernet
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tr", ["train"]),
        ("search --refine-m", ["--refine-moves"]),
        ("benchmark to", ["top"]),
        ("data sh", ["show"]),
        ("export --form", ["--formats"]),
    ],
)
def test_bash_completes_commands_and_flags(tmp_path: Path, words: str, expected: list[str]) -> None:
    shtab = pytest.importorskip("shtab", reason="it comes with the extra completion")
    script = tmp_path / "completion.sh"
    script.write_text(shtab.complete(completion.whole_parser(), shell="bash"))
    parts = words.split()
    text = COMPLETE.format(script=script, words=words, place=len(parts), last=parts[-1])
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True)
    assert done.stdout.split() == expected, done.stderr


def test_without_shtab_one_sentence_says_so() -> None:
    code = (
        "import sys; sys.modules['shtab'] = None; sys.argv = ['x', 'completion', 'bash']\n"
        "from supernet.commands.program import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: completion needs shtab, which is missing: pip install shtab\n"


def test_a_shell_that_there_is_no_completion_for_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "supernet", "completion", "fish"], cwd=ROOT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "invalid choice: 'fish'" in done.stderr
