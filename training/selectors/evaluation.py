"""An evaluation's figures in words and numbers, as the library wrote them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.minus import with_minus

# Of a reward model's scores.
SCORE = "{:z.2f}"


@dataclass(frozen=True)
class Figure:
    label: str
    value: str
    interval: str
    note: str


@dataclass(frozen=True)
class Slice:
    """What a reward model gives the pairs of one kind: mean scores of both sides, and the margin.

    `by` is what kinds are told apart by: length, source, tag.
    """

    by: str
    name: str
    pairs: int
    chosen: str
    rejected: str
    margin: str
    interval: str


@dataclass(frozen=True)
class Evaluated:
    """`is_clear`: the evaluation shows that it is better than what it began from.

    `movement` explains what became of the log-probabilities, `remedies` what to do about it.
    """

    sentence: str
    is_clear: bool
    figures: list[Figure]
    kl: dict[str, Any]
    slices: list[Slice]
    movement: str = ""
    remedies: bool = False

    @property
    def has_intervals(self) -> bool:
        return any(figure.interval for figure in self.figures)


def evaluated(figures: dict[str, Any]) -> Evaluated:
    movement, remedies = _movement(figures)
    return Evaluated(
        sentence=_sentence(figures),
        is_clear=_is_clear(figures),
        figures=_figures(figures),
        kl=figures.get("kl", {}),
        slices=_slices(figures),
        movement=movement,
        remedies=remedies,
    )


def _is_clear(figures: dict[str, Any]) -> bool:
    """By the judges' own preferences; demonstrations and rewards have other measures.

    Without a reference it may have sided with the judges before: then that is what to beat.
    """
    floor = 0.5
    held_out, won = figures.get("held_out", {}), figures.get("win_rate", {})
    if "accuracy" in held_out:
        low = held_out["accuracy"]["low"]
        before = held_out.get("accuracy_before", {}).get("value")
        floor = floor if before is None else before
    elif won:
        low = won["low"]
    elif perplexity := figures.get("perplexity", {}):
        before, after = perplexity["before"], perplexity["after"]
        return bool(after["high"] is not None and after["high"] < before["value"])
    else:
        low = figures.get("preferences", {}).get("accuracy", {}).get("low")
    return low is not None and low > floor


def _movement(figures: dict[str, Any]) -> tuple[str, bool]:
    """Plain words on why a chosen answer may fall, when it did; only of a change that is clear.

    What to do about it is about methods that learn from pairs; others are told of pairs that they
    did not learn from.
    """
    movement, remedies = figures.get("movement", {}), True
    if "rejected" not in movement and figures.get("preferences"):
        movement, remedies = figures["preferences"]["movement"], False
    clear = {
        side: movement[side]["difference"]["value"]
        for side in ("chosen", "rejected")
        if side in movement and _is_off_zero(movement[side]["difference"])
    }
    if not clear:
        return "", False
    words = ", rejected ones ".join(map(_likelier, clear.values()))
    told = f"{next(iter(clear)).capitalize()} answers became {words}"
    if clear.get("chosen", 0.0) >= 0 or not remedies:
        return f"{told}.", False
    return (
        f"{told}. A method that looks only at the margin between the two may lower both: pushing "
        "the rejected answer down also pushes down what resembles it, and chosen answers often "
        "do. That is no error while answers stay good, but probability moves to answers that "
        "nobody has judged. To hold chosen answers up, use DPO-Positive, or DPO with an nll "
        "weight.",
        True,
    )


def _is_off_zero(change: dict[str, Any]) -> bool:
    """Whether the data say that it went one way: without an interval they do not."""
    if change["low"] is None:
        return False
    return bool(change["low"] > 0 or change["high"] < 0)


def _likelier(change: float) -> str:
    word = "likelier" if change >= 0 else "less likely"
    form = "{:+.1f}" if abs(change) >= 0.1 else "{:+.1g}"
    return f"{word} ({_number(change, form)} nats an answer)"


def _sentence(figures: dict[str, Any]) -> str:
    """One sentence on what the training changed, only of figures that are there."""
    held_out = figures.get("held_out")
    if not held_out:
        return "Nothing was evaluated: the run had no held-out data."
    if figures.get("kind") == "reward":
        return _reward_sentence(figures)
    parts = [part for part in (_accuracy(figures), _perplexity(figures), _won(figures)) if part]
    if length := _length_words(figures.get("length", {})):
        parts.append(length)
    whole = "; ".join(parts) or "nothing was measured on held-out data"
    return f"{whole[0].upper()}{whole[1:]}."


def _accuracy(figures: dict[str, Any]) -> str:
    held_out, moved = figures["held_out"], figures.get("preferences")
    if "accuracy" not in held_out and moved:
        return (
            f"on {moved['pairs']} held-out pairs the answer that the judges preferred has gained "
            f"more in {_percent(moved['accuracy'])} of cases{_interval(moved['accuracy'])}, where "
            "50 % is chance"
        )
    if "accuracy" not in held_out:
        return ""
    before = held_out.get("accuracy_before", {"value": 0.5})
    return (
        f"on {held_out['examples']} held-out examples the new model sides with the judges in "
        f"{_percent(held_out['accuracy'])} of cases{_interval(held_out['accuracy'])}, where "
        f"{_percent(before)} is what it began from"
    )


def _perplexity(figures: dict[str, Any]) -> str:
    """The point of a run on demonstrations; of the others only a figure."""
    found = figures.get("perplexity", {})
    if found.get("of") != "demonstrations":
        return ""
    before, after = found["before"]["value"], found["after"]["value"]
    return f"the perplexity of held-out demonstrations went from {before:.2f} to {after:.2f}"


def _won(figures: dict[str, Any]) -> str:
    won = figures.get("win_rate", {})
    if not won or won["value"] is None:
        return ""
    return f"a reward model prefers its answers in {_percent(won)} of cases{_interval(won)}"


def _reward_sentence(figures: dict[str, Any]) -> str:
    held_out, error = figures["held_out"], figures.get("calibration", {}).get("ece", {})
    told = (
        f"Of {held_out['pairs']} held-out pairs the reward model puts "
        f"{_percent(held_out['accuracy'])} in the judges' order{_interval(held_out['accuracy'])}, "
        "where 50 % is chance"
    )
    if error.get("value") is not None:
        told += f"; its stated confidence is off by {100 * error['value']:.0f} points on average"
    return f"{told}."


def _length_words(length: dict[str, Any]) -> str:
    """What lengths tell, unless sampling cut most answers off at the same place."""
    difference = length.get("difference", {}).get("value")
    if difference is None:
        return ""
    if 2 * max(length.get("cut_before", 0), length.get("cut_after", 0)) > length.get("prompts", 0):
        return (
            f"most sampled answers were cut off at {length['max_new_tokens']} tokens, so their "
            "lengths tell nothing"
        )
    if abs(difference) < 0.5:
        return "its answers are as long as before"
    direction = "longer" if difference > 0 else "shorter"
    return f"its answers are {abs(difference):.0f} tokens {direction}"


def _percent(figure: dict[str, Any]) -> str:
    return f"{100 * figure['value']:.0f} %" if figure["value"] is not None else "–"


def _interval(figure: dict[str, Any]) -> str:
    if figure["low"] is None:
        return " (too few prompts for an interval)"
    return f" ({100 * figure['low']:.0f} to {100 * figure['high']:.0f})"


def _figures(figures: dict[str, Any]) -> list[Figure]:
    """The numbers that are there; an interval may be missing, for want of prompts."""
    kl, perplexity = figures.get("kl", {}), figures.get("perplexity", {})
    held_out, length = figures.get("held_out", {}), figures.get("length", {})
    nats, of, tax = kl.get("unit", ""), perplexity.get("of", ""), figures.get("alignment_tax", {})
    score = "of scores" if figures.get("kind") == "reward" else "against the reference"
    pairs = figures.get("preferences", {})
    if pairs and of == pairs["perplexity"]["of"]:
        perplexity = {}
    rows = [
        ("Held-out accuracy", held_out.get("accuracy"), "{:.2f}", ""),
        ("Expected agreement", held_out.get("expected_agreement"), "{:.2f}", "a share of judges"),
        *_preferences(pairs),
        ("Pairs of a list in order", held_out.get("pair_accuracy"), "{:.2f}", ""),
        ("Best of a list first", held_out.get("best_first"), "{:.2f}", ""),
        ("Reward margin", held_out.get("reward_margin"), "{:z.3f}", score),
        ("Mean score of chosen", held_out.get("chosen_score"), SCORE, ""),
        ("Mean score of rejected", held_out.get("rejected_score"), SCORE, ""),
        ("Held-out loss", held_out.get("loss"), "{:.4f}", ""),
        ("Win rate", figures.get("win_rate"), "{:.2f}", "by a reward model, against the reference"),
        ("Calibration error", figures.get("calibration", {}).get("ece"), "{:.3f}", ""),
        ("Brier score", figures.get("calibration", {}).get("brier"), "{:.3f}", "0 is best"),
        ("KL from the reference (k1)", kl.get("k1"), "{:z.2f}", _noisy(kl.get("k1"), nats)),
        ("KL from the reference (k3)", kl.get("k3"), "{:z.2f}", nats),
        ("Perplexity before", perplexity.get("before"), "{:.2f}", of),
        ("Perplexity after", perplexity.get("after"), "{:.2f}", of),
        ("Alignment tax: perplexity before", tax.get("before"), "{:.2f}", "other demonstrations"),
        ("Alignment tax: perplexity after", tax.get("after"), "{:.2f}", "other demonstrations"),
        ("Answer length before", length.get("before"), "{:.0f}", length.get("unit", "")),
        ("Answer length after", length.get("after"), "{:.0f}", length.get("unit", "")),
        *_diversity(figures.get("diversity", {})),
    ]
    found = [row for row in rows if row[1] and row[1]["value"] is not None]
    some = any(figure["low"] is not None for _, figure, _, _ in found)
    told = [
        Figure(label, _number(figure["value"], form), _range(figure, form, some), note)
        for label, figure, form, note in found
    ]
    return [*told, *_spread(figures.get("scores", {}))]


def _spread(scores: dict[str, float]) -> list[Figure]:
    """Where the scores lie: what a penalty or another reward is weighed against."""
    if not scores:
        return []
    mean, low, middle, high = (
        _number(scores[name], SCORE) for name in ("mean", "p5", "p50", "p95")
    )
    note = f"median {middle}; nine in ten answers from {low} to {high}"
    return [Figure("Mean score of all answers", mean, "", note)]


def _slices(figures: dict[str, Any]) -> list[Slice]:
    """Evaluations from before both sides' scores were kept have the margin alone."""
    return [
        Slice(
            by=one["by"],
            name=one["name"],
            pairs=one["pairs"],
            chosen=_score(one.get("chosen_score")),
            rejected=_score(one.get("rejected_score")),
            margin=_score(one["reward_margin"]),
            interval=_range(one["reward_margin"], SCORE, others_have=False),
        )
        for one in figures.get("slices", [])
    ]


