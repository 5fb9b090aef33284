"""Text that models wrote, on its way into rows."""

from __future__ import annotations


def storable(text: str) -> str:
    """Without NUL, which no database can keep and models do write."""
    return text.replace("\0", "")
