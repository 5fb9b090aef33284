"""Template filters of the house; load them with {% load prefloop %}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils.safestring import SafeString

from core.hidden_characters import show_hidden
from core.minus import with_minus
from core.rendering import render_data, render_markdown

register = template.Library()


@register.filter
def markdown(text: str) -> SafeString:
    """What people or models wrote, made safe."""
    return render_markdown(text)


@register.filter
def data(text: str) -> SafeString:
    """What a program wrote, made safe."""
    return render_data(text)


@register.filter
def shown(text: str) -> str:
    """A name that people or models gave, with what it hides made visible."""
    return show_hidden(text)


@register.filter
def minus(number: object) -> str:
    """With the sign that numbers have, not the hyphen of words."""
    return with_minus(str(number))


@register.filter
def item(mapping: Mapping[str, Any], key: str) -> Any:
    return mapping.get(key)
