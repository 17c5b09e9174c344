"""What a call may bring works as it should, or is refused in a sentence with nothing changed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from supernet.attacks import ATTACKS, pgd
from supernet.attacks.common import check_by_forward_pass, prepare
from supernet.cells.genotype import Genotype
from supernet.nets.derived import DerivedNetwork

EPS = 8 / 255
ALL = sorted(ATTACKS)
DRAWN = ["fgsm_rs", "n_fgsm", "pgd"]
CLASSES = 4


@pytest.fixture
def net() -> DerivedNetwork:
    return DerivedNetwork(Genotype.parse("313021"), C=4, N=1, num_classes=CLASSES)


@pytest.fixture
def x() -> Tensor:
    return torch.rand(5, 3, 8, 8)


@pytest.fixture
def y() -> Tensor:
    return torch.arange(5) % CLASSES


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("pixel", "message"),
    [
        (torch.nan, r"x has pixels that are not a number \(NaN\)"),
        (torch.inf, r"x has values in \[.*, inf\]; attacks take images in \[0, 1\]"),
        (-0.01, r"x has values in \[-0\.01, "),
        (255.0, r"x has values in \[.*, 255\]"),
    ],
)
def test_a_pixel_outside_of_the_range(
    name: str, pixel: float, message: str, net: nn.Module, x: Tensor, y: Tensor
) -> None:
    x[3, 1, 2, 2] = pixel
    with pytest.raises(ValueError, match=message):
        ATTACKS[name](net, x, y, eps=EPS)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("loss", ["ce", "margin"])
@pytest.mark.parametrize("label", [-100, -1, CLASSES, 1000])
def test_a_label_without_a_class(
    name: str, loss: str, label: int, net: nn.Module, x: Tensor, y: Tensor
) -> None:
    y[2] = label
    expected = f"y has the label {label}; the model gives 4 classes, so that labels are from 0 to 3"
    with pytest.raises(ValueError, match=expected):
        ATTACKS[name](net, x, y, eps=EPS, loss=loss)
    with pytest.raises(ValueError, match=expected):
        check_by_forward_pass(net, x, y)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
@pytest.mark.parametrize("loss", ["ce", "margin"])
def test_every_width_of_labels_is_the_same_label(
    dtype: torch.dtype, loss: str, net: nn.Module, x: Tensor, y: Tensor
) -> None:
    for name in ALL:
        first, second = (
            ATTACKS[name](
                net, x, labels, eps=EPS, loss=loss, generator=torch.Generator().manual_seed(1)
            )
            for labels in (y, y.to(dtype))
        )
        assert torch.equal(first, second) and not torch.equal(first, x)


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_a_tensor_is_named_with_a_remedy_that_works(
    name: str, net: nn.Module, x: Tensor, y: Tensor
) -> None:
    attack = ATTACKS[name]
    for images, labels, message in (
        (x.numpy(), y, r"x is of type ndarray, not a tensor; give torch\.as_tensor\(x\)"),
        (x.tolist(), y, "x is of type list, not a tensor"),
        (x, y.numpy(), r"y is of type ndarray, not a tensor; give torch\.as_tensor\(y\)"),
        (x, y.tolist(), "y is of type list, not a tensor"),
    ):
        with pytest.raises(ValueError, match=message):
            attack(net, images, labels, eps=EPS)
    attack(net, torch.as_tensor(x.numpy()), torch.as_tensor(y.tolist()), eps=EPS)
    with pytest.raises(ValueError, match=r"y must be integer labels of .*got torch\.bool \(5,\)"):
        attack(net, x, y > 1, eps=EPS)
    with pytest.raises(ValueError, match=r"x is on cpu and y on meta; give y\.to\(x\.device\)"):
        attack(net, x, y.to("meta"), eps=EPS)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
@pytest.mark.parametrize("folded", [False, True])
def test_modes_without_gradients_change_nothing(
    name: str, mode: type, folded: bool, net: DerivedNetwork, x: Tensor, y: Tensor
) -> None:
    def attack(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return ATTACKS[name](model, x, y, eps=EPS, loss="margin", generator=generator)

    expected = attack(net.fold() if folded else net, x, y)
    with mode():
        found = attack(net.fold() if folded else net, x.clone(), y.clone())
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
    assert torch.equal(found, expected) and not torch.equal(found, x)
    assert not found.requires_grad and not found.is_inference()


class _Answer(dict):  # type: ignore[type-arg]
    """Logits inside an object, as other libraries return them."""


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: (z, z), "the model returns tuple and not a tensor of logits; put the model int"),
        (lambda z: [z], "the model returns list and not"),
        (lambda z: _Answer(logits=z), "the model returns _Answer and not"),
        (lambda z: None, "the model returns NoneType and not"),
        (lambda z: z[:, :1], r"a tensor of shape \(5, 1\) for 5 images; attacks need one row of"),
        (lambda z: z[:, 0], r"a tensor of shape \(5,\) for 5 images"),
        (lambda z: z[None], r"a tensor of shape \(1, 5, 4\) for 5 images"),
        (lambda z: z[:3], r"a tensor of shape \(3, 4\) for 5 images"),
        (lambda z: z.detach(), "logits have no gradient to the images; give a model that can be"),
    ],
)
def test_models_that_give_no_logits(
    name: str, change: Callable[[Tensor], Tensor], message: str, net: nn.Module, x: Tensor,
    y: Tensor,
) -> None:  # fmt: skip
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return change(self.net(x))

    with pytest.raises(ValueError, match=message):
        ATTACKS[name](Wrapped(), x, y, eps=EPS)


def test_the_remedy_for_tuples_works(net: nn.Module, x: Tensor, y: Tensor) -> None:
    def model(x: Tensor) -> tuple[Tensor, Tensor]:
        return net(x), x

    net.eval()
    options = {"eps": EPS, "random_start": False}
    found = pgd(lambda x: model(x)[0], x, y, **options)  # type: ignore[arg-type]
    assert torch.equal(found, pgd(net, x, y, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("own", [True, False])
def test_a_refused_call_draws_nothing(
    name: str, own: bool, net: nn.Module, x: Tensor, y: Tensor
) -> None:
    generator = torch.Generator().manual_seed(1) if own else None
    source = generator or torch.default_generator
    before = source.get_state()
    net.train()
    for model, labels in ((net, y - 100), (lambda x: (net(x),), y), (lambda x: x / None, y)):
        with pytest.raises((ValueError, TypeError)):
            ATTACKS[name](model, x, labels, eps=EPS, generator=generator)
        assert torch.equal(source.get_state(), before)
    assert all(module.training for module in net.modules())
    ATTACKS[name](net, x, y, eps=EPS, generator=generator)
    assert not torch.equal(source.get_state(), before)


def test_trusted_calls_look_at_no_value() -> None:
    """A tensor on the device "meta" has no values: whoever looks raises."""
    x, y = torch.empty(5, 3, 8, 8, device="meta"), torch.empty(5, dtype=torch.int64, device="meta")
    options = {"eps": EPS, "step_size": None, "steps": 1, "loss": "ce"}
    prepare(nn.Identity(), x, y, trusted=True, **options)  # type: ignore[arg-type]
    with pytest.raises((RuntimeError, NotImplementedError)):
        prepare(nn.Identity(), x, y, trusted=False, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ALL)
def test_trusted_changes_no_number(name: str, net: nn.Module, x: Tensor, y: Tensor) -> None:
    first, second = (
        ATTACKS[name](
            net, x, y, eps=EPS, generator=torch.Generator().manual_seed(1), trusted=trusted
        )
        for trusted in (False, True)
    )
    assert torch.equal(first, second)


@pytest.mark.slow
def test_threads_share_a_network(net: DerivedNetwork, x: Tensor, y: Tensor) -> None:
    net.train()
    net.cells[0].eval()
    net.stem[0].weight.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    flags = [parameter.requires_grad for parameter in net.parameters()]

    def attack(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return pgd(net, x, y, eps=EPS, steps=1 + 3 * (seed % 3), generator=generator)

    alone = [attack(seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(attack, range(12)))
    assert [module.training for module in net.modules()] == modes
    assert [parameter.requires_grad for parameter in net.parameters()] == flags
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)
