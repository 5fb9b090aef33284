"""`python -m bench.report`: docs/results/README.md from the newest file of each measure and proof.

The page is never written by hand; a test compares it with what this makes of the files. So are
the tables of other pages, each between `<!-- figures NAME.KEY -->` and `<!-- end -->`, and the
curves of docs/smollm2.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from bench.__main__ import RESULTS, ROOT
from bench.plots import draw

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
    figures = result["figures"]
    rows = "".join(f"| {name} | {value} |\n" for name, value in flat(figures))
    return (
        f"\n## {result['name']}\n\n"
        f"{made(result)}, {_load(result['machine'])}, {result['seconds']} s in all.\n\n"
        f"{_caveat(figures)}| figure | value |\n| --- | --- |\n{rows}"
    )


def made(result: dict[str, Any]) -> str:
    """When, from which code and on how many cores; a kept run may be read by later code."""
    told = f"{result['measured'][:10]}, commit {result['commit']}"
    read = result.get("read", {}).get("commit", result["commit"])
    if read != result["commit"]:
        told += f" (read at {read})"
    return f"{told}, {result['machine']['cores']} cores"


def _load(machine: dict[str, Any]) -> str:
    # What older files call the load before was asked for after the run.
    for name, when in (("load_at_start", "before the start"), ("load_before", "at the end")):
        if name in machine:
            return f"load {machine[name]:.1f} {when}"
    return "load not recorded"


def _caveat(figures: dict[str, Any]) -> str:
    """What must be read before the figures."""
    if figures.get("counts") is False:
        return f"**Does not count**: {figures['does_not_count_because']}.\n\n"
    if figures.get("shown") is False:
        return "**Not shown**: the 95 % interval of what should move includes zero.\n\n"
    return ""


def flat(figures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        words = prefix + name.replace("_", " ")
        if isinstance(value, dict):
            yield from flat(value, f"{words}, ")
        elif isinstance(value, list):
            yield words, "; ".join(map(str, value)) or "none"
        else:
            yield words, f"{value:,}" if type(value) is int else str(value)


PAGES = tuple(ROOT / "docs" / f"{name}.md" for name in ("queue", "smollm2", "judging", "engine"))
CURVES = ROOT / "docs" / "pictures" / "smollm2.svg"
# What each comparison with TRL is meant to reach: times as fast, share of the memory.
AIMS = {
    "training_dpo.bfloat16": (2.5, 0.66),
    "training_dpo.float32": (2.0, None),
    "training_dpo.lora": (2.1, 0.55),
    "training_dpo.long_prompts": (3.3, None),
    "training_kto.bfloat16": (3.0, None),
    "training_reward_model.bfloat16": (1.5, None),
    "training_online.grpo": (1.5, None),
    "training_online.rloo": (1.5, None),
}
FIGURES = re.compile(r"(<!-- figures (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_figures(text: str) -> str:
    """The page with the tables between its marks made anew."""
    results = newest()
    return FIGURES.sub(lambda found: found[1] + table(results, found[2]) + found[3], text)


def table(results: dict[str, dict[str, Any]], path: str) -> str:
    """Of a figure's path, or of several with commas between: then each is a row with its origin."""
    if path == "against_trl":
        return _rows({name: _against_trl(results.get(name), *aims) for name, aims in AIMS.items()})
    paths = path.split(",")
    found = {one: value for one in paths if (value := _at(results, one))}
    if not found:
        return "Not measured yet on a quiet machine.\n"
    if len(paths) == 1:
        measured, value = found[path]
        return f"{_rows(value)}\n{made(measured)}.\n"
    return _rows(dict(_row(one, found.get(one)) for one in paths))


def _against_trl(
    result: dict[str, Any] | None, faster: float, memory: float | None
) -> dict[str, Any]:
    aim = {"aim": f"≥ {faster} ×" + (f" at ≤ {memory}" if memory else "")}
    if result is None:
        return aim | {"times_as_fast": "not measured"}
    figures = result["figures"]
    speed = "tokens_per_second" if "useful_tokens" in figures else "steps_per_second"
    told = {key: figures[key] for key in ("times_as_fast", "share_of_memory")}
    sides = {f"{side}_{speed}": figures[side][speed] for side in ("prefloop", "trl")}
    agree = {"losses_agree": figures["agrees"], "made": made(result)}
    return aim | told | sides | agree


def _row(path: str, found: tuple[dict[str, Any], Any] | None) -> tuple[str, dict[str, Any]]:
    name = path.split(".")[1]
    return (name, found[1] | {"made": made(found[0])}) if found else (f"{name}: not recorded", {})


def _at(results: dict[str, dict[str, Any]], path: str) -> tuple[dict[str, Any], Any] | None:
    # A case's name has a point, too.
    name = next((name for name in results if f"{path}.".startswith(f"{name}.")), None)
    if name is None:
        return None
    value: Any = results[name]["figures"]
    for key in filter(None, path.removeprefix(name).split(".")):
        value = value[key]
    return results[name], value


def _rows(value: Any) -> str:
    """Rows with columns, pairs of name and value, or a list."""
    if isinstance(value, list):
        return "".join(f"- {one}\n" for one in value)
    if not all(isinstance(row, dict) for row in value.values()):
        pairs = "".join(f"| {name} | {words} |\n" for name, words in flat(value))
        return f"| figure | value |\n| --- | --- |\n{pairs}"
    columns = list(dict.fromkeys(column for row in value.values() for column in row))
    head = "".join(f" {column.replace('_', ' ')} |" for column in columns)
    lines = [f"| |{head}", f"| --- |{' --- |' * len(columns)}"]
    for name, row in value.items():
        cells = "".join(f" {_cell(row.get(column, ''))} |" for column in columns)
        lines.append(f"| {name.replace('_', ' ')} |{cells}")
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def curves() -> str | None:
    """Reward and KL of the online methods as a picture; None before they were recorded."""
    results = newest()
    found = {
        method: results[f"smollm2.{method}"]["figures"]["curves"]
        for method in ("grpo", "ppo")
        if f"smollm2.{method}" in results
    }
    return draw(found, ("reward", "kl")) if found else None


def main() -> None:
    (RESULTS / "README.md").write_text(page())
    for path in PAGES:
        path.write_text(with_figures(path.read_text()))
    if picture := curves():
        CURVES.write_text(picture)


if __name__ == "__main__":
    main()
