import pytest

from supernet.errors import UserError
from supernet.train.config import TrainConfig, resumed, with_preset


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
        ({"attack": "fgsmm"}, "attack 'fgsmm' is unknown; choose one of fgsm, .*none"),
        ({"epochs": 0}, "--epochs is 0; it must be at least 1"),
        ({"batch_size": 1}, "--batch-size is 1; it must be at least 2"),
        ({"lr": 0.0}, "--lr is 0.0; it must be above 0"),
        ({"eps": 8.0}, r"--eps is 8.0; .* at most 1 \(write 8/255\)"),
        ({"limit": 0}, "--limit is 0; it must be at least 1"),
        ({"weight_decay": float("nan")}, "--weight-decay is nan"),
        ({"ema_decay": 1.0}, "--ema-decay is 1.0"),
    ],
)
def test_bad_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        TrainConfig(**values)  # type: ignore[arg-type]


def test_a_cell_and_a_known_preset_are_needed() -> None:
    with pytest.raises(UserError, match="no cell was named; give --genotype"):
        with_preset("benchmark", {})
    with pytest.raises(UserError, match="preset 'slow' is unknown; choose one of benchmark, quick"):
        with_preset("slow", {})


def test_a_resumed_run_keeps_its_config() -> None:
    saved = TrainConfig(genotype="333133", epochs=3).to_dict()
    assert resumed(saved, {}, "run").epochs == 3
    assert resumed(saved, {"epochs": 3, "data_root": "/data"}, "run").data_root == "/data"
    with pytest.raises(UserError, match=r"run was started with another config \(epochs: 3 -> 4\)"):
        resumed(saved, {"epochs": 4}, "run")
    with pytest.raises(UserError, match="unknown fields colour"):
        resumed({**saved, "colour": 1}, {}, "run")
