"""`python -m bench.report`: docs/results/README.md from the newest file of each measure and proof.

The page is never written by hand; a test compares it with what this makes of the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bench.__main__ import RESULTS

HEAD = """# Results

Made by `python -m bench.report` from the newest dated file of each measure (`make bench`) and
proof (`make prove`) in this folder. Absolute figures hold for the machine named with them.
"""


def newest() -> dict[str, dict[str, Any]]:
    """The last result by name; file names begin with the date."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    return {result["name"]: result for result in found}


def page() -> str:
    return HEAD + "".join(section(result) for _, result in sorted(newest().items()))


def section(result: dict[str, Any]) -> str:
    machine = result["machine"]
    rows = "".join(f"| {name} | {value} |\n" for name, value in flat(result["figures"]))
    return (
        f"\n## {result['name']}\n\n"
        f"{result['measured'][:10]}, commit {result['commit']}, {machine['cores']} cores, "
        f"load {machine['load_before']:.1f} before the start, {result['seconds']} s in all.\n\n"
        f"| figure | value |\n| --- | --- |\n{rows}"
    )


def flat(figures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        words = prefix + name.replace("_", " ")
        if isinstance(value, dict):
            yield from flat(value, f"{words}, ")
        elif isinstance(value, list):
            yield words, "; ".join(map(str, value)) or "none"
        else:
            yield words, f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    (RESULTS / "README.md").write_text(page())


if __name__ == "__main__":
    main()
