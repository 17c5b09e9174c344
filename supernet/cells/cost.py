"""What a cell's stand-alone network costs: parameters and multiply-adds, in closed form."""

import itertools


class Cost:
    """Parameters and multiply-adds of the derived network: base + a * n_1x1 + b * n_3x3.

    Closed forms for the skeleton of `supernet.nets.networks` with stages of N cells at C, 2C and 4C
    channels and K classes. C=16, N=5, K=10, 32x32: 73,306 + 28,000 n_1x1 + 243,040 n_3x3 parameters
    and 7,783,050 + 3,932,160 n_1x1 + 35,389,440 n_3x3 multiply-adds. Skip, pool and none are free.
    """

    @staticmethod
    def params(num_classes: int = 10, C: int = 16, N: int = 5) -> tuple[int, int, int]:
        """(base, per 1x1 edge, per 3x3 edge): convolutions, BN scale and shift, classifier."""
        widths = (C, 2 * C, 4 * C)
        stem = 27 * C + 2 * C
        # Residual block c -> d: 3x3 c->d, 3x3 d->d, two BN of d, and the shortcut's 1x1 c->d.
        blocks = sum(9 * c * d + 9 * d * d + 4 * d + c * d for c, d in itertools.pairwise(widths))
        head = 2 * widths[-1] + (widths[-1] + 1) * num_classes
        per_conv1 = N * sum(c * c + 2 * c for c in widths)
        per_conv3 = N * sum(9 * c * c + 2 * c for c in widths)
        return stem + blocks + head, per_conv1, per_conv3

    @staticmethod
    def flops(
        num_classes: int = 10, image_size: int = 32, C: int = 16, N: int = 5
    ) -> tuple[int, int, int]:
        """(base, per 1x1 edge, per 3x3 edge): multiply-adds of convolutions and classifier.

        The classifier's bias counts as one multiply-add per class, as in the published records.
        """
        widths = (C, 2 * C, 4 * C)
        # A stride-2 convolution with padding 1 gives ceil(side / 2), a 2x2 pool floor(side / 2).
        # The skeleton asks for sides that 4 divides, where they agree.
        areas = (image_size**2, (image_size // 2) ** 2, (image_size // 4) ** 2)
        blocks = sum(
            area * (9 * c * d + 9 * d * d + c * d)
            for (c, d), area in zip(itertools.pairwise(widths), areas[1:], strict=True)
        )
        base = 27 * C * areas[0] + blocks + (widths[-1] + 1) * num_classes
        per_conv1 = N * sum(a * c * c for a, c in zip(areas, widths, strict=True))
        return base, per_conv1, 9 * per_conv1
