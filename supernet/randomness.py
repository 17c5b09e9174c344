"""Every random number of a run comes from here, and its state goes into the checkpoint."""

from typing import Any

import numpy as np
import torch

from supernet.distributed import ALONE, Ranks

STREAMS = ("weight_order", "alpha_order", "augment", "paths", "attack")
OWN_STREAMS = ("augment", "attack")
"""Those that differ between processes which share a batch; all others are the same in each."""


class Randomness:
    """One generator per purpose, so that what one part draws never shifts another part's numbers.

    `split` and `alpha` are used once, at the start. All run on the CPU but `attack`, which runs on
    the device. New networks and strategies with noise draw from torch's own generators, which are
    seeded and saved too; Python's and numpy's are left alone, since nothing here draws from them.

    Of several processes the first draws what one alone would, and the others have augmentation and
    attack starts of their own.
    """

    def __init__(self, seed: int, device: torch.device, ranks: Ranks = ALONE) -> None:
        torch.manual_seed(seed)
        self.seed, self.device, self.ranks = seed, device, ranks
        self.streams = {
            name: self._stream(name, *((ranks.rank,) if name in OWN_STREAMS and ranks.rank else ()))
            for name in ("split", "alpha", *STREAMS)
        }

    def _stream(self, name: str, *more: int) -> torch.Generator:
        number = ("split", "alpha", *STREAMS).index(name)
        # Neighbouring seeds must not share streams: seed and number are mixed, not added.
        sequence = np.random.SeedSequence([self.seed, number, *more])
        mixed = sequence.generate_state(1, np.uint64)[0]
        where = self.device if name == "attack" else torch.device("cpu")
        return torch.Generator(where).manual_seed(int(mixed >> 1))

    def __getitem__(self, name: str) -> torch.Generator:
        return self.streams[name]

    def state_dict(self) -> dict[str, Any]:
        """Tensors only: loads with `weights_only=True`. It is the same in all processes."""
        own = self.ranks.gather({name: self[name].get_state() for name in OWN_STREAMS})
        return {
            "streams": {name: self[name].get_state() for name in STREAMS} | own[0],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            **({"others": own[1:]} if own[1:] else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue every stream where `state_dict` was taken."""
        own = state["others"][self.ranks.rank - 1] if self.ranks.rank else {}
        for name, saved in {**state["streams"], **own}.items():
            self[name].set_state(saved.cpu())
        torch.set_rng_state(state["torch"].cpu())
        if state["cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"].cpu(), self.device)

    def for_this_many(self, state: dict[str, Any], step: int) -> dict[str, Any]:
        """The state of a run of another number of processes, taken at a step, for the processes
        that there are now: a rank that was there goes on with its own streams, a new one begins."""
        others = list(state.get("others", ()))[: self.ranks.count - 1]
        for rank in range(len(others) + 1, self.ranks.count):
            streams = {name: self._stream(name, rank, step) for name in OWN_STREAMS}
            others.append({name: stream.get_state() for name, stream in streams.items()})
        rest = {name: value for name, value in state.items() if name != "others"}
        return {**rest, **({"others": others} if others else {})}


def processes_of(state: dict[str, Any]) -> int:
    """The number of processes that a state of `Randomness` is of."""
    return 1 + len(state.get("others", ()))
