"""From the training library's descriptions of its options to fields of a form."""

from __future__ import annotations

import re
from typing import Any

from django import forms

from training.alignment.config import OFFLINE, ONLINE, TrainingConfig
from training.alignment.options import Option, describe_options

SPELLED = {
    "lora": "LoRA", "dtype": "Precision", "kl": "KL", "sft": "SFT", "gae": "GAE", "ppo": "PPO",
    "nll": "NLL", "dpop": "DPOP", "optimizer": "Optimiser",
}  # fmt: skip
NAMES = [option.name for option in describe_options(TrainingConfig)]
# Of several words, so that no word of a sentence is taken for one.
NAME = re.compile(rf"\b({'|'.join(name for name in NAMES if '_' in name)})\b")


def option_field(option: Option) -> forms.Field:
    common: dict[str, Any] = {
        "label": label_of(option.name),
        "help_text": _sentence(option.help),
        "initial": option.default,
        "required": not option.nullable,
    }
    if option.choices:
        return forms.ChoiceField(choices=[(word, word) for word in option.choices], **common)
    if option.type is bool:
        return forms.BooleanField(**{**common, "required": False})
    limits: dict[str, Any] = {"min_value": option.min, "max_value": option.max}
    if option.type in (int, float):
        return number_field(is_whole=option.type is int, **common, **limits)
    return forms.CharField(**common)


def number_field(*, is_whole: bool = False, **asked: Any) -> forms.IntegerField:
    """A field that says its range, whatever is wrong: of what is no number a browser sends
    nothing."""
    found = forms.IntegerField(**asked) if is_whole else forms.FloatField(**asked)
    told = _range(asked.get("min_value"), asked.get("max_value"), is_whole=is_whole)
    found.error_messages |= dict.fromkeys(("required", "invalid", "min_value", "max_value"), told)
    return found


def _range(low: float | None, high: float | None, *, is_whole: bool) -> str:
    """“Enter a number from 1e-6 to 1,000.”"""
    noun = "a whole number" if is_whole else "a number"
    least, most = (None if edge is None else _number(edge) for edge in (low, high))
    if low is not None and high is not None:
        return f"Enter {noun} from {least} to {most}."
    if low is not None:
        return f"Enter {noun}, {least} or more."
    return f"Enter {noun}, {most} or less." if high is not None else f"Enter {noun}."


def _number(edge: float) -> str:
    written = f"{edge:,}" if isinstance(edge, int) else f"{edge:,.10g}"
    return written.replace("e-0", "e-").replace("-", "\N{MINUS SIGN}", int(edge < 0))


def label_of(name: str) -> str:
    first, *rest = name.split("_")
    return " ".join([SPELLED.get(first, first.capitalize()), *(SPELLED.get(w, w) for w in rest)])


def in_labels(words: str) -> str:
    """What the library says, with the names of its options as a form labels them."""
    return NAME.sub(lambda found: f"“{label_of(found[0])}”", words)


def untouched_data(form: forms.Form) -> dict[str, Any]:
    """What a browser would send of a form in which nobody has touched anything."""
    found = {}
    for name, field in form.fields.items():
        value = form.get_initial_for_field(field, name)
        if value is None and isinstance(field, forms.ChoiceField) and field.choices:
            value = str(next(iter(field.choices))[0])  # type: ignore[arg-type]
        found[name] = "" if value is None else value
    return found


def numbers_to_correct(form: forms.Form) -> str:
    """Why an estimate has to wait: the numbers of a validated form that are none, or out of
    range, and a sweep's grid that is none."""
    # FloatField is one of them.
    rows = [
        row
        for row in form
        if row.errors
        and (isinstance(row.field, forms.IntegerField) or row.name.startswith("sweep_"))
    ]
    names = [f"“{row.label}”" for row in rows]
    if not names:
        return ""
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"No estimate yet: correct {listed} first."


def _sentence(words: str) -> str:
    """Without the library's mark of the loop, which a form shows by its place."""
    plain = words.removeprefix(ONLINE).removeprefix(OFFLINE)
    return plain[:1].upper() + plain[1:]
