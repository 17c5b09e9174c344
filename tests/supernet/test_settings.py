"""Fields of configs: one check with one phrasing, and every field documented, bounded and read."""

import ast
import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from supernet.attacks import ATTACKS
from supernet.errors import UserError
from supernet.flags import field_docs
from supernet.search.config import SearchConfig
from supernet.settings import (
    ATTACK_NAMES,
    check_settings,
    differences,
    field_kinds,
    flag_of,
    from_saved,
    resumed,
    setting,
    setting_of,
)
from supernet.studies.evidence.config import EvidenceConfig
from supernet.studies.ranking.config import RankConfig
from supernet.studies.sweep.config import SweepConfig
from supernet.train.config import TrainConfig

ROOT = Path(__file__).parents[2]
READERS: dict[type, tuple[str, ...]] = {
    SearchConfig: ("supernet/search", "supernet/runs"),
    TrainConfig: ("supernet/train", "supernet/runs"),
    RankConfig: ("supernet/studies/ranking",),
    EvidenceConfig: ("supernet/studies/evidence",),
    SweepConfig: ("supernet/studies/sweep",),
}
"""Every config, and where its fields are read."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A field of every kind."""

    share: float = setting(0.5, least=0, most=1)
    rate: float = setting(0.1, above=0)
    decay: float = setting(0.9, least=0, below=1)
    eps: float | None = setting(None, above=0, most=1, hint="8/255")
    steps: int = setting(3, least=1)
    seeds: tuple[int, ...] = setting((), least=0)
    names: tuple[str, ...] = ("a",)
    attack: str = setting("pgd", choices=ATTACK_NAMES)
    robust: bool = False
    free: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self)


def test_the_attacks_are_those_of_the_registry() -> None:
    # No config imports torch, so that --help is instant; this keeps the two in step.
    assert tuple(ATTACKS) == ATTACK_NAMES


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"share": 1.5}, "--share is 1.5; it must be from 0 to 1"),
        ({"rate": 0.0}, "--rate is 0; it must be above 0"),
        ({"rate": -1}, "--rate is -1; it must be above 0"),
        ({"decay": 1.0}, "--decay is 1; it must be at least 0 and below 1"),
        ({"eps": 8.0}, "--eps is 8; it must be above 0 and at most 1 (write for example 8/255)"),
        ({"steps": 0}, "--steps is 0; it must be at least 1"),
        ({"steps": 2.0}, "--steps is 2.0; it must be a whole number"),
        ({"steps": True}, "--steps is True; it must be a whole number"),
        ({"steps": None}, "--steps is None; it must be a whole number"),
        ({"steps": 2**63}, f"--steps is {2**63}; it must be below 2^63"),
        ({"seeds": (1, -2)}, "--seeds is -2; it must be at least 0"),
        ({"seeds": [1]}, "--seeds is [1]; it must be a list"),
        ({"names": (1,)}, "--names is 1; it must be text"),
        ({"attack": "cw"},
         "--attack 'cw' is unknown; choose one of fgsm, fgsm_rs, n_fgsm, pgd"),
        ({"robust": 1}, "--robust is 1; it must be true or false"),
        ({"free": math.nan}, "--free is nan; it must be a finite number"),
        ({"rate": math.inf}, "--rate is inf; it must be a finite number"),
        ({"free": "much"}, "--free is 'much'; it must be a number"),
    ],
)  # fmt: skip
def test_what_is_refused_and_in_which_words(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        Example(**fields)
    assert str(error.value) == message


def test_bounds_themselves_and_none_are_allowed() -> None:
    Example(share=0, decay=0.0, eps=None, seeds=(0, 2**63 - 1), free=-1e300)
    Example(share=1.0, eps=1.0, steps=1, rate=5e-324)


def test_a_saved_config_is_read_back() -> None:
    one = Example(seeds=(1, 2), eps=4 / 255)
    assert from_saved(Example, json.loads(json.dumps(dataclasses.asdict(one))), "x.json") == one


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"colour": 1, "size": 2}, "unknown fields colour, size"),
        ({"steps": "many"}, "--steps is 'many'; it must be a whole number"),
        ({"steps": 0}, "--steps is 0; it must be at least 1"),
        ({"names": "a"}, "--names is 'a'; it must be a list"),
        ({"share": None}, "--share is None; it must be a number"),
    ],
)
def test_another_versions_config_is_refused(change: dict[str, Any], reason: str) -> None:
    saved = dataclasses.asdict(Example()) | change
    with pytest.raises(UserError) as error:
        from_saved(Example, saved, "run/config.json")
    assert str(error.value) == (
        f"run/config.json was written by another version ({reason}); use the version that wrote "
        "it, or start anew"
    )


