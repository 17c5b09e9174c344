"""Images come back from arrays as they were, in the memory that is shared."""

import dataclasses
import pickle
import warnings

import torch

from supernet.data import load_dataset
from supernet.data.sharing import TENSORS, as_arrays, from_arrays


def test_what_was_sent_comes_back_without_a_copy() -> None:
    data = load_dataset("digits", limit=30, test_limit=10)
    arrays = as_arrays(data)
    sent = pickle.loads(pickle.dumps(arrays))
    for name in TENSORS:
        sent[name].flags.writeable = False  # as memory is that processes share
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = from_arrays(sent, torch.device("cpu"))
    assert back.digest == data.digest and back.facts() == data.facts()
    for field in dataclasses.fields(data):
        if field.name not in TENSORS:
            assert getattr(back, field.name) == getattr(data, field.name)
    assert back.train_x.data_ptr() == sent["train_x"].ctypes.data
