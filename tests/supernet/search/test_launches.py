"""What a step asks of a GPU: no host waits, and few launches, counted on an imagined one."""

import dataclasses

import pytest

from ops.rehearsal import HostWait, rehearsal
from supernet.search.config import SearchConfig
from supernet.search.launches import PARTS, REGIONS, _Step, count_launches
from supernet.search.presets import PRESETS
from tests.cuda_ext.cases import needs_native

pytestmark = pytest.mark.slow


def of_preset(**other: object) -> SearchConfig:
    return SearchConfig(**{**PRESETS["gpu"](), "robust": True, **other})


ALPHA = ("attack", "alpha step", "alpha region")
"""Parts that depend on the strategy and the objective, and the attack, which draws."""


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        pytest.param(dict(attack_steps=2), PARTS, marks=needs_native),
        (dict(attack_steps=1, impl="batched"), PARTS),
        (dict(attack="n_fgsm", impl="batched"), ("attack", *REGIONS)),
        (dict(attack="n_fgsm", impl="batched", objective="mgda"), ALPHA),
        (dict(attack="n_fgsm", impl="batched", strategy="darts2"), ALPHA),
        (dict(attack="n_fgsm", impl="batched", strategy="drnas"), ALPHA),
    ],
)
def test_no_part_of_a_step_makes_the_host_wait(
    config: dict[str, object], parts: tuple[str, ...]
) -> None:
    found = count_launches(of_preset(N=1, C=4, batch_size=4, **config), side=8, parts=parts)
    assert set(found) == set(parts)
    assert {name: part.waits for name, part in found.items() if part.waits} == {}
    assert all(part.launches >= part.operators > 10 for part in found.values())
    # What is captured draws nothing: a replay would draw the same numbers again, or fail.
    drawing = ("rand", "normal_", "uniform", "bernoulli", "multinomial", "dirichlet", "gumbel")
    for name in set(REGIONS) & set(parts):
        assert not [each for each in found[name].names if any(word in each for word in drawing)]
    assert any("rand" in each for each in found["attack"].names)  # as the word is looked for
    if "weight region" in parts:
        assert found["weight region"].names["aten::_fused_sgd_"] == 1


def test_a_step_of_single_cells_waits_for_alpha_and_for_nothing_else() -> None:
    """The host must know which cells are drawn by it."""
    config = of_preset(N=1, C=4, batch_size=4, impl="batched", path_share=1.0)
    for kind in ("alpha", "sandwich"):
        with rehearsal() as on_gpu:
            step = _Step(dataclasses.replace(config, path_kind=kind), num_classes=3, side=8)
            with on_gpu.part() as found:
                with pytest.raises(HostWait, match=r"aten::_to_copy at search/weights\.py"):
                    step.weights.trained(single_cells=True)
                step.weights.trained(single_cells=False)
        assert len(found.waits) == 1


@needs_native
def test_the_parts_of_a_step_are_few_launches() -> None:
    """Operators that launch, at the size of the preset. Each of ours is up to three kernels, and a
    convolution's backward pass two: `launches` counts those."""
    ceilings = {"fold": 100, "attack gradient": 320, "weight step": 600, "cell fold": 400,
                "batch": 25, "watch": 60}  # fmt: skip
    found = count_launches(of_preset(), parts=list(ceilings))
    operators = {name: part.operators for name, part in found.items()}
    assert all(10 < operators[name] <= most for name, most in ceilings.items()), operators
    assert found["fold"].launches == operators["fold"]
    assert found["attack gradient"].launches <= 320 and found["weight step"].launches <= 850
