"""Each format turns a file into rows, or into problems with the number of the row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from annotation.answers import AnswerValue
from annotation.importers import FORMATS, get_format
from annotation.importers.rows import Meter, Problem, Row
from core.errors import PrefloopError


def read(tmp_path: Path, name: str, *lines: object) -> list[Row | Problem]:
    path = tmp_path / "file.jsonl"
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(texts))
    return list(get_format(name).read(path, "mine", Meter()))


def row(found: list[Row | Problem]) -> Row:
    (one,) = found
    assert isinstance(one, Row), one
    return one


def problem(found: list[Row | Problem]) -> Problem:
    (one,) = found
    assert isinstance(one, Problem), one
    return one


TWO = [{"generator": "a", "text": "Yes."}, {"generator": "b", "text": "No."}]
OWN = {"prompt": "Why?", "responses": TWO}


def test_own_rows_have_all_that_was_given(tmp_path: Path) -> None:
    given = {
        **OWN,
        "external_id": "x1",
        "prompt_id": 7,
        "tags": {"topic": "why"},
        "judgments": [
            {"annotator": "w1", "winner": 1, "comment": " Short. ", "reasons": ["clear"]},
            {"annotator": "w1", "criterion": "truth", "strength": -3},
            {"judge": "GPT", "family": "G", "winner": "tie", "both_bad": True},
        ],
        "gold": {"winner": 0},
    }
    one = row(read(tmp_path, "jsonl", given))
    assert one.prompt == [{"role": "user", "content": "Why?"}]
    assert (one.kind, one.external_id, one.prompt_id) == ("pairwise", "x1", "7")
    worker, judge = one.judgments
    assert worker.who.source == "import:mine"
    assert worker.answers == {"": AnswerValue(strength=-2), "truth": AnswerValue(strength=-3)}
    assert (worker.comment, worker.reasons) == ("Short.", ("clear",))
    assert judge.who.is_judge
    assert judge.answers[""] == AnswerValue(strength=0, both_bad=True)
    assert one.gold == {"": AnswerValue(strength=2)}


@pytest.mark.parametrize(
    ("count", "kind"), [(0, None), (1, "thumbs"), (2, "pairwise"), (3, "listwise")]
)
def test_the_kind_follows_from_the_number_of_responses(tmp_path: Path, count, kind) -> None:
    responses = [{"generator": f"g{i}", "text": str(i)} for i in range(count)]
    assert row(read(tmp_path, "jsonl", {"prompt": "Why?", "responses": responses})).kind == kind


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "a\0b"}, "prompt[0].content"),
        ({"prompt": "\ud800"}, "prompt[0].content"),
        ({"prompt": [{"role": "user", "content": ["parts"]}]}, "prompt[0].content"),
        ({"promt": "Why?"}, "promt"),
        ({"kind": "sideways"}, "kind"),
        ({"responses": "Yes."}, "responses"),
        ({"responses": ["Yes."]}, "responses[0]"),
        ({"responses": [{"text": "Yes."}]}, "responses[0].generator"),
        ({"responses": [{"generator": "a"}]}, "responses[0]"),
        ({"responses": [{"generator": "a\nb", "text": ""}]}, "responses[0].generator"),
        ({"responses": [{"generator": "a", "text": 5}]}, "responses[0].text"),
        ({"tags": {"a": {"b": {"c": {"d": {"e": {}}}}}}}, "tags.a.b.c.d.e"),
        ({"tags": {"a": "\0"}}, "tags.a"),
        ({"external_id": "x" * 201}, "external_id"),
        ({"judgments": [{"winner": 0}]}, "judgments[0]"),
        ({"judgments": [{"annotator": "w"}]}, "judgments[0]"),
        ({"judgments": [{"annotator": "w", "winner": 2}]}, "judgments[0].winner"),
        ({"judgments": [{"annotator": "w", "winner": True}]}, "judgments[0].winner"),
        ({"judgments": [{"annotator": "w", "strength": 1.5}]}, "judgments[0].strength"),
        ({"judgments": [{"annotator": "w", "winner": 0, "score": 1}]}, "judgments[0].score"),
        ({"judgments": [{"annotator": "w", "winner": 0}] * 2}, "judgments[1]"),
        ({"gold": [{"thumb": 1}]}, "gold[0]"),
    ],
)
def test_a_bad_field_is_named(tmp_path: Path, change, field: str) -> None:
    found = problem(read(tmp_path, "jsonl", {**OWN, **change}))
    assert (found.row, found.field) == (1, field)
    assert found.reason


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "not JSON"),
        (b'{"prompt": NaN}', "NaN"),
        (b'{"prompt": "a", "prompt": "b"}', "twice"),
        (b'["prompt"]', "object"),
        (b'{"prompt": "\xff"}', "UTF-8"),
        (b'{"tags": ' + b"[" * 5000 + b"]" * 5000 + b"}", "deeply"),
        (b'{"tags": ' + b"9" * 5000 + b"}", "number"),
        (b'{"prompt": "' + b"a" * 1_100_000 + b'"}', "longer"),
    ],
)
def test_a_line_that_cannot_be_read_does_not_stop_the_next(tmp_path: Path, line, words) -> None:
    bad, good = read(tmp_path, "jsonl", line, OWN)
    assert isinstance(bad, Problem)
    assert words in bad.reason
    assert bad.row == 1
    assert isinstance(good, Row)
    assert good.number == 2


def test_an_infinite_tag_is_refused(tmp_path: Path) -> None:
    line = b'{"prompt": "Why?", "tags": {"size": 1e999}}'
    assert problem(read(tmp_path, "jsonl", line)).field == "tags.size"


def test_a_byte_order_mark_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    first = b"\xef\xbb\xbf" + json.dumps(OWN).encode() + b"\r"
    assert [one.number for one in read(tmp_path, "jsonl", first, b"", b"  ", OWN)] == [1, 4]


def conversation(*turns: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "Why?", "chosen": "Because.", "rejected": "No."},
        {
            "prompt": conversation("Why?"),
            "chosen": conversation("", "Because.")[1:],
            "rejected": conversation("", "No.")[1:],
        },
        {"chosen": conversation("Why?", "Because."), "rejected": conversation("Why?", "No.")},
        {
            "prompt": "Why?",
            "chosen": conversation("Why?", "Because."),
            "rejected": conversation("Why?", "No."),
            "score": 3,
        },
        {
            "chosen": "\n\nHuman: Why?\n\nAssistant: Because.",
            "rejected": "\n\nHuman: Why?\n\nAssistant: No.",
        },
    ],
)
def test_every_shape_of_a_pair_is_the_same_pair(tmp_path: Path, given) -> None:
    one = row(read(tmp_path, "pairs", given))
    assert one.prompt == conversation("Why?")
    assert [answer.messages[0]["content"] for answer in one.responses] == ["Because.", "No."]
    assert [answer.generator for answer in one.responses] == ["mine", "mine"]
    (judgment,) = one.judgments
    assert judgment.who.source == "import:mine"
    assert judgment.answers == {"": AnswerValue(strength=2)}


def test_a_pair_may_name_its_models_and_go_over_several_turns(tmp_path: Path) -> None:
    shared = ["Hi", "Hello!", "Why?"]
    given = {
        "chosen": conversation(*shared, "Because."),
        "rejected": conversation(*shared, "No."),
        "chosen_model": "big",
        "rejected_model": "small",
        "id": 12,
    }
    one = row(read(tmp_path, "pairs", given))
    assert one.prompt == conversation(*shared)
    assert [answer.generator for answer in one.responses] == ["big", "small"]
    assert one.external_id == "12"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"prompt": "Why?", "chosen": "Because."}, "rejected"),
        ({"chosen": "Because.", "rejected": "No."}, "prompt"),
        ({"chosen": conversation("A?", "x"), "rejected": conversation("B?", "y")}, "prompt"),
        ({"prompt": "Why?", "chosen": conversation("Else?"), "rejected": "No."}, "chosen[0].role"),
        ({"prompt": "Why?", "chosen": 1, "rejected": "No."}, "chosen"),
    ],
)
def test_what_is_no_pair_is_told(tmp_path: Path, given, field: str) -> None:
    assert problem(read(tmp_path, "pairs", given)).field == field


def test_an_unknown_format_and_a_missing_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(PrefloopError, match="llmfao"):
        get_format("xml")
    for name in ("llmfao", "pandalm", "squality", "hhh_alignment"):
        with pytest.raises(PrefloopError, match="needs the file"):
            list(FORMATS[name].read(tmp_path, name, Meter()))


def test_votes_for_another_pair_are_not_credited(tmp_path: Path) -> None:
    """The votes' file names prompt and models; a pair whose id alone agrees gets none of them."""
    pair = {
        "id": 0, "prompt": 8, "text": "Why?", "type": "t", "slug": "s",
        "model_x": 1, "result_x": "a", "model_y": 2, "result_y": "b",
    }  # fmt: skip
    (tmp_path / "pairs-crowd.jsonl").write_text(json.dumps(pair))
    (tmp_path / "models.jsonl").write_text(
        "\n".join(json.dumps({"id": i, "name": f"m{i}", "org": None}) for i in (1, 2, 3))
    )
    head = "id,prompt,model_x,model_y,worker,winner,left,right\n"
    (tmp_path / "crowd-comparisons.csv").write_text(head + "0,8,1,3,5,left,m1,m3\n")
    for name in ("gpt3-crowd-comparisons.csv", "gpt4-crowd-comparisons.csv"):
        (tmp_path / name).write_text(head)
    found = problem(list(FORMATS["llmfao"].read(tmp_path, "llmfao", Meter())))
    assert (found.row, found.field) == (1, "id")


