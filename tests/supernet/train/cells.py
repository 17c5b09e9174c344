"""Twenty cells, and small networks of them whose batch norms are anything but the identity."""

import random

import torch

from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork

SPECIAL = (
    "333333",
    "000000",  # nothing leads to the output
    "333000",  # nothing is read
    "300100",  # node 1 is dead
    "033103",  # an edge leaves a node that no image reaches
    "002101",  # batch norm adds to a node that no image reaches
    "002103",  # and a 3x3 convolution reads it
    "002010",  # and it leads nowhere, while node 1 leads from nothing
    "100133",  # node 1 is the input
    "010313",  # isomorphic to the one before it
)
_RANDOM = random.Random(0)
CODES = (
    *SPECIAL,
    *("".join(str(_RANDOM.randrange(5)) for _ in range(6)) for _ in range(20 - len(SPECIAL))),
)


def trained(code: str, *, C: int = 4, N: int = 1, num_classes: int = 5) -> DerivedNetwork:
    """A network in evaluation mode with random weights, statistics, scales and shifts."""
    network = DerivedNetwork(
        Genotype.parse(code), C=C, N=N, num_classes=num_classes,
        mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3),
    )  # fmt: skip
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(norm.weight, 1.0, 0.3)
            torch.nn.init.normal_(norm.bias, 0.0, 0.5)
            torch.nn.init.normal_(norm.running_mean, 0.0, 0.3)
            torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return network.eval()
