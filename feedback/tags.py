"""Tags of prompts as the names of slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from annotation.selectors.judge import REFERENCE_TAG

LONGEST = 60


def tag_names(tags: Mapping[str, Any]) -> Iterator[str]:
    """`type: math`; a list has several. What is nested deeper or is long is no slice, and a
    reference answer is none either."""
    for key, value in tags.items():
        for one in value if isinstance(value, list) else [value]:
            is_short = isinstance(one, str | int | bool) and len(str(one)) <= LONGEST
            if is_short and key != REFERENCE_TAG:
                yield f"{key}: {one}"
