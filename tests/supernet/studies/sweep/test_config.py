import re

import pytest

from supernet.errors import UserError
from supernet.studies.sweep.config import SweepConfig, read_recipe
from supernet.train.config import with_preset


def test_a_recipe_is_a_preset_with_flags_and_a_name() -> None:
    name, fields, given = read_recipe("short=quick --epochs 2 --ema")
    assert name == "short" and given == {"epochs": 2, "ema": True}
    expected = with_preset("quick", {"genotype": "333333", "epochs": 2, "ema": True}).to_dict()
    assert fields == {key: expected[key] for key in fields}
    assert not {"genotype", "dataset", "seed", "out", "device"} & set(fields)
    plain = {**fields, "ema": False}
    assert read_recipe("quick  --epochs=2") == ("quick --epochs=2", plain, {"epochs": 2})
    assert read_recipe("benchmark")[1]["epochs"] == 50
    assert read_recipe("--lr 0.05")[1]["lr"] == 0.05  # the benchmark's, changed


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fast", "recipe 'fast': preset 'fast' is unknown; choose one of benchmark, quick"),
        ("quick --seed 3", "recipe 'quick --seed 3': --seed is the sweep's own"),
        ("quick --epochs 0", "--epochs is 0; it must be at least 1"),
        ("quick --speed 2", "unrecognized arguments: --speed 2"),
        ("quick 'x", "No closing quotation"),
    ],
)
def test_a_bad_recipe_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        SweepConfig(cells=("333333",), recipes=(text,))


def test_names_and_seeds_stand_once() -> None:
    with pytest.raises(UserError, match="--recipes names 'a' twice"):
        SweepConfig(recipes=("a=quick", "a=benchmark"))
    with pytest.raises(UserError, match="--seeds needs one or more values, each once"):
        SweepConfig(seeds=(0, 0))
    with pytest.raises(UserError, match="--attacks is empty"):
        SweepConfig(attacks=())
