"""The supernet's passes in every formulation that `scripts/bench_mixed_op.py` times.

B images, C channels.
"""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.fold import FoldedCell, FoldedStage
from supernet.attacks import frozen, n_fgsm, pgd
from supernet.attacks.frozen import constant_weights
from supernet.data.images import ImageData
from supernet.nets.folded import FoldedNetwork
from supernet.nets.supernet import Supernet
from supernet.search.config import SearchConfig
from supernet.search.search import Search

PGD_STEPS = 7
EPS, STEP_SIZE = 8 / 255, 2 / 255

PASSES = ("training_node", "alpha_gradient")
ATTACKS = ("attack_gradient",)
STEPS = ("robust_step", "fast_step")
MEASUREMENTS = (*PASSES, *ATTACKS, *STEPS)

BEFORE_GRAPHS = 2
"""Steps of a search that a GPU makes by ordinary calls, or captures."""


@dataclass(frozen=True)
class Formulation:
    """How the network is computed, and what of it is timed."""

    layout: torch.memory_format = torch.channels_last
    impl: str = "reference"
    compiles: bool = False
    """Whether torch.compile takes minutes first."""
    folds: bool = False
    """Whether attacks differentiate the folded network."""
    dtype: torch.dtype = torch.float32
    """What attacks run in."""
    train_dtype: torch.dtype = torch.float32
    """What convolutions of the passes take, as --train-dtype says it."""
    measurements: tuple[str, ...] = MEASUREMENTS


FORMS = {
    "reference": Formulation(layout=torch.contiguous_format),
    "reference_channels_last": Formulation(),
    "native": Formulation(impl="native", folds=True),
    # Its passes are those of native.
    "native_bfloat16": Formulation(
        impl="native", folds=True, dtype=torch.bfloat16, measurements=(*ATTACKS, *STEPS)
    ),
    "native_all_bfloat16": Formulation(
        impl="native",
        folds=True,
        dtype=torch.bfloat16,
        train_dtype=torch.bfloat16,
        measurements=(*PASSES, *STEPS),
    ),
    "search": Formulation(impl="native", measurements=STEPS),
    "compiled": Formulation(compiles=True),
    "compiled_folded": Formulation(impl="batched", compiles=True, folds=True, measurements=ATTACKS),
}
"""name -> formulation."""


def make(name: str, C: int, N: int, x: Tensor, y: Tensor, w_EO: Tensor) -> "Network | SearchSteps":
    """What has the measurements of a formulation as calls without arguments."""
    form = FORMS[name]
    return SearchSteps(form, C, N, x) if name == "search" else Network(form, C, N, x, y, w_EO)


class SearchSteps:
    """The steps of a search as it makes them, from augmentation to clipping and alpha's Adam: on a
    GPU with attacks in bfloat16 and repeatable algorithms of cuDNN, as CUDA graphs.

    Pictures x (B, 3, H, W) only say how many there are and how large: a search takes its batches
    from images of its own.
    """

    def __init__(self, form: Formulation, C: int, N: int, x: Tensor) -> None:
        self.form = form
        B, side = x.shape[0], x.shape[-1]
        images = 128 * B  # a search looks at its numbers eight times an epoch, and waits for that
        pixels = torch.randint(0, 256, (images, 3, side, side), device=x.device, dtype=torch.uint8)
        labels = torch.arange(images, device=x.device) % 10
        self.data = ImageData(
            name="random pixels", train_x=pixels, train_y=labels, test_x=pixels[:0],
            test_y=labels[:0], class_names=tuple("0123456789"), mean=(0.5,) * 3, std=(0.3,) * 3,
            source="random pixels", stand_in=False, pad=4, flip=True, eps=EPS,
        )  # fmt: skip
        self.config = SearchConfig(
            C=C, N=N, batch_size=B, epochs=10**6, robust=True, robust_weight=1.0, impl=form.impl,
        )  # fmt: skip
        self.searches: dict[str, Search] = {}

    def robust_step(self) -> None:
        """A step of a search with PGD-7 whose alpha follows the robust loss."""
        self._step("pgd")

    def fast_step(self) -> None:
        """The same with N-FGSM."""
        self._step("n_fgsm")

    def _step(self, attack: str) -> None:
        if attack not in self.searches:
            config = dataclasses.replace(self.config, attack=attack, attack_steps=PGD_STEPS)
            self.searches[attack] = Search(config, self.data, self.data.train_x.device)
            for _ in range(BEFORE_GRAPHS):
                self.searches[attack].train_step()
        self.searches[attack].train_step()


