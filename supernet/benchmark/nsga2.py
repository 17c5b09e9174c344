"""NSGA-II over cells for several objectives, through pymoo. Imported only when asked for.

Legend: B queries, M objectives; `costs` are objectives to be minimised.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from ops.space import NONE, NUM_EDGES, NUM_OPS


class CellProblem(Problem):
    """Cells as six integers, valued by `costs` (numbers -> costs); keeps their order."""

    def __init__(
        self,
        costs: Callable[[NDArray[np.int64]], NDArray[np.float64]],
        num_objectives: int,
        lowest_op: int = NONE,
    ) -> None:
        super().__init__(
            n_var=NUM_EDGES, n_obj=num_objectives, xl=lowest_op, xu=NUM_OPS - 1, vtype=int
        )
        self.costs = costs
        self.looked_up: list[int] = []

    def _evaluate(self, x: NDArray[Any], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        numbers = x.astype(np.int64) @ (NUM_OPS ** np.arange(NUM_EDGES)[::-1])
        self.looked_up.extend(numbers.tolist())
        out["F"] = self.costs(numbers)


class OtherOperator(Mutation):
    """Each edge gets a random operator with probability 1/6: operators are names, not quantities,
    so pymoo's polynomial mutation, which prefers near numbers, does not fit."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self._rng = rng

    def _do(self, problem: Problem, X: NDArray[Any], *args: Any, **kwargs: Any) -> NDArray[Any]:
        change = self._rng.random(X.shape) < 1 / NUM_EDGES
        return np.where(change, self._rng.integers(problem.xl[0], NUM_OPS, X.shape), X)


def nsga2(problem: CellProblem, *, seed: int, population: int, sampling: Any = None) -> NSGA2:
    """The algorithm, ready for `minimize` or for steps with `next()`.

    Population from uniform strings, or `sampling` (cells, 6); binary tournaments by rank and
    crowding; uniform crossover; random operators on edges. A child equal to a living cell is
    replaced before it is looked up.

    Source: Deb et al. 2002, as implemented by pymoo.
    """
    return NSGA2(
        pop_size=population,
        sampling=IntegerRandomSampling() if sampling is None else sampling,
        crossover=UniformCrossover(),
        mutation=OtherOperator(np.random.default_rng(seed)),
        eliminate_duplicates=True,
    )


def nsga2_lookups(
    costs_by_code: NDArray[np.float64], *, queries: int, seed: int, population: int
) -> list[int]:
    """The cell numbers that `nsga2` looks up, in order.

    Shapes:  costs_by_code (15625, M), all to be minimised -> B cell numbers, or fewer where no new
             child can be made.
    """
    problem = CellProblem(lambda numbers: costs_by_code[numbers], costs_by_code.shape[1])
    algorithm = nsga2(problem, seed=seed, population=min(population, queries))
    # pymoo judges after whole generations; what goes beyond the budget is cut off.
    minimize(problem, algorithm, ("n_eval", queries), seed=seed, verbose=False)
    return problem.looked_up[:queries]
