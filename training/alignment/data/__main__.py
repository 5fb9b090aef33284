"""Tells what a file or folder of training data holds: python -m training.alignment.data FILE"""

import argparse
import sys
from pathlib import Path

from training.alignment.data import DataError, Kind
from training.alignment.data.survey import Survey, survey
from training.alignment.methods import methods


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.alignment.data", description=__doc__)
    parser.add_argument("path", type=Path, help="JSONL, JSON, Parquet, or a folder")
    path = parser.parse_args(arguments).path
    try:
        found = survey(path)
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    print(described(found))
    return 0


def described(found: Survey) -> str:
    """The survey in words, with the methods that the data can feed."""
    report = found.report
    lines = [f"{report.file}: {report.rows} rows, {report.bad_rows} of them cannot be used"]
    lines += [f"  shape: {name} ({count})" for name, count in report.shapes.items()]
    for kind, count in found.rows.items():
        lines.append(f"  {kind}: {count}; feeds {_fed_by(kind)}")
    for kind, count in found.convertible.items():
        lines.append(f"  {kind} when converted: {count}")
    if report.identical_sides:
        lines.append(f"  pairs of two equal texts: {report.identical_sides}")
    lines += [
        f"  messages of the assistant whose field '{name}' is not read: in {count} rows"
        for name, count in report.unread.items()
    ]
    lines += [f"  {problem}" for problem in report.problems]
    if found.odd:
        lines.append(
            "  mixed: a method takes the rows of its kind and refuses the file for the others, or "
            "leaves them out (bad_rows skip):"
        )
    lines += [f"    {problem}" for problem in found.odd]
    return "\n".join(lines)


def _fed_by(kind: Kind) -> str:
    """Methods that take the kind as it is; lists become pairs unasked."""
    taken = {"lists", "pairs"} if kind == "lists" else {kind}
    return ", ".join(method.name for method in methods() if method.data in taken)


if __name__ == "__main__":
    sys.exit(main())
