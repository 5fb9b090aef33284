import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.alignment import tiny
from training.alignment.options import OptionError
from training.alignment.sample import SampleConfig, sample


@pytest.fixture
def make_sample(tmp_path, model_folder):
    lines = [{"prompt_id": f"p{number}", "messages": tiny.user(str(number))} for number in range(5)]
    prompts = tiny.write_lines(tmp_path / "prompts.jsonl", lines)

    def make(**changes):
        values = {
            "model": str(model_folder),
            "prompts_file": str(prompts),
            "output_file": str(tmp_path / "responses.jsonl"),
            "max_new_tokens": 4,
            "per_prompt": 2,
            "batch_size": 3,
            "device": "cpu",
            "dtype": "float32",
        }
        path = tmp_path / "sample.json"
        path.write_text(json.dumps({**values, **changes}))
        return path

    return make


def by_seed(line):
    return line["seed"]


def read(path):
    output = Path(json.loads(path.read_text())["output_file"])
    return [json.loads(line) for line in output.read_text("utf-8").splitlines()]


def test_every_prompt_gets_its_responses_and_progress_is_told(make_sample, capsys):
    path = make_sample()
    sample(SampleConfig.load(path))
    lines = read(path)
    assert sorted(line["prompt_id"] for line in lines) == sorted([f"p{n}" for n in range(5)] * 2)
    for line in lines:
        assert set(line) == {"prompt_id", "messages", "seed", "tokens", "finish_reason"}
        assert line["messages"][0]["role"] == "assistant"
        assert 1 <= line["tokens"] <= 4
    assert len({line["seed"] for line in lines}) == 10
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["done"] for line in told] == [0, 3, 6, 9, 10]
    assert {line["total"] for line in told} == {10}


def test_a_broken_off_job_goes_on_with_the_same_responses(make_sample, tmp_path):
    path = make_sample()
    sample(SampleConfig.load(path))
    whole = read(path)
    output = tmp_path / "responses.jsonl"
    content = output.read_bytes().splitlines(keepends=True)
    output.write_bytes(b"".join(content[:4]) + content[4][:20])
    sample(SampleConfig.load(path))
    assert sorted(read(path), key=by_seed) == sorted(whole, key=by_seed)


def test_line_separators_inside_a_response_do_not_break_a_job_that_goes_on(make_sample, tmp_path):
    path = make_sample()
    sample(SampleConfig.load(path))
    output = tmp_path / "responses.jsonl"
    lines = [json.loads(line) for line in output.read_bytes().splitlines()]
    lines[0]["messages"][0]["content"] = "one\u2028two\x85three"
    kept = [json.dumps(line, ensure_ascii=False) + "\n" for line in lines[:4]]
    output.write_text("".join(kept), "utf-8")
    sample(SampleConfig.load(path))
    seeds = [json.loads(line)["seed"] for line in output.read_bytes().splitlines()]
    assert sorted(seeds) == sorted(line["seed"] for line in lines)


def test_no_room_for_a_prompt_is_an_error_and_no_answer_to_nothing(make_sample, tmp_path):
    with pytest.raises(OptionError, match="256 leaves no room for a prompt"):
        sample(SampleConfig.load(make_sample(max_new_tokens=256)))
    assert (tmp_path / "responses.jsonl").read_text() == ""


def test_a_long_prompt_keeps_its_end(make_sample, tmp_path):
    long = [{"prompt_id": "long", "messages": tiny.user("x" * 500)}]
    path = make_sample(
        prompts_file=str(tiny.write_lines(tmp_path / "long.jsonl", long)), per_prompt=1
    )
    sample(SampleConfig.load(path))
    assert len(read(path)) == 1


@pytest.mark.parametrize(
    ("changes", "name"), [({"top": 1}, "top"), ({"top_p": 2.0}, "top_p"), ({"seed": "x"}, "seed")]
)
def test_a_wrong_setting_is_named(make_sample, changes, name):
    with pytest.raises(OptionError) as caught:
        SampleConfig.load(make_sample(**changes))
    assert caught.value.name == name


def test_a_prompt_without_an_id_is_named(make_sample, tmp_path):
    bad = tiny.write_lines(tmp_path / "bad.jsonl", [{"messages": tiny.user("x")}])
    with pytest.raises(OptionError, match="row 1 needs prompt_id and messages"):
        sample(SampleConfig.load(make_sample(prompts_file=str(bad))))


@pytest.mark.parametrize(("line", "words"), [("{", "is not JSON"), ("[]", "needs prompt_id")])
def test_a_broken_line_of_the_prompts_is_named(make_sample, tmp_path, line, words):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt_id": "a", "messages": [{}]}\n' + line + "\n")
    with pytest.raises(OptionError, match=f"prompts_file: row 2 {words}"):
        sample(SampleConfig.load(make_sample(prompts_file=str(bad))))


def test_the_command_tells_an_error_in_one_sentence(make_sample, environment):
    path = make_sample(top_k=5)
    result = subprocess.run(
        [sys.executable, "-m", "training.alignment.sample", "--config", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert json.loads(result.stdout)["error"].startswith("top_k: unknown option")
