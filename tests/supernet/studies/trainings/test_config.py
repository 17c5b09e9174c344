"""The flags of the study: what it refuses, and what it shares with a search."""

import pytest

from supernet.errors import UserError
from supernet.search.presets import with_preset
from supernet.studies.trainings.config import StudyConfig


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"steps": (100, 50)}, "--steps must rise"),
        ({"steps": (50, 50)}, "--steps needs one or more values, each once"),
        ({"seeds": ()}, "--seeds needs one or more values"),
        ({"attacks": ("autoattack",)}, "attacks"),
        ({"dataset": "digits"}, "dataset"),
        ({"start": "3333"}, "3333"),
    ],
)
def test_what_it_refuses(flags: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        StudyConfig(**flags)  # type: ignore[arg-type]


def test_the_defaults_train_as_the_cpu_preset_does() -> None:
    study, search = StudyConfig(), with_preset("cpu", {"dataset": "cifar10"}, cuda=False)
    assert study.search == search
    assert study.steps == search.refine_steps and study.attacks == (search.refine_attack,)
