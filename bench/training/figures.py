"""What the runs of a comparison come to: speed, memory, share of the machine, agreement."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Over how many steps the two losses must agree, and how closely.
AGREEMENT_STEPS, AGREEMENT = 20, 1e-3

COMPUTED = "computed_share_of_matrix_limit"

Run = Mapping[str, Any]


def agreement(
    mine: Sequence[float], other: Sequence[float], exact: Sequence[float] = ()
) -> dict[str, Any]:
    """Whether two losses are one over the first steps, and so whether the figures count.

    `exact` are the losses of the same steps in float32: beside how far the sides are from each
    other stands how far each is from them.
    """
    firsts = {"prefloop": mine[:AGREEMENT_STEPS], "trl": other[:AGREEMENT_STEPS]}
    largest, _ = apart(*firsts.values())
    means = [statistics.fmean(first) for first in firsts.values()]
    found: dict[str, Any] = {
        "agrees": largest <= AGREEMENT,
        "steps_compared": len(firsts["trl"]),
        "largest_difference_of_losses": round(largest, 6),
        "difference_of_mean_losses": round(abs(means[0] - means[1]), 6),
    }
    if exact:
        for name, first in firsts.items():
            largest, mean = apart(first, exact[: len(first)])
            found[f"{name}_to_float32"] = {"largest": round(largest, 6), "mean": round(mean, 6)}
    return found


def counts(found: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the figures beside an `agreement` count, and why not.

    They do only where the losses of the timed setting agree themselves, in whichever precision.
    """
    if found["agrees"]:
        return {"counts": True}
    reason = (
        f"at one of the first {found['steps_compared']} steps the losses differ by "
        f"{found['largest_difference_of_losses']}"
    )
    if "largest_difference_of_gradient_norms" in found:
        reason += (
            f" and the gradients' norms by {found['largest_difference_of_gradient_norms']} of them"
        )
    reason += f", where {AGREEMENT} is allowed"
    if "prefloop_to_float32" in found:
        mine, other = (found[f"{side}_to_float32"]["largest"] for side in ("prefloop", "trl"))
        reason += f"; from our float32 run ours differs by {mine} and TRL's by {other}"
    return {"counts": False, "does_not_count_because": reason}


def apart(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Largest and mean difference of two sequences of one length."""
    differences = [abs(one - two) for one, two in zip(first, second, strict=True)]
    return max(differences), statistics.fmean(differences)


def resources(
    runs: Sequence[Run], operations: float, limit: float, computed: float | None = None
) -> dict[str, Any]:
    """Medians over the runs; `operations` are the useful ones of a run.

    Useful is what was asked for, however it is reached: a prompt once for each of its answers, the
    vocabulary for every token. Who computes less may pass 1. `computed` are the operations of the
    products that are really made, where that is known: their share is one of the limit reached.
    """
    seconds = median(runs, "seconds")
    return {
        "seconds_of_each_run": [round(run["seconds"], 1) for run in runs],
        "cpu_seconds_of_each_run": [round(run["cpu_seconds"], 1) for run in runs],
        "peak_mb": round(median(runs, "peak_mb")),
        "share_of_matrix_limit": round(operations / seconds / limit, 3),
        **({} if computed is None else {COMPUTED: round(computed / seconds / limit, 3)}),
    }


def median(runs: Sequence[Run], name: str) -> float:
    return float(statistics.median(run[name] for run in runs))


def useful_tokens(rows: Sequence[Run]) -> int:
    """Tokens without padding, each sequence with its prompt, as both sides are asked to score."""
    return sum(
        len(row["prompt_ids"]) + len(ids)
        for row in rows
        for name, ids in row.items()
        if name.endswith("_ids") and name != "prompt_ids"
    )


def useful_operations(rows: Sequence[Run], weights: int, *, frozen: bool) -> float:
    """6 N a trained token, 4 N where the weights are frozen, 2 N where nothing is trained."""
    scored = [{key: value for key, value in row.items() if key != "mismatched_ids"} for row in rows]
    trained = useful_tokens(scored)
    looked_at = useful_tokens(rows) - trained
    return float(weights * (trained * (4 if frozen else 6) + 2 * looked_at))


def computed_operations(
    rows: Sequence[Run], layers: int, projection: int, *, frozen: bool
) -> float:
    """What our engine computes of the same: a prompt once for its answers, and the vocabulary for
    answers alone. `layers` and `projection` are the weights of either."""
    trained = looked_at = 0
    for row in rows:
        lengths = {name: len(ids) for name, ids in row.items() if name.endswith("_ids")}
        prompt, others = lengths.pop("prompt_ids"), lengths.pop("mismatched_ids", 0)
        answers = sum(lengths.values())
        trained += layers * (prompt + answers) + projection * answers
        looked_at += (layers * (prompt + others) + projection * others) if others else 0
    return float(trained * (4 if frozen else 6) + 2 * looked_at)


def weights_used(folder: Path, *, projects: bool) -> int:
    """Weights that a token is multiplied with; a reward model does not use its embedding so."""
    sizes = json.loads((folder / "config.json").read_text())
    return parameters(folder) - (0 if projects else sizes["vocab_size"] * sizes["hidden_size"])


def parameters(folder: Path) -> int:
    """Numbers in a model folder's safetensors files, by their headers."""
    count = 0
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as content:
            size = int.from_bytes(content.read(8), "little")
            header = json.loads(content.read(size))
        shapes = [tensor["shape"] for name, tensor in header.items() if name != "__metadata__"]
        count += sum(math.prod(shape) for shape in shapes)
    return count
