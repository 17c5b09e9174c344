"""Names and order of the NAS-Bench-201 cell: the meaning of alpha's rows and columns.

A cell has four nodes and six edges; a node is the sum of its incoming edges; node 0 is the cell's
input, node 3 its output. Source: Dong & Yang 2020, arXiv:2001.00326. This module imports nothing.
"""

OP_NAMES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The five operators, in the order of alpha's columns and of the digits of a cell's code."""

NONE, SKIP, CONV1, CONV3, POOL = range(5)

EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
"""(node, source) of every edge, in the order of alpha's rows and of the digits of a cell's code."""

NUM_EDGES = len(EDGES)
NUM_OPS = len(OP_NAMES)

INCOMING = tuple(tuple(e for e, (i, _) in enumerate(EDGES) if i == node) for node in range(4))
"""INCOMING[i]: the edges that end in node i, ordered by source."""

OUTGOING = tuple(tuple(e for e, (_, j) in enumerate(EDGES) if j == node) for node in range(4))
"""OUTGOING[j]: the edges that leave node j; they read one relu and can share one convolution."""
