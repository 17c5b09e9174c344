"""AZ-NAS: does every block add directions to the features, and pass gradients of even size back?

A network is a chain of blocks with features f_0, f_1, .., f_L between them: f_0 is the stem's
output, and every cell and every reduction is a block. B images, C channels, P pixels.

Source: Lee & Ham 2024, arXiv:2403.19232, section 3, with the details of the authors' code for
        NAS-Bench-201. Their fourth part, complexity, is `flops`.
Differs: the sum of logarithms of ranks that the authors combine the four by is not among the sums
        here (ensemble.py adds ranks, with weights): only the parts are theirs.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.nets.skeleton import Skeleton
from supernet.proxies.common import scratch

AZ_NAMES = ("az_expressivity", "az_progressivity", "az_trainability")
FLOOR = 1e-6
"""Added to a singular value before it divides."""
LOWEST = 2 - 1 / FLOOR
"""What a block counts that passes no gradient back, or the very gradient that it was given."""


def az_nas(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> dict[str, float]:
    """All three scores from one pass: a forward pass, and a backward pass through each block alone.

    Shapes: images (B, 3, H, W). `labels` are not used. Random signs come from `generator`, or
    without one from a generator with seed 0.
    """
    copied = scratch(network)
    generator = generator or torch.Generator(images.device).manual_seed(0)
    x, blocks = _chain(copied, images)
    entropies, passed = [entropy(x)], []
    for block in blocks:
        before = x.detach().requires_grad_(True)
        x = block(before)
        entropies.append(entropy(x))
        passed.append(_passed(before, x, generator))
    gains = [after - before for before, after in pairwise(entropies)]
    return dict(zip(AZ_NAMES, (sum(entropies), min(gains), sum(passed) / len(passed)), strict=True))


def az_expressivity(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """sum_l H_l, H_l = -sum_i p_i log p_i, p the eigenvalues of feature l's covariance over their
    sum.

    The covariance (C, C) is that of the C channels over the B * P pixels of all images; training
    mode. Higher means that the features use more directions, and more evenly.
    Sentinel: a constant feature has H = 0, so that of a cell without a path from input to output
              the stem's entropy alone counts.
    Source:   Lee & Ham 2024, arXiv:2403.19232, the expressivity score.
    Differs:  p log p is 0 at p = 0; the authors add 1e-8 inside the logarithm. The network keeps
              PyTorch's own initialisation and real images; theirs are Kaiming normal and Gaussian.
    """
    return az_nas(network, images, labels, generator)["az_expressivity"]


def az_progressivity(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """min_l H_l - H_(l-1), H the entropies of `az_expressivity`: the block that adds least.

    Higher means that no block narrows the features.
    Sentinel: a cell without a path from input to output loses all of the stem's entropy at once.
    Source:   Lee & Ham 2024, arXiv:2403.19232, the progressivity score.
    Differs:  as `az_expressivity`.
    """
    return az_nas(network, images, labels, generator)["az_progressivity"]


def az_trainability(
    network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> float:
    """mean_l 2 - s_l - 1 / s_l, s_l the largest singular value of (1 / BP) sum g_in g_out^T.

    g_out (C_out) are random signs at each pixel of block l's output, g_in (C_in) the gradient of
    their product with the output at the same pixel of its input, and the sum goes over images and
    pixels. A block of stride 2 has g_in of the four pixels stacked, 4 C_in. The matrix estimates
    the block's mean Jacobian; at s = 1, where the term is highest, gradients keep their size.
    Higher means that gradients neither vanish nor explode.
    Sentinel: a block that passes nothing back counts 2 - 1e6, and so does one that passes back just
              what it was given (a single skip, which computes nothing).
    Source:   Lee & Ham 2024, arXiv:2403.19232, the trainability score.
    Differs:  the authors give -inf to such blocks; scores are finite here. Initialisation and
              images as in `az_expressivity`.
    """
    return az_nas(network, images, labels, generator)["az_trainability"]


def entropy(features: Tensor) -> float:
    """H of `az_expressivity` of one feature: (B, C, H, W) -> a number from 0 to log C."""
    rows = features.detach().transpose(0, 1).flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    values = torch.linalg.eigvalsh((rows @ rows.T).double()).clamp_(min=0)
    total = values.sum()
    if total == 0:
        return 0.0
    return -torch.special.xlogy(values / total, values / total).sum().item()


def _passed(before: Tensor, after: Tensor, generator: torch.Generator) -> float:
    """2 - s - 1 / s of one block."""
    signs = torch.randint(2, after.shape, generator=generator, device=generator.device)
    g_out = (2 * signs - 1).to(after)
    g_in = torch.zeros_like(before)
    if after.requires_grad:
        (found,) = torch.autograd.grad(after, before, g_out, allow_unused=True)
        g_in = g_in if found is None else found
    if torch.equal(g_in, g_out):
        return LOWEST
    stride = before.shape[2] // after.shape[2]
    g_in = F.pixel_unshuffle(g_in.contiguous(), stride)
    rows_in, rows_out = (g.transpose(0, 1).flatten(1) for g in (g_in, g_out))
    mean = (rows_in @ rows_out.T).double() / rows_out.shape[1]
    s = torch.linalg.matrix_norm(mean, 2).item()
    return 2 - s - 1 / (s + FLOOR)


def _chain(network: nn.Module, images: Tensor) -> tuple[Tensor, Iterator[nn.Module]]:
    """The first feature, and the blocks behind it. Of a Sequential the first child is the stem."""
    if isinstance(network, Skeleton):
        x = network.normalize(network.laid_out(images))
        return network.stem(x), _blocks(network)
    stem, *blocks = network.children()
    return stem(images), iter(blocks)


def _blocks(network: Skeleton) -> Iterator[nn.Module]:
    for number, cell in enumerate(network.cells):
        if number and number % network.N == 0:
            yield network.reductions[number // network.N - 1]
        yield cell
