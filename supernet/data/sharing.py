"""Images in a form that processes can be sent, and back."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from supernet.data.images import ImageData

TENSORS = ("train_x", "train_y", "test_x", "test_y")


def as_arrays(data: ImageData) -> dict[str, Any]:
    """The fields of images on the CPU, arrays for tensors: processes of a machine share these."""
    fields = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    return {**fields, **{name: fields[name].cpu().numpy() for name in TENSORS}}


def from_arrays(fields: Mapping[str, Any], device: torch.device) -> ImageData:
    """The images of `as_arrays` on a device; on the CPU they stay in the memory that is shared."""
    with warnings.catch_warnings():
        # Shared memory is read-only, and nothing here writes to images.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        tensors = {n: torch.from_numpy(np.asarray(fields[n])).to(device) for n in TENSORS}
    return ImageData(**{**fields, **tensors})
