"""A second way from a supernet to one cell's network, to compare folded and sampled cells with."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.space import NUM_EDGES, OP_NAMES
from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork
from supernet.nets.supernet import Supernet


def inherit(supernet: Supernet, genotype: Genotype) -> DerivedNetwork:
    """The derived network of a cell with the supernet's weights and running statistics.

    Its cells have no scale and shift either. In eval mode it equals the supernet with one-hot edge
    weights.
    """
    network = DerivedNetwork(
        genotype,
        C=supernet.C,
        N=supernet.N,
        num_classes=supernet.num_classes,
        mean=supernet.normalize.mean.flatten().tolist(),
        std=supernet.normalize.std.flatten().tolist(),
        affine=False,
    )
    network.to(supernet.classifier.weight.device, supernet.classifier.weight.dtype)
    state = supernet.state_dict()
    for mixed, derived in zip(supernet.cells, network.cells, strict=True):
        for edge in range(NUM_EDGES):
            source = mixed.edges[edge].ops[genotype.ops[edge]]
            derived.edges[edge].load_state_dict(source.state_dict())
    rest = {name: value for name, value in state.items() if not name.startswith("cells.")}
    missing, unexpected = network.load_state_dict(rest, strict=False)
    assert not unexpected and all(name.startswith("cells.") for name in missing)
    return network


def one_hot(genotype: Genotype, like: Tensor) -> Tensor:
    """Edge weights (6, 5) that select one cell, with the dtype and device of `like`."""
    index = torch.tensor(genotype.ops, device=like.device)
    return F.one_hot(index, len(OP_NAMES)).to(like.dtype)
