import pytest

from supernet.errors import UserError
from supernet.train.config import TrainConfig, with_preset


def test_the_defaults_are_the_benchmarks_recipe() -> None:
    config = with_preset("benchmark", {"genotype": "333133"})
    assert (config.C, config.N, config.epochs, config.batch_size) == (16, 5, 50, 256)
    assert (config.lr, config.weight_decay, config.attack, config.attack_steps) == (
        0.1, 5e-4, "pgd", 7,
    )  # fmt: skip
    assert not config.ema and config.limit is None


def test_what_the_user_names_wins_over_the_preset() -> None:
    assert with_preset("quick", {"genotype": "333133"}).N == 1
    assert with_preset("quick", {"genotype": "333133", "N": 3}).N == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"attack": "fgsmm"}, "--attack 'fgsmm' is unknown; choose one of fgsm, .*none"),
        ({"batch_size": 1}, "--batch-size is 1; it must be at least 2"),
        ({"eps": 8.0}, r"--eps is 8; .* at most 1 \(write for example 8/255\)"),
    ],
)
def test_bad_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        TrainConfig(**values)  # type: ignore[arg-type]


def test_a_cell_and_a_known_preset_are_needed() -> None:
    with pytest.raises(UserError, match="no cell was named; give --genotype"):
        with_preset("benchmark", {})
    with pytest.raises(UserError, match="--preset 'slow' is unknown; choose one of benchmark"):
        with_preset("slow", {})
