"""Values from files have the types that are relied on."""

import pytest

from supernet.errors import UserError
from supernet.shapes import Each, Items, Like, Maybe, Within, require

SHAPE = {"step": int, "weights": [[float]], "note": (str, None), "on": bool}
GOOD = {"step": 3, "weights": [[0.5, 1], []], "note": None, "on": True, "more": object()}


def test_what_fits_is_let_through() -> None:
    require(GOOD, SHAPE, "run/a.json")
    require([], [int], "a.json")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"step": True}, "step is True, not a whole number"),
        ({"step": 3.0}, "step is 3.0, not a whole number"),
        ({"step": 2**63}, "step is 9223372036854775808, not a whole number"),
        ({"weights": [[0.5], [float("nan")]]}, r"weights\[1\]\[0\] is nan, not a finite number"),
        (
            {"weights": [[0.5], [10**400]]},
            r"weights\[1\]\[0\] is a number above 10.60, not a finite number",
        ),
        ({"weights": [0.5]}, r"weights\[0\] is 0.5, not a list"),
        ({"weights": {}}, "weights is dict, not a list"),
        ({"note": ["x"]}, "note is list, not text"),
        ({"note": 10**30}, "note is 10+, not text"),
        ({"on": 1}, "on is 1, not true or false"),
    ],
)
def test_the_first_misfit_is_named(change: dict[str, object], reason: str) -> None:
    with pytest.raises(UserError, match=rf"^run/a\.json is not as .* \({reason}\); restore a copy"):
        require({**GOOD, **change}, SHAPE, "run/a.json")


def test_missing_keys_and_other_kinds_are_named() -> None:
    with pytest.raises(UserError, match=r"\(it has no step\)"):
        require({}, SHAPE, "a.json")
    with pytest.raises(UserError, match=r"\(a has no b\)"):
        require({"a": {}}, {"a": {"b": int}}, "a.json")
    for value in (None, 3, "x", []):
        with pytest.raises(UserError, match=r"\(it is .*, not an object\)"):
            require(value, SHAPE, "a.json")


BOUNDED = {
    "count": Within(int, 0, 9), "share": Within(float, 0, 1), "pair": Items(int, 2, 2),
    "some": Items(int, 1, 3), "code": Like("[0-4]{6}", "a code"), "by": Each(int, {"a", "b"}),
    "note": Maybe((str, None)),
}  # fmt: skip
WITHIN = {"count": 9, "share": 1, "pair": [1, 2], "some": [1], "code": "012340", "by": {"a": 1}}


def test_what_is_within_its_bounds_is_let_through() -> None:
    for note in ({}, {"note": None}, {"note": "x"}):
        require({**WITHIN, **note}, BOUNDED, "a.json")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"count": 10}, "count is 10, not a whole number from 0 to 9"),
        ({"count": -1}, "count is -1, not a whole number from 0 to 9"),
        ({"count": 1.0}, "count is 1.0, not a whole number from 0 to 9"),
        ({"count": True}, "count is True"),
        ({"share": 1.001}, "share is 1.001, not a finite number from 0 to 1"),
        ({"share": float("nan")}, "share is nan"),
        ({"pair": [1]}, "pair has 1 items, not 2"),
        ({"pair": [1, 2, 3]}, "pair has 3 items, not 2"),
        ({"some": []}, "some has 0 items, not at least 1"),
        ({"some": [1, 2, 3, 4]}, "some has 4 items, not at most 3"),
        ({"some": [1, "x"]}, r"some\[1\] is 'x', not a whole number"),
        ({"code": "012345"}, "code is '012345', not a code"),
        ({"code": "012340\n"}, r"code is '012340\\n', not a code"),
        ({"by": {"c": 1}}, "by has a key 'c', which is none of its own"),
        ({"by": {"a": None}}, "by.a is None, not a whole number"),
        ({"note": 3}, "note is 3, not text"),
    ],
)
def test_what_is_beyond_its_bounds_is_named(change: dict[str, object], reason: str) -> None:
    with pytest.raises(UserError, match=rf"\({reason}"):
        require({**WITHIN, **change}, BOUNDED, "a.json")


def test_a_key_is_shown_on_one_short_line() -> None:
    with pytest.raises(UserError) as caught:
        require({"a\n" + "b" * 900: "x"}, Each(int), "a.json")
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)
