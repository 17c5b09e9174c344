import numpy as np

from supernet.data.splits import (
    first_of_each_class,
    in_memory,
    join,
    rank_in_class,
    stratified_test,
)


def test_rank_counts_the_images_of_the_same_class_before() -> None:
    assert rank_in_class(np.array([2, 0, 2, 2, 0, 1])).tolist() == [0, 0, 1, 2, 1, 0]


def test_first_of_each_class_is_even_and_in_order() -> None:
    y = np.array([0, 0, 0, 1, 0, 1, 2, 1])
    assert first_of_each_class(y, 5).tolist() == [0, 1, 3, 5, 6]
    # A class that has no more is made up for by the others.
    assert first_of_each_class(y, 7).tolist() == [0, 1, 2, 3, 5, 6, 7]


def test_stratified_test_takes_the_share_of_every_class() -> None:
    y = np.repeat([0, 1, 2], [10, 20, 3])
    test = stratified_test(y, 0.2, seed=0)
    assert np.bincount(y[test]).tolist() == [2, 4, 1]
    assert np.array_equal(test, stratified_test(y, 0.2, seed=0))
    assert not np.array_equal(test, stratified_test(y, 0.2, seed=1))


def test_join_reads_each_image_from_its_own_part() -> None:
    x = np.arange(7 * 2 * 2 * 3, dtype=np.uint8).reshape(7, 2, 2, 3)
    y = np.arange(7)
    asked: list[list[int]] = []

    def watch(index: np.ndarray) -> np.ndarray:
        asked.append(index.tolist())
        return x[4:][index]

    second = in_memory(x[4:], y[4:])
    both = join(
        [in_memory(x[:4], y[:4]), type(second)(second.y, watch, np.array([True, False, True]))]
    )
    index = np.array([6, 0, 4, 3])
    assert np.array_equal(both.read(index), x[index])
    assert asked == [[2, 0]]
    assert both.y.tolist() == list(range(7))
    assert both.num_lossy() == 2
    # What nobody asks for is not read.
    assert both.take(np.array([1, 2])).pixels().tolist() == x[[1, 2]].tolist()
    assert len(asked) == 1
