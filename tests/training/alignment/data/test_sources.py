"""Files and folders of every format that is read."""

import codecs
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.training.alignment.tiny import assistant, user, write_lines
from training.alignment.data import DataError, ReadOptions, read_data, read_rows

LINES = [
    {"prompt": user(f"{number}?"), "chosen": assistant("yes"), "rejected": assistant("no")}
    for number in range(3)
]


def as_read(path):
    rows = read_rows(path, "pairs")
    return [{"prompt": row.prompt, **row.completions} for row in rows]


def save_arrow(folder, lines, *, shards=2):
    """As `datasets.save_to_disk` does: shards in Arrow's stream format, named by state.json."""
    folder.mkdir()
    table = pa.Table.from_pylist(lines)
    names = [f"data-{number:05d}-of-{shards:05d}.arrow" for number in range(shards)]
    size = -(-len(lines) // shards)
    for number, name in enumerate(names):
        part = table.slice(number * size, size)
        with (
            pa.OSFile(str(folder / name), "wb") as file,
            pa.ipc.new_stream(file, part.schema) as to,
        ):
            to.write_table(part)
    state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_jsonl_and_its_compressed_form(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", LINES)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert as_read(path) == as_read(packed) == LINES


def test_a_json_array_and_json_that_is_lines(tmp_path):
    array, lines = tmp_path / "array.json", write_lines(tmp_path / "lines.json", LINES)
    array.write_text(json.dumps(LINES, indent=2))
    assert as_read(array) == as_read(lines) == LINES


@pytest.mark.parametrize("name", ["array.json", "lines.json", "lines.jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_rows(tmp_path, name):
    path = tmp_path / name
    lines = "\n".join(json.dumps(line) for line in LINES)
    text = json.dumps(LINES, indent=2) if name == "array.json" else lines
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    assert as_read(path) == LINES


def test_parquet_with_columns_that_a_row_leaves_null(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(
        pa.Table.from_pylist(
            [{"probability": None, **line} for line in LINES] + [{"probability": 0.7, **LINES[0]}]
        ),
        path,
    )
    assert as_read(path) == [*LINES, LINES[0]]
    assert [row.target for row in read_rows(path, "pairs")] == [1.0, 1.0, 1.0, 0.7]


def test_a_folder_of_datasets(tmp_path):
    assert as_read(save_arrow(tmp_path / "saved", LINES)) == LINES


def test_an_arrow_file_of_the_file_format(tmp_path):
    path, table = tmp_path / "rows.arrow", pa.Table.from_pylist(LINES)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    assert as_read(path) == LINES


def test_a_folder_of_splits_asks_for_one(tmp_path):
    save_arrow(tmp_path / "train", LINES)
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    with pytest.raises(DataError, match=r"several splits \(train, test\).*/train"):
        read_rows(tmp_path, "pairs")


@pytest.mark.parametrize(
    ("names", "splits", "example"),
    [
        (("train.jsonl", "test.jsonl"), "test, train", "train.jsonl"),
        (("held_out.jsonl", "train.jsonl", "more.jsonl"), "held_out, train", "train.jsonl"),
        (("dev-1.jsonl", "eval.jsonl.gz"), "dev, eval", "dev-1.jsonl"),
        (("train-0-of-2.parquet", "train-1-of-2.parquet", "validation-0-of-1.parquet"),
         "train, validation", "train-0-of-2.parquet"),
        (("Train_sft.jsonl", "val_sft.jsonl"), "train, val", "Train_sft.jsonl"),
    ],
)  # fmt: skip
def test_a_folder_with_files_of_several_splits_asks_for_one(tmp_path, names, splits, example):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    words = rf"several splits \({splits}\); name the file of one.*/{example}, or a folder"
    with pytest.raises(DataError, match=words):
        read_rows(tmp_path, "pairs")


def test_files_of_one_split_or_of_none_are_read_together(tmp_path):
    for name in ("train-1", "train-2", "trainer", "tests"):
        write_lines(tmp_path / f"{name}.jsonl", LINES)
    assert len(as_read(tmp_path)) == 4 * len(LINES)


def test_the_hubs_layout_keeps_the_rows_in_a_folder_of_their_own(tmp_path):
    (tmp_path / "data").mkdir()
    write_lines(tmp_path / "data" / "train-0.jsonl", LINES)
    (tmp_path / "dataset_infos.json").write_text("{}")
    (tmp_path / "README.md").write_text("About these rows.")
    assert as_read(tmp_path) == LINES
    write_lines(tmp_path / "data" / "test-0.jsonl", LINES)
    with pytest.raises(DataError, match=r"data: holds files of several splits \(test, train\)"):
        read_rows(tmp_path, "pairs")
    write_lines(tmp_path / "rows.jsonl", LINES[:1])
    assert as_read(tmp_path) == LINES[:1]


def test_a_folder_of_files_is_read_in_the_order_of_names(tmp_path):
    write_lines(tmp_path / "b.jsonl", LINES[2:])
    pq.write_table(pa.Table.from_pylist(LINES[:2]), tmp_path / "a.parquet")
    (tmp_path / "README.md").write_text("About these rows.")
    assert as_read(tmp_path) == LINES
    assert len({row.id for row in read_rows(tmp_path, "pairs")}) == 3


def test_a_bad_row_of_a_folder_is_named_with_its_file(tmp_path):
    write_lines(tmp_path / "a.jsonl", LINES)
    write_lines(tmp_path / "b.jsonl", [LINES[0], {**LINES[1], "chosen": []}])
    with pytest.raises(DataError, match=r"b\.jsonl, row 2: field 'chosen'"):
        read_rows(tmp_path, "pairs")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.parquet", b"PAR1", "no whole Parquet file"),
        ("rows.arrow", b"ARROW1", "no whole Arrow file"),
        ("rows.json", b"[{", "not JSON"),
        ("rows.jsonl", b'{"prompt": "\xff"}\n', r"row 1: not JSON \(not in UTF-8\)"),
        ("rows.csv", b"prompt,chosen\n", "row 1: not JSON"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*{message}"):
        read_rows(path, "pairs")


def test_a_missing_file_and_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        read_rows(tmp_path / "nowhere.jsonl", "pairs")
    with pytest.raises(DataError, match="is no folder that datasets saved"):
        read_rows(tmp_path, "pairs")


def test_what_stands_before_a_truncation_is_kept_where_bad_rows_may_be_left_out(tmp_path):
    path, lines = tmp_path / "rows.jsonl.gz", LINES * 2000
    whole = gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"rows\.jsonl\.gz, row \d+: .* the file is damaged"):
        read_rows(path, "pairs")
    rows, report = read_data(path, "pairs", ReadOptions(skip_bad=True))
    assert 100 < len(rows) < len(lines)
    assert (report.bad_rows, report.problems[0].row) == (1, len(rows) + 1)


def test_what_stands_before_a_damaged_page_is_kept_too(tmp_path):
    path = tmp_path / "rows.parquet"
    lines = [{"prompt": f"{n:08d}", "chosen": f"c{n}", "rejected": f"r{n}"} for n in range(4096)]
    pq.write_table(pa.Table.from_pylist(lines), path, row_group_size=2048, compression="gzip")
    content = bytearray(path.read_bytes())
    middle = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"rows\.parquet, row 2049: .* the file is damaged"):
        read_rows(path, "pairs")
    rows, report = read_data(path, "pairs", ReadOptions(skip_bad=True))
    assert (len(rows), report.bad_rows) == (2048, 1)


@pytest.mark.parametrize("name", ["state.json", "dataset_dict.json"])
@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"_data_files": [3], "splits": 3}'])
def test_a_folder_that_datasets_did_not_write(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=f"{name} is not what datasets writes"):
        read_rows(tmp_path, "pairs")