class Network:
    """One supernet in one formulation, with its passes as calls without arguments.

    x (B, 3, H, W), y (B,) and edge weights w_EO (6, 5) that take a gradient; the weights are drawn
    anew from the same seed for each formulation.
    """

    def __init__(
        self, form: Formulation, C: int, N: int, x: Tensor, y: Tensor, w_EO: Tensor
    ) -> None:
        self.form, self.y, self.w_EO = form, y, w_EO
        torch.manual_seed(0)
        self.net = Supernet(C=C, N=N, impl=form.impl).to(x.device).use_layout(form.layout)
        self.x = x.contiguous(memory_format=form.layout)
        # Cell by cell: each width and mode is compiled once and shared by all its cells. They are
        # more than dynamo's usual eight variants of one function.
        torch._dynamo.config.recompile_limit = 64
        if form.compiles and not form.folds:
            for cell in self.net.cells:
                cell.compile(dynamic=False, mode=_mode(x.device))
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9)
        self.folded = self.model() if form.folds else None

    def loss(self, x: Tensor) -> Tensor:
        """Cross entropy in whatever mode the network is; x keeps its layout."""
        self._begin()
        with self.net.convolving_in(self.form.train_dtype):
            return F.cross_entropy(self.net.forward_mixture(x, self.w_EO), self.y)

    def training_node(self) -> None:
        """Forward and backward in training mode: gradients to all weights and to w_EO."""
        self.net.train()
        torch.autograd.grad(self.loss(self.x), [*self.net.parameters(), self.w_EO])

    def alpha_gradient(self, x: Tensor | None = None) -> None:
        """The same for w_EO alone, as a search moves alpha: the weights are constants."""
        self.net.train()
        with constant_weights(self.net):
            torch.autograd.grad(self.loss(self.x if x is None else x), self.w_EO)

    def model(self) -> Callable[[Tensor], Tensor]:
        """What an attack differentiates: the folded network, or the network in eval mode."""
        if self.form.folds:
            folded = self.net.fold_mixture(self.w_EO.detach()).to(self.form.dtype)
            if not self.form.compiles:
                return folded
            inner: Callable[[Tensor], Tensor] = _compiled(folded)
        else:
            w_EO = self.w_EO.detach()
            inner = functools.partial(self.net.forward_mixture, w_EO=w_EO)

        def model(x: Tensor) -> Tensor:
            self._begin()
            return inner(x)

        # A plain function hides the network's tensors: `attack` freezes them, and no graph of ours
        # is captured over those of torch.compile.
        return model

    def _begin(self) -> None:
        """Say that what CUDA graphs of torch.compile gave before is not needed any more."""
        if self.form.compiles:
            torch.compiler.cudagraph_mark_step_begin()

    def attack(self, model: Callable[[Tensor], Tensor], steps: int) -> Tensor:
        """PGD of so many steps; N-FGSM for 0."""
        with frozen(self.net):
            if not steps:
                return n_fgsm(model, self.x, self.y, eps=EPS, trusted=True)
            return pgd(
                model, self.x, self.y, eps=EPS, step_size=STEP_SIZE, steps=steps,
                random_start=False, trusted=True,
            )  # fmt: skip

    def attack_gradient(self) -> None:
        """One gradient to the images with frozen batch norm."""
        self.attack(self.folded or self.model(), 1)

    def robust_step(self) -> None:
        """PGD-7 and alpha's gradient, then PGD-7 and a weight step, folding included."""
        self._step(PGD_STEPS)

    def fast_step(self) -> None:
        """The same with N-FGSM."""
        self._step(0)

    def _step(self, steps: int) -> None:
        self.alpha_gradient(self.attack(self.model(), steps))
        x_adv = self.attack(self.model(), steps)
        self.net.train()
        self.optimiser.zero_grad()
        self.loss(x_adv).backward(inputs=list(self.net.parameters()))
        self.optimiser.step()


def _compiled(folded: FoldedNetwork) -> FoldedNetwork:
    """The same with its cells compiled: as one function their compilation takes many minutes."""
    if folded.mean.device.type == "cpu":
        _leave_out_pooling()
    cell: Callable[..., tuple[Tensor, Tensor]] = torch.compile(
        FoldedCell.__call__, dynamic=False, mode=_mode(folded.mean.device)
    )
    body: list[Any] = [
        block
        for stage in folded.body
        for block in (
            [functools.partial(cell, each) for each in stage.cells()]
            if isinstance(stage, FoldedStage) else [stage]
        )
    ]  # fmt: skip
    return dataclasses.replace(folded, body=body)


def _mode(device: torch.device) -> str | None:
    """Of torch.compile: what is made for many short kernels, on a GPU."""
    return "reduce-overhead" if device.type == "cuda" else None


def _leave_out_pooling() -> None:
    """Compiled code calls PyTorch's own backward pass of average pooling from here on.

    Inductor's would be fused with all around it, nine windows to a pixel, and on a CPU the C++
    compiler takes many minutes over that of a single cell.
    """
    from torch._inductor import lowering  # seconds, which no other formulation needs

    op = torch.ops.aten.avg_pool2d_backward
    lowerings = lowering.lowerings
    for known in [
        each for each in lowerings if op in (each, getattr(each, "overloadpacket", None))
    ]:
        del lowerings[known]
    lowering.make_fallback(op.default, warn=False)


def convolutions(
    *, C: int, N: int, B: int, side: int, device: torch.device, measurement: str
) -> Callable[[], None]:
    """The convolutions of one native pass with their gradients, on tensors of their own.

    An attack needs only the gradients to the inputs, and so does alpha. Cells are stacked: per
    source node one 3x3 convolution for all edges that leave it, and where batch norm is not folded
    one 1x1 next to it.
    """
    calls: list[tuple[Tensor, Tensor, Tensor, int]] = []

    def tensor(*shape: int) -> Tensor:
        made = torch.rand(shape, device=device)
        return made.contiguous(memory_format=torch.channels_last)

    def add(c_in: int, c_out: int, k: int, size: int, stride: int = 1) -> None:
        after = size // stride
        calls.append((tensor(B, c_in, size, size), tensor(c_out, c_in, k, k),
                      tensor(B, c_out, after, after), stride))  # fmt: skip

    add(3, C, 3, side)
    for stage in range(3):
        c, size = C << stage, side >> stage
        for kernel in (3,) if measurement == "attack_gradient" else (3, 1):
            for edges in (3, 2, 1):
                for _ in range(N):
                    add(c, edges * c, kernel, size)
        if stage < 2:
            add(c, 2 * c, 3, size, 2)
            add(2 * c, 2 * c, 3, size // 2)
            add(c, 2 * c, 1, size // 2)

    def run() -> None:
        for x, w, g, stride in calls:
            pad = w.shape[-1] // 2
            torch.ops.aten.convolution(
                x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1
            )
            torch.ops.aten.convolution_backward(
                g, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1,
                [True, measurement == "training_node", False],
            )  # fmt: skip

    return run
