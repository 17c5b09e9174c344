"""What a checkpoint's state must be before a job continues from it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from supernet.cells.genotype import Genotype
from supernet.data import load_dataset
from supernet.errors import UserError
from supernet.randomness import OWN_STREAMS
from supernet.runs.state import load_state
from supernet.search.config import SearchConfig
from supernet.search.search import Search, load_images
from supernet.train.config import TrainConfig
from supernet.train.training import Training

CPU = torch.device("cpu")


def a_search() -> Search:
    config = SearchConfig(
        robust=True, C=2, N=1, epochs=2, batch_size=20, limit=100, attack="fgsm", probe_images=20,
        refine_moves=0,
    )  # fmt: skip
    return Search(config, load_images(config, CPU), CPU)


def a_training() -> Training:
    config = TrainConfig(
        dataset="digits", C=4, N=1, epochs=2, batch_size=32, attack="none", ema=True
    )
    return Training(config, Genotype.parse("313021"), load_dataset("digits", limit=100), CPU)


State = dict[str, Any]
JOBS: dict[str, Callable[[], Any]] = {"search": a_search, "training": a_training}

ODD = [None, "text", 10**30, -1, 1.5, float("nan"), [], {}, (1, 2), torch.zeros(3),
       torch.tensor(float("inf"))]  # fmt: skip
TENSORS = ("net", "ema", "alpha", "optimiser")


@pytest.fixture(scope="module", params=list(JOBS))
def job(request: pytest.FixtureRequest) -> tuple[str, State]:
    """Kind, and the state after a step."""
    made = JOBS[request.param]()
    made.train_step()
    return request.param, made.state_dict()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values stand that hold no others."""
    if isinstance(value, dict):
        return [leaf for key, each in value.items() for leaf in leaves(each, (*path, key))]
    if isinstance(value, list | tuple):
        return [leaf for n, each in enumerate(value) for leaf in leaves(each, (*path, n))]
    return [path]


def changed(state: State, path: tuple[Any, ...], value: Any) -> State:
    return replaced(copy.deepcopy(state), path, value)  # type: ignore[no-any-return]


def replaced(holder: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(holder, tuple):
        return tuple(replaced(list(holder), path, value))
    holder[path[0]] = replaced(holder.get(path[0]) if isinstance(holder, dict) else holder[path[0]],
                               path[1:], value)  # fmt: skip
    return holder


def test_a_state_of_its_own_kind_is_continued(job: tuple[str, State], tmp_path: Path) -> None:
    kind, state = job
    made = JOBS[kind]()
    load_state(made, state, tmp_path)
    assert made.step == 1
    one, two = state["net"], made.state_dict()["net"]
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    made.train_step()


@pytest.mark.slow
def test_odd_values_are_refused_or_harmless(job: tuple[str, State], tmp_path: Path) -> None:
    """Whatever stands anywhere: no other error than the one for the user."""
    kind, state = job
    made, refused = JOBS[kind](), 0
    # Tensors are many and alike.
    paths = [p for n, p in enumerate(leaves(state)) if n % 5 == 0 or p[0] not in TENSORS]
    for number, path in enumerate(paths):
        try:
            load_state(made, changed(state, path, ODD[number % len(ODD)]), tmp_path)
        except UserError as error:
            assert "does not fit its run" in str(error) and len(str(error)) < 600
            refused += 1
    assert refused > len(paths) / 2


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("step",), 10**6, "step is 1000000 of"),
        (("step",), True, "state.step is not of type int"),
        (("net",), [], "state.net is not a dictionary"),
        (("net", "another"), torch.zeros(1), "state.net has or lacks another"),
        (("random",), {}, "state.random has or lacks"),
    ],
)
def test_the_first_value_that_does_not_fit_is_named(
    job: tuple[str, State], tmp_path: Path, path: tuple[str, ...], value: object, message: str
) -> None:
    kind, state = job
    with pytest.raises(UserError, match=message):
        load_state(JOBS[kind](), changed(state, path, value), tmp_path)


def test_a_schedule_of_another_torch_is_continued(tmp_path: Path) -> None:
    made = a_training()
    made.train_step()
    state = made.state_dict()
    del state["schedule"]["_last_lr"]
    state["schedule"]["step"] = "what another version kept"
    again = a_training()
    load_state(again, state, tmp_path)
    again.train_step()
    assert again.step == 2


def test_another_number_of_processes_is_said_where_steps_follow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = a_training()
    state = made.state_dict()
    own = {name: state["random"]["streams"][name] for name in OWN_STREAMS}
    state["random"]["others"] = [own]
    load_state(made, state, tmp_path, goes_on=False)
    assert capsys.readouterr().err == ""
    load_state(made, state, tmp_path)
    assert "was left by 2 processes and goes on with 1:" in capsys.readouterr().err
