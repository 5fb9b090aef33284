"""Rows of training data: what a JSONL line may be, and what it becomes.

A line has one of five shapes; texts are strings or lists of {"role", "content"} messages:

    pairs           {"prompt", "chosen", "rejected", "probability"?, "margin"? | "strength"?}
    lists           {"prompt", "completions": [...], "ranks": [1, 2, ...] | "scores": [...]}
    binary          {"prompt", "completion", "label"}
    demonstrations  {"prompt", "completion"}
    prompts         {"prompt"}

and may carry an "id", a "weight", a "group", a "system" text and "tools"; every other field is kept
as a fact. Rank 1 is best and equal ranks tie. Pairs that name a group but no weight share a weight
of one.
"""

from training.alignment.data.read import (
    DataFile,
    Problem,
    ReadOptions,
    SourceReport,
    read_data,
    read_rows,
)
from training.alignment.data.rows import (
    KINDS,
    DataError,
    FieldError,
    Kind,
    Row,
    Text,
    half_of,
    likelier_first,
    without_ties,
)
from training.alignment.data.sources import read_records

__all__ = [
    "KINDS",
    "DataError",
    "DataFile",
    "FieldError",
    "Kind",
    "Problem",
    "ReadOptions",
    "Row",
    "SourceReport",
    "Text",
    "half_of",
    "likelier_first",
    "read_data",
    "read_records",
    "read_rows",
    "without_ties",
]
