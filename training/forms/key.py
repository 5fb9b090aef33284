"""The key of a form: sent twice it means once; brought back by the browser and changed, anew."""

from __future__ import annotations

import uuid

from django import forms

from training.services.client_key import KeyUsed


def new_key() -> str:
    return uuid.uuid4().hex


def offer_again(form: forms.Form, error: KeyUsed, *, again: str = "Launch again") -> None:
    """The form as it was sent, under a key of its own: sent once more it makes another row."""
    form.data = form.data.copy()  # type: ignore[attr-defined]
    form.data["client_key"] = new_key()  # type: ignore[index]
    form.add_error(
        None,
        f"{error.kind.capitalize()} {error.number} was launched from this form already, with other "
        f"settings. {again} to start another {error.kind} with these.",
    )
