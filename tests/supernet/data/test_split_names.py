"""Which names of folders mean splits, and which groups of names are splits together."""

import pytest

from supernet.data.split_names import families, split_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Train", "train"), ("TRAINING", "train"), ("trainset", "train"), ("TrainingSet", "train"),
        ("train_images", "train"), ("train2017", "train"), ("01-trainval", "train"),
        ("val", "val"), ("Valid", "val"), ("validation set", "val"), ("dev", "val"),
        ("test", "test"), ("Testing", "test"), ("testdata", "test"), ("Hold-Out", "test"),
    ],
)  # fmt: skip
def test_splits_are_known_in_any_spelling(name: str, kind: str) -> None:
    found = split_of(name)
    assert found is not None and (found.kind, found.family) == (kind, ())


@pytest.mark.parametrize("name", ["ant", "trainer", "contrast", "invalid", "train_val", "latest"])
def test_other_names_are_no_splits(name: str) -> None:
    assert split_of(name) is None


def test_families_share_their_other_words() -> None:
    assert families(["seg_test", "seg_pred", "seg_train"]) == [
        {"test": ["seg_test"], "train": ["seg_train"]}
    ]
    # Places, vehicles and laboratory ware: classes, each of a family of its own.
    assert families(["bus", "train", "train_station", "test_tube"]) == []
    assert families(["cats_train", "cats_val", "dogs_train", "dogs_val"]) == [
        {"train": ["cats_train"], "val": ["cats_val"]},
        {"train": ["dogs_train"], "val": ["dogs_val"]},
    ]
