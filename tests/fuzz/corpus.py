"""Files that once ended in something else than a UserError: reader -> name -> the file.

Some are good files with one value changed, as `changed` says it.
"""

import io
import json
import zipfile
from typing import Any

from tests.fuzz.mutations import edit_bytes
from tests.fuzz.readers import READERS


def changed(reader: str, *place: str | int, value: Any) -> bytes:
    """The reader's first good file with another value at a place; None takes the key away."""
    text = READERS[reader].good()[0].decode()
    content = json.loads(text.splitlines()[0] if READERS[reader].file.endswith("l") else text)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if value is None:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return json.dumps(content).encode() + b"\n"


def zipped(pickled: bytes) -> bytes:
    """A file of torch.save with this pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    return stream.getvalue()


def corpus() -> list[tuple[str, str, bytes]]:
    """(reader, what was wrong, the file)."""
    pack = READERS["pack"].good()[0]
    return [
        ("JSON lines", "nested too deep for the parser", b"[" * 100_000 + b"\n"),
        ("JSON lines", "a number that is none", b'{"a": NaN}\n'),
        ("search log", "an epoch beyond all ticks", changed("search log", "epoch", value=10**12)),
        ("search log", "no entropy", changed("search log", "entropy", value=None)),
        ("training log", "no step", changed("training log", "step", value=None)),
        ("genotype", "longer than the name of any file", b"x" * 5000),
        ("genotype.json", "images that are a number",
         json.dumps({"code": "333333", "dataset": 5}).encode()),
        ("run's genotype.json", "a proposal of its own name",
         changed("run's genotype.json", "proposals", "cells", "../x", value={})),
        ("run's genotype.json", "weights that are all zero",
         changed("run's genotype.json", "edge_weights", value=[[0.0] * 5] * 6)),
        ("run's genotype.json", "a prior of no data set",
         changed("run's genotype.json", "proposals", "prior_datasets", value=[])),
        ("run's config", "no classes", changed("run's config", "data", "num_classes", value=0)),
        ("refine.json", "a round without steps",
         changed("refine.json", "sweeps", 1, "rounds", 1, "number", value=9)),
        ("refine.json", "fewer losses than cells",
         changed("refine.json", "sweeps", 0, "rounds", 0, "losses", value=[1.0])),
        ("front.json", "no menus", changed("front.json", "compared", value=[])),
        ("front.json", "no first choice",
         changed("front.json", "cells", value=[])),
        ("finalists.json", "fewer accuracies than seeds",
         changed("finalists.json", "cells", 0, "robust", value=[0.5])),
        ("evaluation.json", "AutoAttack without a version",
         changed("evaluation.json", "results", 2, "version", value=None)),
        ("evaluation.json", "no rows", changed("evaluation.json", "results", value=[])),
        ("network's log", "no metric that is drawn", b'{"epoch": 1}\n'),
        ("seeds.json", "a seed that leads elsewhere", b'{"runs": [{"seed": "0/../../x"}]}'),
        ("ledger", "an outcome of words",
         changed("ledger", "outcome", "loss", value="2.5")),
        ("model.json", "no code", changed("model.json", "code", value=None)),
        ("model.json", "no learning rate", changed("model.json", "training", "lr", value=None)),
        ("model.json", "a deviation of zero", changed("model.json", "std", value=[0.0] * 3)),
        ("own table", "an accuracy beyond all floats",
         changed("own table", "results", "clean", value=10**400)),
        ("own table", "an accuracy that is a long text",
         changed("own table", "results", "clean", value="9" * 5000)),
        ("sweep's table", "a cell that is a list", changed("sweep's table", "cell", value=["3"])),
        ("sweep's table", "no status", changed("sweep's table", "status", value=None)),
        ("scores", "scores that are texts", changed("scores", "scores", value={"params": "x"})),
        ("scores", "a code as long as a file", changed("scores", "code", value="3" * 5000)),
        ("ranking's config", "a list", b"[1]"),
        ("ranking's config", "a config that is a number", b'{"config": 5}'),
        ("ranking.json", "rows that are numbers", changed("ranking.json", "rows", value=[1])),
        ("evidence.json", "a run without a seed",
         changed("evidence.json", "runs", 0, "seed", value=None)),
        ("evidence.json", "a plan of numbers", changed("evidence.json", "plan", value=[5])),
        ("pack", "a name as long as the file",
         edit_bytes(pack, [(26 / len(pack), "overwrite", b"\0\x0c")])),
        ("model.pt", "no tensors", zipped(b"\x80\2]K\1a.")),
        ("model.pt", "bytes as many as it asks for",
         zipped(b"\x80\2cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR.")),
    ]  # fmt: skip
