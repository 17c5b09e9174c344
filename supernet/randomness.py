"""Every random number of a run comes from here, and its state goes into the checkpoint."""

from typing import Any

import numpy as np
import torch

STREAMS = ("weight_order", "alpha_order", "augment", "paths", "attack")


class Randomness:
    """One generator per purpose, so that what one part draws never shifts another part's numbers.

    `split` and `alpha` are used once, at the start. All run on the CPU but `attack`, which runs on
    the device. New networks and strategies with noise draw from torch's own generators, which are
    seeded and saved too; Python's and numpy's are left alone, since nothing here draws from them.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.device = device
        self.streams: dict[str, torch.Generator] = {}
        for number, name in enumerate(("split", "alpha", *STREAMS)):
            where = device if name == "attack" else torch.device("cpu")
            # Neighbouring seeds must not share streams: seed and number are mixed, not added.
            mixed = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]
            self.streams[name] = torch.Generator(where).manual_seed(int(mixed >> 1))

    def __getitem__(self, name: str) -> torch.Generator:
        return self.streams[name]

    def state_dict(self) -> dict[str, Any]:
        """Tensors only: loads with `weights_only=True`."""
        return {
            "streams": {name: self[name].get_state() for name in STREAMS},
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue every stream where `state_dict` was taken."""
        for name, saved in state["streams"].items():
            self[name].set_state(saved.cpu())
        torch.set_rng_state(state["torch"].cpu())
        if state["cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"].cpu(), self.device)
