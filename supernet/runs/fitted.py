"""Fits side, batch size and epochs of a run to one's own pictures, where nobody names them.

Presets are made for data sets of 50,000 images. A folder of 500 would end after a hundredth of
their steps, and one of 100 does not fill a batch.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from supernet.data.load import automatic_side
from supernet.data.own import OwnImages, look
from supernet.search.config import SearchConfig
from supernet.train.config import TrainConfig

PRESET_IMAGES = 50_000
"""Training images that presets are made for."""
LEAST_BATCHES = 8
"""Steps of an epoch, where there are as many images: fewer would make every epoch nearly alike."""
LEAST_BATCH = 16
"""Images of a step, where there are as many: batch norm takes its statistics from them."""
MOST_PASSES = 100
"""Epochs. In longer adversarial trainings the accuracy under attack falls again on pictures that
were not learnt from (Rice et al. 2020, arXiv:2002.11569), and few pictures hasten that."""
IMBALANCE = 3.0
"""From so many images of the largest class to one of the smallest on, `--balance` is spoken of."""

Lines = list[str]


def fit_search(
    config: SearchConfig, given: Mapping[str, Any], *, on_gpu: bool, processes: int = 1
) -> tuple[SearchConfig, Lines]:
    """The config with side, batch size and epochs for its pictures, and a line about each.

    given: the fields that the user named, which stay. Other data sets stay as they are, too.
    processes: that share a batch; its size is one's in the argument and that of all in the result.
    Raises: UserError where the folder or the pack is not one.
    """
    found, one = look(config.dataset, config.val), config.batch_size
    config = dataclasses.replace(config, batch_size=one * processes)
    if found is None:
        return config, []
    images, fields, lines = _seen(config, found, given, on_gpu=on_gpu)
    # A search halves its images, and makes its steps on one half.
    preset = _preset_images(config.limit, given)
    batch = _batch_size(config.batch_size, images // 2, found.classes, given)
    epochs = config.epochs
    if "epochs" not in given and config.epochs:
        steps = config.epochs * (preset // 2 // max(one, batch))
        epochs = _epochs(steps, images // 2, batch)
    if "warmup_epochs" not in given and config.epochs:
        share = config.warmup_epochs / config.epochs
        fields["warmup_epochs"] = min(round(share * epochs), max(0, epochs - 1))
    fields |= {"batch_size": batch, "epochs": epochs}
    lines += _steps_lines(fields, given, images // 2, "images of the half that trains the weights")
    return dataclasses.replace(config, **fields), lines


def fit_training(
    config: TrainConfig, given: Mapping[str, Any], *, on_gpu: bool, processes: int = 1
) -> tuple[TrainConfig, Lines]:
    """The same of a stand-alone training, whose data set is named."""
    found, one = look(str(config.dataset), config.val), config.batch_size
    config = dataclasses.replace(config, batch_size=one * processes)
    if found is None:
        return config, []
    images, fields, lines = _seen(config, found, given, on_gpu=on_gpu)
    batch = _batch_size(config.batch_size, images, found.classes, given)
    steps = config.epochs * (_preset_images(config.limit, given) // max(one, batch))
    epochs = config.epochs if "epochs" in given else _epochs(steps, images, batch)
    fields |= {"batch_size": batch, "epochs": epochs}
    lines += _steps_lines(fields, given, images, "training images")
    return dataclasses.replace(config, **fields), lines


def _seen(
    config: SearchConfig | TrainConfig, found: OwnImages, given: Mapping[str, Any], *, on_gpu: bool
) -> tuple[int, dict[str, Any], Lines]:
    """How many images there are to learn from, the side where it was chosen, and their lines."""
    images = found.images if config.limit is None else min(config.limit, found.images)
    fields, lines = _side(config.side, found, given, on_gpu=on_gpu)
    return images, fields, [*lines, _images_line(found, config.balance)]


def _preset_images(limit: int | None, given: Mapping[str, Any]) -> int:
    """The images that the preset's epochs pass over; a limit may be its own or the user's."""
    return PRESET_IMAGES if limit is None or "limit" in given else limit


def _side(
    side: int | None, found: OwnImages, given: Mapping[str, Any], *, on_gpu: bool
) -> tuple[dict[str, Any], Lines]:
    if found.shorter_side is None or side is not None:
        return {}, []
    side = automatic_side(found.shorter_side, on_gpu=on_gpu)
    text = (
        f"side       {side}: the median picture is {found.shorter_side} pixels on its shorter side"
    )
    if not on_gpu and automatic_side(found.shorter_side, on_gpu=True) > side:
        text += "; --side 64 shows more, in four times the time"
    return {"side": side}, [text]


def _images_line(found: OwnImages, balance: bool) -> str:
    text = (
        f"pictures   {found.images:,} to learn from in {found.classes} classes of"
        f" {min(found.counts):,} to {max(found.counts):,}, {found.held_out:,} held out"
    )
    if found.imbalance >= IMBALANCE and not balance:
        text += "; --balance shows the classes equally often"
    return text


def _batch_size(preset: int, images: int, classes: int, given: Mapping[str, Any]) -> int:
    """The preset's, halved until an epoch has LEAST_BATCHES, but not below LEAST_BATCH or an image
    of every class; and below that where there are too few images for one batch."""
    if "batch_size" in given:
        return preset
    least, batch = max(LEAST_BATCH, classes), preset
    while batch // 2 >= least and images // batch < LEAST_BATCHES:
        batch //= 2
    while batch > 4 and images < batch:
        batch //= 2
    return batch


def _epochs(steps: int, images: int, batch: int) -> int:
    """As many as make the preset's steps, from 1 to MOST_PASSES."""
    return max(1, min(MOST_PASSES, round(steps / max(1, images // batch))))


def _steps_lines(
    fields: Mapping[str, Any], given: Mapping[str, Any], images: int, words: str
) -> Lines:
    batch, epochs = fields["batch_size"], fields["epochs"]
    lines = []
    if "batch_size" not in given and epochs:
        lines.append(f"batches    of {batch}: {images // batch:,} an epoch, of {images:,} {words}")
    if "epochs" not in given and epochs:
        warm = fields.get("warmup_epochs")
        text = f"epochs     {epochs}: {epochs * (images // batch):,} steps"
        lines.append(text + (f", the first {warm} epochs to warm up" if warm else ""))
    return lines