def test_the_examples_of_the_documentation_are_rows(tmp_path: Path) -> None:
    page = (Path(settings.BASE_DIR) / "docs" / "import.md").read_text()
    own, pairs = (block.split("```")[0] for block in page.split("```json\n")[1:])
    one = row(read(tmp_path, "jsonl", json.loads(own)))
    assert (len(one.responses), len(one.judgments), len(one.gold)) == (2, 3, 1)
    found = read(tmp_path, "pairs", *(json.loads(line) for line in pairs.splitlines()))
    prompts = {str(pair.prompt) for pair in found if isinstance(pair, Row)}
    assert (len(found), len(prompts)) == (4, 1)


def test_the_documentation_names_every_format() -> None:
    page = (Path(settings.BASE_DIR) / "docs" / "import.md").read_text()
    for name, chosen in FORMATS.items():
        assert f"`{name}`" in page or f"--format {name}`" in page
        assert all(f"`{file}`" in page for file in chosen.files)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
KEYS = {
    "jsonl": ["prompt", "responses", "kind", "judgments", "gold", "tags", "source"],
    "pairs": ["prompt", "chosen", "rejected", "chosen_model", "id"],
    "squality": ["passage-id", "questions"],
    "pandalm": ["idx", "cmp_key", "instruction", "input", "response1", "response2"]
    + [f"annotator{i}" for i in (1, 2, 3)],
    "hhh_alignment": ["source", "chosen_instruction", "rejected_instruction"],
}