def _score(figure: dict[str, Any] | None) -> str:
    return _number(figure["value"], SCORE) if figure and figure["value"] is not None else "–"


def _noisy(k1: dict[str, Any] | None, unit: str) -> str:
    if k1 is None or k1["value"] is None or k1["value"] >= 0:
        return unit
    return f"{unit}; a KL is never below 0, this estimate of it may be by chance"


def _preferences(pairs: dict[str, Any]) -> list[tuple[str, Any, str, str]]:
    """What every policy is told of the same held-out pairs, whatever it learned from."""
    if not pairs:
        return []
    moved, texts = pairs["movement"], pairs["perplexity"]
    gained, nats = f"by log-ratio, {pairs['pairs']} pairs", "nats an answer"
    return [
        ("Preferred answer gained more", pairs["accuracy"], "{:.2f}", gained),
        ("Log-ratio margin", pairs["log_ratio_margin"], "{:z.2f}", nats),
        ("Log-probability of chosen, change", moved["chosen"]["difference"], "{:+z.2f}", nats),
        ("Log-probability of rejected, change", moved["rejected"]["difference"], "{:+z.2f}", nats),
        ("Perplexity of chosen before", texts["before"], "{:.2f}", ""),
        ("Perplexity of chosen after", texts["after"], "{:.2f}", ""),
    ]


def _diversity(found: dict[str, Any]) -> list[tuple[str, Any, str, str]]:
    names = {
        "distinct_2": ("Distinct word pairs", "share of an answer's"),
        "repetition": ("Repetition", "runs of four words said before"),
    }
    return [
        (f"{label} {side}", found[name][side], "{:.2f}", note)
        for name, (label, note) in names.items()
        if name in found
        for side in ("before", "after")
    ]


def _range(figure: dict[str, Any], form: str, others_have: bool) -> str:
    if figure["low"] is None:
        return "too few prompts for an interval" if others_have else ""
    return f"{_number(figure['low'], form)} to {_number(figure['high'], form)}"


def _number(value: float, form: str) -> str:
    """With a true minus, as the plots have it."""
    return with_minus(form.format(value))
