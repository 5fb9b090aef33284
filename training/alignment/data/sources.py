"""Rows out of files: JSONL, a JSON array, Parquet, and what `datasets` saves to disk."""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from training.alignment.data.rows import DataError

_BATCH = 1024
_DATASET, _SPLITS = "state.json", "dataset_dict.json"
# What the hub keeps beside a dataset's rows.
_ABOUT = {"dataset_info.json", "dataset_infos.json"}
_SPLIT = re.compile(r"(?i)(train|test|validation|valid|val|dev|eval|held[_-]?out)(?![a-z])")
# What a file whose end, page or block is damaged raises in the middle of its rows.
_DAMAGE = (EOFError, OSError, ValueError, NotImplementedError, OverflowError, zlib.error)


class Record(NamedTuple):
    """One row as it lies on file, or what keeps it from being read; rows are counted from 1."""

    file: str
    number: int
    values: dict[str, Any] | DataError


def read_records(path: str | Path) -> Iterator[Record]:
    """The rows of a file, or of all files of a folder in the order of their names.

    Raises DataError where `path` is missing, or is no such file or folder, or holds several splits.
    """
    path = Path(path)
    if path.is_dir():
        for file in _files(path):
            yield from _numbered(file)
    elif path.exists():
        yield from _numbered(path)
    else:
        raise DataError(f"{path.name}: there is no such file or folder")


def _files(folder: Path) -> list[Path]:
    if (folder / _SPLITS).exists():
        splits = _listed(folder, _SPLITS, "splits")
        raise DataError(
            f"{folder.name}: holds several splits ({', '.join(splits)}); name the folder of one, "
            f"for example {folder.name}/{splits[0] if splits else 'train'}"
        )
    if (folder / _DATASET).exists():
        return [folder / name for name in _listed(folder, _DATASET, "_data_files")]
    found = (file for file in folder.iterdir() if file.name not in _ABOUT)
    files = sorted(file for file in found if _suffix(file) in _READERS)
    if not files and (folder / "data").is_dir():
        return _files(folder / "data")
    if not files:
        raise DataError(
            f"{folder.name}: holds no {', '.join(sorted(_READERS))} file and is no folder that "
            "datasets saved"
        )
    _refuse_splits(folder, files)
    return files


def _refuse_splits(folder: Path, files: list[Path]) -> None:
    """Rows that are held out must not be trained on because they lie beside the others."""
    splits: dict[str, Path] = {}
    for file in files:
        if found := _SPLIT.match(file.name):
            splits.setdefault(found[1].lower(), file)
    if len(splits) > 1:
        told, one = ", ".join(sorted(splits)), splits.get("train", files[0]).name
        raise DataError(
            f"{folder.name}: holds files of several splits ({told}); name the file of one, for "
            f"example {folder.name}/{one}, or a folder with the files of one alone"
        )


def _listed(folder: Path, file: str, key: str) -> list[str]:
    """The names of splits, or of data files, that `datasets` wrote into a file of the folder."""
    try:
        found = json.loads((folder / file).read_bytes())[key]
        return [str(item["filename"] if key == "_data_files" else item) for item in found]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{folder.name}: {file} is not what datasets writes") from error


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix


def _numbered(path: Path) -> Iterator[Record]:
    """Anything of another name is taken for JSONL, whose errors name their line.

    Where a file is damaged, one record tells it in place of all rows from there on.
    """
    number = 0
    try:
        for number, values in _READERS.get(_suffix(path), _jsonl)(path):
            if isinstance(values, dict | DataError):
                yield Record(path.name, number, values)
            else:
                yield Record(path.name, number, DataError("not a JSON object"))
    except DataError:
        raise
    except _DAMAGE as error:
        damaged = DataError(f"cannot be read, nor what follows it; the file is damaged ({error})")
        yield Record(path.name, number + 1, damaged)


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, _parsed(line)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return DataError(f"not JSON ({error.msg})")
    except UnicodeDecodeError:
        return DataError("not JSON (not in UTF-8)")
    except (ValueError, RecursionError) as error:
        return DataError(f"holds a number too long, or objects too deep, to be read ({error})")


def _json(path: Path) -> Iterator[tuple[int, Any]]:
    """An array of objects; some tools give JSONL this name as well."""
    with _open(path) as file:
        is_array = file.read(64).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")
    if not is_array:
        yield from _jsonl(path)
        return
    with _open(path) as file:
        rows = _parsed(file.read())
    if isinstance(rows, DataError):
        raise DataError(f"{path.name}: {rows}")
    yield from enumerate(rows, start=1)


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    # Whoever reads JSONL alone never pays for pyarrow.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path.name}: is no whole Parquet file") from error
    with file:
        yield from _rows(file.iter_batches(batch_size=_BATCH))


def _arrow(path: Path) -> Iterator[tuple[int, Any]]:
    """The stream format that datasets writes, or the file format."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        try:
            reader = pa.ipc.open_stream(file)
        except pa.ArrowInvalid:
            reader = _arrow_file(path, file)
        yield from _rows(reader)


def _arrow_file(path: Path, file: Any) -> Iterator[Any]:
    import pyarrow as pa

    try:
        reader = pa.ipc.open_file(file)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path.name}: is no whole Arrow file") from error
    return (reader.get_batch(number) for number in range(reader.num_record_batches))


def _rows(batches: Any) -> Iterator[tuple[int, Any]]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH):
            for values in batch.slice(start, _BATCH).to_pylist():
                number += 1
                yield number, values


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, Any]]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
    ".arrow": _arrow,
}
