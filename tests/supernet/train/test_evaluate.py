import dataclasses
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from supernet.cells.genotype import Genotype
from supernet.data import ImageData, load_dataset
from supernet.errors import UserError
from supernet.nets.derived import DerivedNetwork
from supernet.train.evaluate import balanced_accuracy, default_radii, evaluate, row_name


class _Line(nn.Module):
    """Logits (-s, s, -9, -9), s = a.x + b: an image falls at |s| / |a|_1."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(3 * 4 * 4))
        self.b = nn.Parameter(-0.5 * self.a.detach().sum())

    def margin(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.a + self.b

    def forward(self, x: Tensor) -> Tensor:
        s = self.margin(x)
        return torch.stack([-s, s, 0 * s - 9, 0 * s - 9], dim=1)


@pytest.fixture
def line() -> tuple[_Line, ImageData, Tensor]:
    model = _Line()
    x = torch.randint(90, 160, (64, 3, 4, 4), dtype=torch.uint8)
    s = model.margin(x / 255).detach()
    y = (s > 0).long()
    y[:5] = 2  # images that are wrong already
    digits = load_dataset("digits", limit=0, test_limit=1)
    data = dataclasses.replace(
        digits, test_x=x, test_y=y, class_names=tuple("abcd"), name="line", eps=0.04
    )
    distance = (s.abs() / model.a.detach().abs().sum()).clone()
    distance[:5] = 0
    return model, data, distance


@pytest.mark.slow
def test_accuracies_are_exact_on_a_linear_model(line: tuple[_Line, ImageData, Tensor]) -> None:
    model, data, distance = line
    ordered = distance.sort().values
    radii = tuple(float((ordered[i] * ordered[i + 1]).sqrt()) for i in (20, 45))
    rows = evaluate(model, data, radii=radii, iterations=10, queries=20, batch_size=17)
    assert [row["attack"] for row in rows] == [
        "clean", "fgsm", "fgsm", "pgd", "pgd", "autoattack", "worst_case",
    ]  # fmt: skip
    assert rows[0]["accuracy"] == 59 / 64
    for row in rows[1:]:
        assert row["accuracy"] == (distance > row["eps"]).double().mean().item(), row["name"]
    assert [row["eps"] for row in rows[1:]] == [*radii, *radii, radii[1], radii[1]]


def test_a_row_can_be_measured_again_from_what_it_says(
    line: tuple[_Line, ImageData, Tensor],
) -> None:
    model, data, _ = line
    rows = {
        row["name"]: row
        for row in evaluate(model, data, radii=(3 / 255, 8 / 255), iterations=5, queries=5)
    }
    assert list(rows) == [
        "clean", "fgsm_3", "fgsm_8", "pgd_3", "pgd_8", "autoattack", "worst_case_8",
    ]  # fmt: skip
    for row in rows.values():
        assert {"dataset", "split", "images", "attack", "eps", "steps", "seed"} <= set(row)
        assert (row["dataset"], row["split"], row["images"]) == ("line", "test", 64)
    assert rows["pgd_8"]["steps"] == 20
    assert rows["pgd_8"]["step_size"] == pytest.approx(2.5 * 8 / 255 / 20)
    assert rows["pgd_8"]["random_start"] and rows["fgsm_3"]["step_size"] == 3 / 255
    assert rows["autoattack"]["version"] == "shortened"
    assert [s["attack"] for s in rows["autoattack"]["stages"]] == [
        "apgd_ce", "apgd_t", "fab_t", "square",
    ]  # fmt: skip
    json.dumps(list(rows.values()), allow_nan=False)


def test_leaving_a_row_out_changes_no_other(line: tuple[_Line, ImageData, Tensor]) -> None:
    model, data, _ = line

    def accuracies(**kwargs: Any) -> dict[str, float]:
        rows = evaluate(model, data, radii=(0.01, 0.02), **kwargs)
        return {row["name"]: row["accuracy"] for row in rows}

    both = accuracies(attacks=("fgsm", "pgd"))
    alone = accuracies(attacks=("pgd",))
    assert "fgsm_5.1" in both and "fgsm_5.1" not in alone
    assert all(both[name] == value for name, value in alone.items() if "worst" not in name)
    assert set(accuracies(attacks=("clean",))) == {"clean"}


def test_the_network_is_as_before_and_attacked_through_its_fold() -> None:
    data = load_dataset("digits", limit=0, test_limit=20)
    net = DerivedNetwork(Genotype.parse("313021"), C=4, N=1, mean=(0.3,) * 3, std=(0.4,) * 3)
    net.eval()
    net.stem.train()
    modes = [module.training for module in net.modules()]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    seen: list[bool] = []
    watch = net.register_forward_hook(
        lambda *_: seen.extend(module.training for module in net.modules())
    )
    rows = evaluate(net, data, attacks=("clean", "pgd"))
    watch.remove()
    assert seen and not any(seen), "measured in evaluation mode"
    assert [module.training for module in net.modules()] == modes
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    assert [row["name"] for row in rows] == ["clean", "pgd_12", "pgd_32", "worst_case_32"]
    assert all(p.requires_grad for p in net.parameters())


def test_names_and_radii() -> None:
    assert row_name("pgd", 3 / 255) == "pgd_3" and row_name("autoattack", 8 / 255) == "autoattack"
    digits = load_dataset("digits", limit=0, test_limit=0)
    assert default_radii(digits) == pytest.approx((12 / 255, 32 / 255))
    assert default_radii(dataclasses.replace(digits, eps=8 / 255)) == pytest.approx(
        (3 / 255, 8 / 255)
    )


def test_bad_input_is_named(line: tuple[_Line, ImageData, Tensor]) -> None:
    model, data, _ = line
    with pytest.raises(UserError, match="attack 'cw' is unknown; choose among clean, fgsm"):
        evaluate(model, data, attacks=("cw",))
    with pytest.raises(UserError, match="every radius must be above 0"):
        evaluate(model, data, radii=(8.0,))
    with pytest.raises(UserError, match="has no test images here"):
        evaluate(model, dataclasses.replace(data, test_x=data.test_x[:0], test_y=data.test_y[:0]))
    with pytest.raises(UserError, match=r"needs 4 classes and line has 2; .*--attacks clean,fgsm"):
        evaluate(model, dataclasses.replace(data, class_names=("a", "b")))


def test_balanced_accuracy_is_the_mean_over_the_classes_that_are_there() -> None:
    y = torch.tensor([0] * 6 + [2] * 2)
    right = torch.tensor([True] * 6 + [False, True])
    assert balanced_accuracy(right, y) == (1 + 0.5) / 2
    assert balanced_accuracy(right[:6], y[:6]) == 1
    assert balanced_accuracy(~right, y) == 0.25


def test_rows_have_it_next_to_the_accuracy(line: tuple[_Line, ImageData, Tensor]) -> None:
    model, data, _ = line
    clean = evaluate(model, data, attacks=("clean",))[0]
    shares = [float((data.test_y == label).any()) for label in (0, 1)]
    assert clean["balanced_accuracy"] == pytest.approx(sum(shares) / 3)  # class 2 is all wrong
    assert clean["accuracy"] == 59 / 64
