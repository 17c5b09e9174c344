"""Data sets as uint8 tensors on the device, and batches of them.

The names that other packages use are these; the modules hold one source or one idea each.
"""

from supernet.data.batches import Batches, augment, sent_to, split_halves, to_float
from supernet.data.images import ImageData
from supernet.data.load import DATASETS, load_dataset

__all__ = [
    "DATASETS",
    "Batches",
    "ImageData",
    "augment",
    "load_dataset",
    "sent_to",
    "split_halves",
    "to_float",
]
