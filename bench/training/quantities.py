"""What a method's loss moves first, and whether an evaluation shows that it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Quantity(NamedTuple):
    """What it is called, where it stands in an evaluation, and -1 where the loss lowers it."""

    name: str
    path: tuple[str, ...]
    sign: float = 1.0

    def improved(self, evaluation: Mapping[str, Any]) -> tuple[float | None, ...]:
        """Its movement and both ends of its 95 % interval, the better way up."""
        found: Any = evaluation
        for key in self.path:
            found = found[key]
        ends = ("value", "low", "high") if self.sign > 0 else ("value", "high", "low")
        values = [found[end] for end in ends]
        return tuple(None if value is None else self.sign * value for value in values)


MARGIN = Quantity("margin", ("held_out", "log_ratio_margin"))
CHOSEN = Quantity("chosen", ("held_out", "log_ratio_chosen"))
LOSS = Quantity("loss", ("held_out", "loss_moved"), -1.0)
# SimPO's margin is one of means a token. ORPO, CPO and SLiC-HF are a likelihood and a margin in one
# loss, which may fall while the margin of whole answers does; DPOP holds chosen answers up.
OWN: Mapping[str, Quantity] = {
    "simpo": Quantity("margin a token", ("held_out", "reward_margin_moved")),
    "orpo": LOSS,
    "cpo": LOSS,
    "slic_hf": LOSS,
    "dpop": Quantity("chosen", ("movement", "chosen", "difference")),
}


def quantity(method: str, evaluation: Mapping[str, Any]) -> Quantity:
    """The margin, or the chosen answers where there are no others, unless a method has its own."""
    usual = MARGIN if "log_ratio_margin" in evaluation["held_out"] else CHOSEN
    return OWN.get(method, usual)
