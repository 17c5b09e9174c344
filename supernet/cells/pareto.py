"""Pareto fronts: who is dominated, how much space a front covers, how far two fronts are apart.

Legend: N points, M objectives (2 or 3). `maximise` says for each objective whether more is better.
The dominance sweep and the exact hypervolume are moocore's, imported when first needed.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from supernet.errors import UserError


def non_dominated(points_NM: ArrayLike, maximise: Sequence[bool]) -> NDArray[np.bool_]:
    """True for every point that no other point dominates.

    a dominates b when a is at least as good in every objective and better in one. Points with
    equal objectives do not dominate each other: all of them stay.

    Shapes:  points (N, M) -> (N,). N may be 0.
    Source:  Kung, Luccio & Preparata 1975, as implemented by moocore.
    """
    costs = _costs(points_NM, maximise)
    if not len(costs):
        return np.zeros(0, dtype=bool)
    import moocore

    # moocore keeps one of several equal points; asking it about the distinct ones decides for all.
    distinct, place = np.unique(costs, axis=0, return_inverse=True)
    return np.asarray(moocore.is_nondominated(distinct), dtype=bool)[place.reshape(-1)]


def hypervolume(points_NM: ArrayLike, reference_M: ArrayLike, maximise: Sequence[bool]) -> float:
    """Volume of the space that the points dominate and that dominates the reference point.

    HV = volume of the union over points p of the box between p and the reference. Points that are
    not better than the reference in every objective add nothing; no points give 0. Exact.

    Shapes:  points (N, M), reference (M,).
    Units:   the product of the objectives' units; divide an objective by a scale first where they
             are not comparable.
    Source:  Zitzler & Thiele 1998; exact algorithms of moocore.
    """
    costs = _costs(points_NM, maximise)
    reference = _costs(np.reshape(np.asarray(reference_M, dtype=np.float64), (1, -1)), maximise)[0]
    inside = costs[(costs < reference).all(axis=1)] if len(costs) else costs
    if not len(inside):
        return 0.0
    import moocore

    return float(moocore.hypervolume(inside, ref=reference))


def generational_distance(
    found_NM: ArrayLike, true_KM: ArrayLike, scale_M: ArrayLike | None = None
) -> float:
    """Mean distance of the found points to the nearest point of the true front.

    GD = mean over found f of min over true t of |(f - t) / scale|_2. It says how good the found
    points are, not how much of the front they cover: for that exchange the arguments (the inverted
    generational distance).

    Shapes:  found (N, M), true (K, M), scale (M,), by default the true front's range in each
             objective (1 where the range is 0).
    Raises:  UserError when one of the sets is empty.
    Source:  Van Veldhuizen & Lamont 1998.
    Differs: the mean of the distances, where the source has the root of their summed squares over
             N, which shrinks as points are added.
    """
    found, true = (np.asarray(points, dtype=np.float64) for points in (found_NM, true_KM))
    if not len(found) or not len(true):
        raise UserError("a distance between fronts needs at least one point in each")
    if scale_M is None:
        spread = np.ptp(true, axis=0)
        scale = np.where(spread > 0, spread, 1.0)
    else:
        scale = np.asarray(scale_M, dtype=np.float64)
    difference = (found[:, None] - true[None]) / scale
    return float(np.sqrt((difference**2).sum(axis=2)).min(axis=1).mean())


def _costs(points_NM: ArrayLike, maximise: Sequence[bool]) -> NDArray[np.float64]:
    """The points with every objective to be minimised."""
    points = np.asarray(points_NM, dtype=np.float64)
    if len(maximise) not in (2, 3):
        raise UserError(f"a front has two or three objectives, not {len(maximise)}")
    if not points.size:
        return np.zeros((0, len(maximise)))
    if points.ndim != 2 or points.shape[1] != len(maximise):
        raise UserError(
            f"points of shape {points.shape} do not have the {len(maximise)} objectives named"
        )
    return np.ascontiguousarray(np.where(list(maximise), -points, points))
