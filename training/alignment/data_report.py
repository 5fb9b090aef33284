"""What became of the rows, so that nothing is cut or dropped silently."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from training.alignment.data import SourceReport

NAMED = 20
# A ratio that was meant to be 1 or 4/3 may miss it by so much.
ROUNDING = 1e-3
PADDING_BATCH = 8


@dataclass(frozen=True)
class Lengths:
    """Lengths in tokens, before anything is cut: where limits would have to be to cut little."""

    mean: float
    p50: int
    p90: int
    p99: int
    max: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Lengths":
        """Of one length or more; a percentile is a length that occurs, not one between two."""
        values = np.asarray(lengths)
        p50, p90, p99 = np.percentile(values, (50, 90, 99), method="higher")
        return cls(float(values.mean()), int(p50), int(p90), int(p99), int(values.max()))


@dataclass
class DataReport:
    """Counts of rows, examples and tokens of one side of the data.

    `padding_share` is what batches of eight examples in the file's order would waste if they were
    padded to their longest sequence. `unusual_prompts` counts chats whose template opens a turn
    otherwise than it writes a finished one. `refused` counts rows that could not be written as
    tokens, `refusals` say why of the first twenty; `tools_left_out` rows that name tools of which
    the prompt does not tell. `warnings` say what of the data suits the method badly. `source` tells
    what the file held.
    """

    rows: int = 0
    examples: int = 0
    of_the_other_half: int = 0
    ties_dropped: int = 0
    prompts_truncated: int = 0
    completions_truncated: int = 0
    dropped_without_room: int = 0
    dropped_too_long: int = 0
    refused: int = 0
    refusals: list[str] = field(default_factory=list)
    dropped_ids: list[str] = field(default_factory=list)
    longest_sequence: int = 0
    completion_tokens: int = 0
    context_tokens: int = 0
    unusual_prompts: int = 0
    tools_left_out: int = 0
    prompt_lengths: Lengths | None = None
    completion_lengths: Lengths | None = None
    padding_share: float = 0.0
    warnings: list[str] = field(default_factory=list)
    source: SourceReport | None = None

    def in_words(self) -> str:
        """One line for a log; what happened to no row is left out."""
        counted = {
            "rows of the other half left out": self.of_the_other_half,
            "ties dropped": self.ties_dropped,
            "prompts cut": self.prompts_truncated,
            "completions cut": self.completions_truncated,
            "rows dropped without room for a completion": self.dropped_without_room,
            "rows dropped as too long": self.dropped_too_long,
            "rows refused by the tokenizer left out": self.refused,
            "bad rows left out": self.source.bad_rows if self.source else 0,
            "rows whose tools the prompt leaves out": self.tools_left_out,
        }
        unread = self.source.unread if self.source else {}
        counted |= {f"rows whose messages' '{name}' is not read": unread[name] for name in unread}
        parts = [f"{self.examples} examples of {self.rows} rows"]
        parts += [f"{what} {count}" for what, count in counted.items() if count]
        parts.append(f"the longest sequence has {self.longest_sequence} tokens")
        if self.padding_share:
            parts.append(f"batches of {PADDING_BATCH} would be {self.padding_share:.0%} padding")
        return ", ".join(parts)

    def drop(self, name: str) -> None:
        """Remember which example was left out; the first twenty are named."""
        if len(self.dropped_ids) < NAMED:
            self.dropped_ids.append(name)

    def refuse(self, row: str, reason: Exception) -> None:
        """Remember a row that cannot be written as tokens, and of the first twenty why."""
        self.refused += 1
        self.drop(row)
        if len(self.refusals) < NAMED:
            self.refusals.append(f"row '{row}': {reason}")

    def told_refused(self) -> str:
        """The refused rows, a line each; the first twenty by name."""
        more = self.refused - len(self.refusals)
        rest = [f"and {more} more of {self.rows} rows are refused"] if more else []
        return "\n".join([*self.refusals, *rest])


def padding_share(groups: Sequence[Sequence[int]], batch: int = PADDING_BATCH) -> float:
    """Share of padding, 0 to 1, if each `batch` groups of sequences were padded together."""
    real = padded = 0
    for start in range(0, len(groups), batch):
        lengths = [length for group in groups[start : start + batch] for length in group]
        real += sum(lengths)
        padded += max(lengths, default=0) * len(lengths)
    return 1.0 - real / padded if padded else 0.0


def balance_warnings(
    good: float, bad: float, *, desirable_weight: float, undesirable_weight: float
) -> list[str]:
    """KTO's advice (Ethayarajh et al. 2024, arXiv 2402.01306) on answers marked good and bad, where
    they do not follow it:

        1 <= desirable_weight * good / (undesirable_weight * bad) <= 4/3

    `good` and `bad` are numbers of answers, or sums of their weights.
    """
    gains, losses = desirable_weight * good, undesirable_weight * bad
    if losses * (1.0 - ROUNDING) <= gains <= losses * (4.0 / 3.0 + ROUNDING):
        return []
    words = (
        f"desirable_weight {desirable_weight:g} x {good:g} good answers stand against "
        f"undesirable_weight {undesirable_weight:g} x {bad:g} bad ones; KTO's authors keep the "
        "first between 1 and 4/3 of the second"
    )
    if not gains or not losses:
        return [f"{words}, and here one of them is nothing."]
    if gains < losses:
        return [f"{words}: set desirable_weight to {desirable_weight * losses / gains:.3g}."]
    return [f"{words}: set undesirable_weight to {undesirable_weight * gains / losses:.3g}."]
