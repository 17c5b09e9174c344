"""Alpha as a function of a preference over (clean accuracy, robust accuracy, size).

M = 3 objectives; a preference lambda_M lies on the simplex: non-negative, sum 1. There are two such
functions: a map for all preferences, and a table of a few. In both every preference starts at the
uniform distribution. The supernet's weights are shared by all.
"""

import math

import torch
from torch import Tensor, nn

from ops.space import NUM_EDGES, NUM_OPS

AIMS = ("clean", "robust", "size")
SCALE = math.sqrt(12.0)
"""sqrt(2/3) over the standard deviation of lambda_k, 1/sqrt(18): see `AlphaOfPreference`."""


class Preferences(nn.Module):
    """lambda_M (3,) -> alpha (6, 5), learnt one drawn preference at a time."""

    def forward(self, lambda_M: Tensor) -> Tensor:
        """alpha(lambda)."""
        raise NotImplementedError

    def set_gradient(self, lambda_M: Tensor, gradient_EO: Tensor) -> None:
        """Gradients of the parameters, from that with respect to alpha(lambda)."""
        raise NotImplementedError

    def move(self, lambda_M: Tensor, step_EO: Tensor) -> None:
        """The smallest change of the parameters that adds step_EO to alpha(lambda)."""
        raise NotImplementedError

    def draw(self, generator: torch.Generator) -> Tensor:
        """The preference of a step."""
        raise NotImplementedError

    def points(self) -> list[Tensor]:
        """The preferences that cells are derived for; the corners first."""
        raise NotImplementedError


class AlphaOfPreference(Preferences):
    """alpha(lambda) = b + W . phi(lambda),  phi = sqrt(12) (lambda - 1/3): a linear hypernetwork.

    Every step draws its preference evenly from the simplex. Linear is the right form where the
    objectives are sums over edges: then softmax(-sum_k lambda_k c_k / tau) is what a preference
    asks for. The scale makes phi white for uniform lambda (E phi phi' is the identity on the plane
    that lambda lies in), so that plain gradient steps with sum_k lambda_k g_k at random lambda move
    the corner of objective k, in expectation, along g_k alone; with the bare lambda as features it
    would go along g_k + (g_1 + g_2 + g_3).

    Shapes: lambda (3,) -> (6, 5).
    Source: Navon et al. 2021, arXiv:2010.04104 (Pareto hypernetworks), there for all weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.zeros(NUM_EDGES, NUM_OPS))
        self.slopes = nn.Parameter(torch.zeros(len(AIMS), NUM_EDGES, NUM_OPS))

    def forward(self, lambda_M: Tensor) -> Tensor:
        return self.base + torch.tensordot(features(lambda_M.to(self.base)), self.slopes, dims=1)

    def set_gradient(self, lambda_M: Tensor, gradient_EO: Tensor) -> None:
        self.base.grad = gradient_EO
        self.slopes.grad = features(lambda_M.to(gradient_EO))[:, None, None] * gradient_EO

    @torch.no_grad()
    def move(self, lambda_M: Tensor, step_EO: Tensor) -> None:
        phi = features(lambda_M.to(step_EO))
        step_EO = step_EO / (1 + phi @ phi)
        self.base.add_(step_EO)
        self.slopes.add_(phi[:, None, None] * step_EO)

    def draw(self, generator: torch.Generator) -> Tensor:
        return draw(generator)

    def points(self) -> list[Tensor]:
        return grid(5)


class FixedPreferences(Preferences):
    """An alpha of its own for each of six preferences: the corners, and the middles between two.

    Another preference has the alpha of the nearest, the first of several. Every step draws one of
    the six; optimiser and decay leave the others alone, whose gradients are None.
    """

    def __init__(self) -> None:
        super().__init__()
        self._points = grid(2)
        self.alphas = nn.ParameterList(torch.zeros(NUM_EDGES, NUM_OPS) for _ in self._points)

    def forward(self, lambda_M: Tensor) -> Tensor:
        alpha: Tensor = self.alphas[self._nearest(lambda_M)]
        return alpha

    def set_gradient(self, lambda_M: Tensor, gradient_EO: Tensor) -> None:
        for alpha in self.alphas:
            alpha.grad = None
        self.alphas[self._nearest(lambda_M)].grad = gradient_EO

    @torch.no_grad()
    def move(self, lambda_M: Tensor, step_EO: Tensor) -> None:
        self.alphas[self._nearest(lambda_M)].add_(step_EO)

    def draw(self, generator: torch.Generator) -> Tensor:
        return self._points[int(torch.randint(len(self._points), (), generator=generator))]

    def points(self) -> list[Tensor]:
        return list(self._points)

    def _nearest(self, lambda_M: Tensor) -> int:
        lambda_M = lambda_M.cpu()  # three numbers; on a GPU this waits
        return min(
            range(len(self._points)),
            key=lambda k: float((self._points[k] - lambda_M).square().sum()),
        )


def features(lambda_M: Tensor) -> Tensor:
    """phi(lambda): zero for the even preference, of length sqrt(8) for those that want one thing.

    Shapes: (3,) -> (3,).
    """
    return SCALE * (lambda_M - 1 / len(AIMS))


def draw(generator: torch.Generator) -> Tensor:
    """A preference from the uniform distribution on the simplex, Dirichlet(1, 1, 1)."""
    exponential = -(1 - torch.rand(len(AIMS), generator=generator)).log()
    return exponential / exponential.sum()


def accuracy_preference(robust_weight: float) -> Tensor:
    """The preference that size means nothing to: what a weighted search asks for."""
    return torch.tensor([1 - robust_weight, robust_weight, 0.0])


def grid(steps: int) -> list[Tensor]:
    """All preferences in steps of 1/steps, (steps + 1)(steps + 2) / 2 of them; corners first."""
    points = [(i, j, steps - i - j) for i in range(steps, -1, -1) for j in range(steps - i, -1, -1)]
    points.sort(key=lambda point: -max(point))  # stable
    return [torch.tensor(point) / steps for point in points]
