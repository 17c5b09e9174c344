"""Values from files have the types that are relied on."""

import pytest

from supernet.errors import UserError
from supernet.shapes import require

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
