"""The embedded data set: 1,797 handwritten digits inside scikit-learn's wheel.

The 8x8 images with 17 grey levels become 16x16 RGB by doubling each pixel in both directions and
scaling 0..16 to 0..255. Doubling invents no values, and every original pixel can be read back.
"""

import numpy as np

from supernet.data.splits import PixelArray, Source, in_memory, stratified_test

TEST_SHARE = 0.2


def read_digits(seed: int) -> Source:
    """1,438 training and 359 test images, stratified; the seed chooses which."""
    from sklearn.datasets import load_digits  # a second, in every process that has other images

    digits = load_digits()
    x = enlarge(digits.images)
    y = digits.target.astype(np.int64)
    test = stratified_test(y, TEST_SHARE, seed)
    return Source(
        train=in_memory(x[~test], y[~test]),
        test=in_memory(x[test], y[test]),
        class_names=tuple(str(name) for name in digits.target_names),
        origin="the digits of scikit-learn, 8x8 shown as 16x16",
        remark=f"stratified split with seed {seed}",
    )


def enlarge(images_NHW: np.ndarray) -> PixelArray:
    """(N, 8, 8) values 0..16 -> (N, 16, 16, 3) uint8."""
    grey = np.rint(images_NHW * (255 / 16)).astype(np.uint8)
    return np.repeat(grey.repeat(2, axis=1).repeat(2, axis=2)[..., None], 3, axis=3)
