"""Settings to try in a grid, as rows of a form: a name, and the values that it takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from django import forms

from core.errors import PrefloopError
from training.forms.options import label_of
from training.services.sweep import grid_points

ROWS = 2


def sweep_fields(names: Sequence[str]) -> dict[str, forms.Field]:
    choices = [("", "Nothing"), *((name, label_of(name)) for name in names)]
    found: dict[str, forms.Field] = {}
    for row in range(1, ROWS + 1):
        label = "Vary" if row == 1 else "And vary"
        found[f"sweep_{row}"] = forms.ChoiceField(choices=choices, required=False, label=label)
        found[f"sweep_{row}_values"] = forms.CharField(
            required=False, max_length=300, label=f"Values {row}",
            help_text="With commas between: 1e-6, 5e-6, 1e-5. One run for each.",
        )  # fmt: skip
    return found


SWEEP_FIELDS = tuple(f"sweep_{row}{end}" for row in range(1, ROWS + 1) for end in ("", "_values"))


def clean_grid(
    form: forms.Form, given: Mapping[str, Any], place_of: Callable[[str], str]
) -> dict[str, list[Any]]:
    """The grid; what is wrong with it becomes an error of its field. `place_of` names the field
    of a setting, which says what each of its values must be."""
    grid: dict[str, list[Any]] = {}
    for row in range(1, ROWS + 1):
        name, values = given.get(f"sweep_{row}"), given.get(f"sweep_{row}_values")
        if bool(name) != bool(values):
            missing = f"sweep_{row}_values" if name else f"sweep_{row}"
            form.add_error(missing, "A sweep needs both: what varies, and its values.")
        elif name and values:
            if name in grid:
                form.add_error(f"sweep_{row}", "This setting varies already.")
            grid[name] = [_value(word) for word in values.split(",") if word.strip()]
            _check(form, f"sweep_{row}_values", {name: grid[name]}, form.fields[place_of(name)])
    if len(grid) > 1 and not any(map(form.has_error, SWEEP_FIELDS)):
        _check(form, "sweep_1_values", grid)
    return grid


def _check(
    form: forms.Form, row: str, grid: Mapping[str, list[Any]], like: forms.Field | None = None
) -> None:
    try:
        if like:
            for value in chain(*grid.values()):
                like.clean(value)
        grid_points(grid)
    except forms.ValidationError as error:
        form.add_error(row, error.messages)
    except PrefloopError as error:
        form.add_error(row, error.message)


def row_of(given: Mapping[str, Any], name: str) -> str | None:
    """The field of the values of a setting that varies."""
    rows = range(1, ROWS + 1)
    return next((f"sweep_{n}_values" for n in rows if given.get(f"sweep_{n}") == name), None)


def _value(word: str) -> Any:
    try:
        # NaN and Infinity are words here, which no setting takes.
        return json.loads(word, parse_constant=str)
    except ValueError:
        return word.strip()
