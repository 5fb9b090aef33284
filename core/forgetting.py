"""What goes with a person who is forgotten: each app tells how free text by them is erased."""

from __future__ import annotations

from collections.abc import Callable

from core.models import User

Eraser = Callable[[User], object]
ERASERS: list[Eraser] = []


def erases_words(eraser: Eraser) -> Eraser:
    """A decorator. Called in the transaction that forgets, while the person's rows still tell."""
    ERASERS.append(eraser)
    return eraser


def erase_words(user: User) -> None:
    for eraser in ERASERS:
        eraser(user)
