import numpy as np
from sklearn.datasets import load_digits

from supernet.data.digits import enlarge, read_digits


def test_every_original_pixel_can_be_read_back() -> None:
    images = load_digits().images
    x = enlarge(images)
    assert x.shape == (1797, 16, 16, 3) and x.dtype == np.uint8
    assert (x.min(), x.max()) == (0, 255)
    for corner in (x[:, ::2, ::2], x[:, 1::2, 1::2], x[:, ::2, 1::2]):
        for channel in range(3):
            assert np.array_equal(np.rint(corner[..., channel] / 255 * 16), images)


def test_the_split_is_stratified_and_complete() -> None:
    source = read_digits(seed=0)
    train, test = np.bincount(source.train.y), np.bincount(source.test.y)
    assert train.sum() + test.sum() == 1797
    assert (abs(test / (train + test) - 0.2) < 0.01).all()
    seen = {image.tobytes() for image in source.train.pixels()}
    assert not seen & {image.tobytes() for image in source.test.pixels()}
