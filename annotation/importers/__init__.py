"""The formats that can be imported, by name. Adding one is a module and an entry here."""

from __future__ import annotations

from annotation.importers import hhh_alignment, llmfao, own_jsonl, pairs, pandalm, squality
from annotation.importers.rows import Format
from core.errors import PrefloopError

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT
    for module in (own_jsonl, pairs, llmfao, pandalm, squality, hhh_alignment)
}


def get_format(name: str) -> Format:
    if name not in FORMATS:
        raise PrefloopError(f"The format is one of {', '.join(FORMATS)}.", field="format")
    return FORMATS[name]