@pytest.mark.parametrize("name", KEYS)
@given(data=st.data())
@hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_content_breaks_a_reader(tmp_path: Path, name: str, data: st.DataObject) -> None:
    drawn = data.draw(st.fixed_dictionaries(dict.fromkeys(KEYS[name], ANYTHING)))
    chosen = FORMATS[name]
    one = json.dumps(drawn)
    path = tmp_path / "file"
    path.write_text(f"[{one}]" if name in ("pandalm", "hhh_alignment") else one)
    found = list(chosen.read(path, "mine", Meter()))
    assert all(isinstance(row, Row | Problem) for row in found)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("crowd-comparisons.csv", "id,prompt\n1,2\n", "line 2 is not a vote"),
        ("crowd-comparisons.csv", 'id,prompt\n"1\n', "is not CSV"),
        ("models.jsonl", '{"id": "x"}\n', "an id and a name"),
    ],
)
def test_a_broken_file_of_a_set_is_named(
    tmp_path: Path, file: str, content: str, words: str
) -> None:
    head = "id,prompt,model_x,model_y,worker,winner\n"
    for name in FORMATS["llmfao"].files:
        (tmp_path / name).write_text("" if name.endswith("jsonl") else head)
    (tmp_path / file).write_text(content)
    with pytest.raises(PrefloopError, match=words):
        list(FORMATS["llmfao"].read(tmp_path, "llmfao", Meter()))