@pytest.mark.parametrize(
    ("saved", "reason"),
    [
        ({"share": 0.5}, "no rate, decay, eps, steps"),
        (None, "it holds no config"),
        ([], "it holds no config"),
    ],
)
def test_an_incomplete_config_is_refused(saved: Any, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^x\.json was written by another version \({reason}"):
        from_saved(Example, saved, "x.json")


def test_a_resumed_run_keeps_its_config_but_for_free_fields() -> None:
    saved = Example(seeds=(1,))
    assert differences(saved, {"steps": 3, "seeds": (2,)}) == ["seeds: (1,) -> (2,)"]
    assert differences(saved, {"steps": 4, "seeds": (2,)}, free=("seeds",)) == ["steps: 3 -> 4"]
    assert resumed(saved, {"steps": 3}, "run", free=("seeds",)) == saved
    assert resumed(saved, {"seeds": (2,)}, "run", free=("seeds",)) == Example(seeds=(2,))
    with pytest.raises(UserError) as error:
        resumed(saved, {"steps": 4, "share": 0.1, "seeds": ()}, "run", free=("seeds",))
    assert str(error.value) == (
        "run was started with another config (steps: 3 -> 4; share: 0.5 -> 0.1); resume it without "
        "these flags, or start a new run with another --out"
    )


def test_pictures_may_have_moved_but_not_become_another_data_set() -> None:
    saved = TrainConfig(dataset="folder:a")
    assert resumed(saved, {"dataset": "folder:/b"}, "run", free=()).dataset == "folder:/b"
    for other in ("digits", "pack:a", "folder"):
        with pytest.raises(UserError, match=f"dataset: folder:a -> {other}"):
            resumed(saved, {"dataset": other}, "run", free=())
    with pytest.raises(UserError, match="dataset: digits -> folder:a"):
        resumed(TrainConfig(dataset="digits"), {"dataset": "folder:a"}, "run", free=())


# Every config of the project ------------------------------------------------------------------


@pytest.mark.parametrize("config", READERS)
def test_every_field_is_documented(config: type) -> None:
    docs = field_docs(config)
    assert set(docs) == {field.name for field in dataclasses.fields(config)}
    assert all(text.endswith(".") for text in docs.values())


@pytest.mark.parametrize("config", READERS)
def test_every_number_is_bounded(config: type) -> None:
    kinds = field_kinds(config)
    for field in dataclasses.fields(config):
        if kinds[field.name][0] in (int, float):
            assert setting_of(field).bounds, field.name


def _bounded() -> Iterator[Any]:
    """(config, field, bound, whether the bound itself is allowed, which way is out)."""
    for config in READERS:
        for field in dataclasses.fields(config):
            allowed = setting_of(field)
            for name, inside, out in (("least", True, -1), ("above", False, -1),
                                      ("most", True, 1), ("below", False, 1)):  # fmt: skip
                bound = getattr(allowed, name)
                if bound is not None:
                    yield pytest.param(
                        config, field.name, bound, inside, out,
                        id=f"{config.__name__}-{field.name}-{name}",
                    )  # fmt: skip


@pytest.mark.parametrize(("config", "name", "bound", "inside", "out"), list(_bounded()))
def test_bounds_are_enforced(config: type, name: str, bound: Any, inside: bool, out: int) -> None:
    kind, many, _ = field_kinds(config)[name]

    def refused(value: Any) -> bool:
        """Whether the bound refuses; another field may refuse for reasons of its own."""
        try:
            config(**{name: (value,) if many else value})
        except UserError as error:
            return str(error).startswith(f"{flag_of(name)} is ") and "it must be" in str(error)
        return False

    def next_to(towards: int) -> Any:
        return bound + towards if kind is int else math.nextafter(bound, towards * math.inf)

    assert refused(next_to(out))
    assert refused(bound) is not inside
    assert not refused(next_to(-out))


@pytest.mark.parametrize("config", READERS)
def test_choices_are_enforced(config: type) -> None:
    kinds = field_kinds(config)
    for field in dataclasses.fields(config):
        choices, many = setting_of(field).choices, kinds[field.name][1]
        if choices:
            with pytest.raises(UserError, match=f"^{flag_of(field.name)} 'foo' is unknown; choose"):
                config(**{field.name: ("foo",) if many else "foo"})
            for choice in choices:
                try:
                    config(**{field.name: (choice,) if many else choice})
                except UserError as error:  # another field may refuse for reasons of its own
                    assert "is unknown; choose" not in str(error)


# Readers --------------------------------------------------------------------------------------


def _reads(tree: ast.AST, owners: tuple[str, ...]) -> set[str]:
    """X of every `config.X`, `settings.X`, `search.config.X`: the last name before it is or ends
    with one of the owners."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            base = node.value
            name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
            if name.endswith(owners):
                found.add(node.attr)
    return found


def unread(config: type, names: set[str]) -> set[str]:
    """The names that no code reads from this config.

    Read in the config's own file counts within a property or method that is read elsewhere.
    """
    own = ROOT / Path(*config.__module__.split(".")).with_suffix(".py")
    outside: set[str] = set()
    for folder in READERS[config]:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != own:
                outside |= _reads(ast.parse(path.read_text()), ("config", "settings"))
    body = next(
        node.body
        for node in ast.parse(own.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == config.__name__
    )
    inside = {
        node.name: _reads(node, ("self",)) for node in body if isinstance(node, ast.FunctionDef)
    }
    while more := set().union(*(r for name, r in inside.items() if name in outside)) - outside:
        outside |= more
    return names - outside


@pytest.mark.parametrize("config", READERS)
def test_every_field_has_a_reader(config: type) -> None:
    assert unread(config, {field.name for field in dataclasses.fields(config)}) == set()


@pytest.mark.parametrize("config", READERS)
def test_a_field_that_nobody_reads_would_be_found(config: type) -> None:
    known = {EvidenceConfig: "runs", SweepConfig: "seeds"}.get(config, "seed")
    assert unread(config, {"colour", known}) == {"colour"}
