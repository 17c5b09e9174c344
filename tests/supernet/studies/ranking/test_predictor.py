"""Scores of cells: the accuracies, the recalibration, and that the supernet stays as it was."""

import functools

import pytest
import torch
from torch import Tensor

from supernet.attacks import ATTACKS
from supernet.attacks.accuracy import WORST_LOSS, evaluate
from supernet.cells.genotype import Genotype
from supernet.nets.supernet import Supernet
from supernet.studies.ranking.predictor import Predictor
from tests.supernet.nets.inherited import inherit


def test_evaluate_counts_over_all_chunks() -> None:
    # The label is the brighter of two channels; the attack darkens the first.
    x = torch.rand(600, 3, 4, 4)
    y = (x[:, 1].mean((1, 2)) > x[:, 0].mean((1, 2))).long()

    def model(images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))[:, :2]

    def darken(model: object, x: Tensor, y: Tensor, generator: object) -> Tensor:
        return x * torch.tensor([0.0, 1.0, 1.0]).view(1, 3, 1, 1)

    found = evaluate(model, x, y, darken, seed=0)
    assert found.clean == 1.0
    assert found.robust == pytest.approx(y.double().mean().item())
    for loss, images in ((found.clean_loss, x), (found.robust_loss, darken(model, x, y, None))):
        expected = torch.nn.functional.cross_entropy(model(images), y)
        assert loss == pytest.approx(expected.item(), rel=1e-6)
    wrong = evaluate(model, x, 1 - y, None, seed=0)
    assert wrong.clean == wrong.robust == 0.0 and wrong.clean_loss == wrong.robust_loss > 0


def test_a_loss_that_is_no_number_is_the_worst() -> None:
    x, y = torch.rand(4, 3, 4, 4), torch.zeros(4, dtype=torch.long)
    for value in (float("nan"), -1e30):
        logits = torch.tensor([value, 1e30 if value < 0 else 0.0])
        found = evaluate(lambda images, z=logits: z.expand(len(images), 2), x, y, None, seed=0)
        assert found.clean_loss == found.robust_loss == WORST_LOSS


def test_a_score_uses_the_cells_own_statistics() -> None:
    net = Supernet(C=4, N=1, num_classes=3)
    x, calibration = torch.rand(20, 3, 8, 8), torch.rand(30, 3, 8, 8)
    cell = Genotype.parse("323104")
    network = inherit(net, cell).train()
    # In training mode on the calibration images the network uses the very statistics to be frozen.
    with torch.no_grad():
        expected = network(calibration).argmax(1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    score = Predictor(net, calibration, expected, calibration, attack=None).score(cell)
    assert score.clean == score.robust == 1.0
    attack = functools.partial(ATTACKS["pgd"], eps=0.1, steps=3)
    predictor = Predictor(net, x, torch.arange(20) % 3, calibration, attack, seed=4)
    one, two = predictor.score(cell), predictor.score(cell)
    assert one == two
    assert one.robust <= one.clean and one.robust_loss > one.clean_loss
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("code", ["000000", "111111", "300000"])
def test_every_kind_of_cell_has_a_score(code: str) -> None:
    net = Supernet(C=2, N=1, num_classes=2)
    x = torch.rand(8, 3, 8, 8)
    attack = functools.partial(ATTACKS["pgd"], eps=0.1, steps=2)
    score = Predictor(net, x, torch.arange(8) % 2, x, attack).score(Genotype.parse(code))
    assert 0 <= score.robust <= score.clean + 1e-9 <= 1 + 1e-9
