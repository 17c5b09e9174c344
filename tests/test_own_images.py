"""docs/own-images.md: its commands, run as they stand there on a small folder of drawn shapes."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch

from tests.scripts.inprocess import ROOT, run_script
from tests.shapes import write_shapes

PAGE = (ROOT / "docs" / "own-images.md").read_text()
WHOLE, QUICK = (
    [line for line in block.splitlines() if line]
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S)
)


def test_little_time_is_the_three_commands_some_with_more_flags() -> None:
    assert len(WHOLE) == len(QUICK) == 3
    for command, quick in zip(WHOLE, QUICK, strict=True):
        assert quick == command or quick.startswith(f"{command} --")
    assert WHOLE != QUICK


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_from_a_folder_to_an_exported_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROBUST_SUPERNET_DATA", raising=False)
    counts = {"circle": 60, "cross": 60, "square": 60, "triangle": 20}
    write_shapes(tmp_path / "PICTURES", counts)
    said = []
    for command in QUICK:
        python, script, *flags = shlex.split(command)
        assert python == "python" and Path(script).parent.name == "scripts"
        done = run_script(Path(script).name, *flags, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    search, training, export = said
    assert "side       32: the median picture is 44 pixels on its shorter side" in search
    assert "160 to learn from in 4 classes of 16 to 48, 40 held out; --balance shows" in search
    assert "batches    of 16: 10 an epoch, of 160 training images" in training
    run = tmp_path / "runs" / "pictures"
    config = json.loads((run / "config.json").read_text())["config"]
    assert (config["side"], config["batch_size"], config["epochs"]) == (32, 16, 0)
    config = json.loads((run / "standalone" / "config.json").read_text())["config"]
    assert (config["side"], config["batch_size"], config["epochs"]) == (32, 16, 5)
    assert (run / "report.html").is_file() and (run / "report.md").is_file()
    folder = run / "standalone" / "export"
    assert "model.pt2" in export
    network = torch.export.load(folder / "model.pt2").module()
    assert network(torch.rand(3, 3, 32, 32)).shape == (3, 4)
    record = json.loads((run / "genotype.json").read_text())
    assert json.loads((folder / "genotype.json").read_text())["code"] == record["code"]
    assert record["params"] <= 0.8e6
