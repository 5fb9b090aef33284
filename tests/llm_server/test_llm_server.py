"""The scripted server, asked by the real openai client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
import urllib.request
from collections import Counter
from email.utils import parsedate_to_datetime

import openai
import pytest

from tests.llm_server import start_llm_server
from tests.llm_server.labels import choose, fill, written
from tests.llm_server.script import check_rates

SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "verdict": {"enum": ["A", "B", "tie"]}},
    "required": ["reason", "verdict"],
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": SCHEMA}}


def question(*answers, about="Which is better?"):
    shown = "\n".join(
        f"<<<BEGIN response {letter} 4f3c>>>\n{json.dumps(text)}\n<<<END response {letter} 4f3c>>>"
        for letter, text in zip("ABCD", answers, strict=False)
    )
    return [
        {"role": "system", "content": "Judge."},
        {"role": "user", "content": f"{shown}\n{about}"},
    ]


def client(server, **options):
    values = {"api_key": server.key or "none", "max_retries": 0, "timeout": 20.0, **options}
    return openai.OpenAI(base_url=server.base_url, **values)


def ask(server, *answers, about="Which is better?", **options):
    values = {"model": "scripted", "messages": question(*answers, about=about), **options}
    with client(server) as asking:
        return asking.chat.completions.create(**values)


def verdict(reply):
    return json.loads(reply.choices[0].message.content)["verdict"]


def test_models_are_listed_for_the_bearer_of_the_key(llm_server):
    server = llm_server("--model", "one", "--model", "two", key="sesame")
    with client(server) as asking:
        assert [model.id for model in asking.models.list()] == ["one", "two"]
    with client(server, api_key="guessed") as asking, pytest.raises(openai.AuthenticationError):
        asking.models.list()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("first", "AA"), ("second", "BB"), ("longer", "BA"), ("shorter", "AB"), ("tie", "tietie")],
)
def test_verdicts_follow_the_rule_in_both_orders(llm_server, rule, expected):
    server = llm_server("--verdict", rule)
    short, long = "Yes.", "Yes, because the other one says so at great length." * 9
    replies = [
        ask(server, *pair, response_format=FORMAT) for pair in ((short, long), (long, short))
    ]
    assert "".join(map(verdict, replies)) == expected


def test_the_hash_rule_likes_the_same_answer_wherever_it_stands(llm_server):
    server = llm_server()
    turned = {"A": "B", "B": "A", "tie": "tie"}
    seen = Counter()
    for number in range(20):
        pair = (f"answer {number}", f"other {number}")
        one = verdict(ask(server, *pair, response_format=FORMAT))
        assert verdict(ask(server, *pair[::-1], response_format=FORMAT)) == turned[one]
        seen[one] += 1
    assert min(seen["A"], seen["B"]) >= 3


def test_a_place_can_be_liked_instead(llm_server):
    server = llm_server("--position-bias", "0.9")
    replies = [ask(server, f"a {n}", f"b {n}", response_format=FORMAT) for n in range(40)]
    assert 32 <= sum(verdict(reply) == "A" for reply in replies) < 40


def test_log_probabilities_of_the_labels_follow_the_scores(llm_server):
    server = llm_server("--verdict", "longer")
    reply = ask(
        server, "short", "long " * 90, logprobs=True, top_logprobs=5, max_tokens=1,
        extra_body={"guided_choice": ["A", "B"]},
    )  # fmt: skip
    [entry] = reply.choices[0].logprobs.content
    top = {one.token: math.exp(one.logprob) for one in entry.top_logprobs}
    assert entry.token == "B" == reply.choices[0].message.content
    assert len(top) == 5
    assert top["B"] > 5 * top["A"] > 0
    assert sum(top.values()) < 1


def test_samples_at_a_temperature_differ_and_hang_on_the_seed(llm_server):
    server = llm_server("--verdict", "longer")
    pair = ("a fair answer " * 12, "a fair answer, and a bit " * 9)

    def sampled(seed):
        options = {"n": 32, "temperature": 1.0, "seed": seed, "response_format": FORMAT}
        reply = ask(server, *pair, **options)
        return [json.loads(choice.message.content)["verdict"] for choice in reply.choices]

    assert set(sampled(1)) == {"A", "B"}
    assert sampled(1) == sampled(1) != sampled(2)


def test_usage_and_lengths_are_told(llm_server):
    server = llm_server()
    reply = ask(server, "a", "b", response_format=FORMAT, max_tokens=4)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 4
    assert reply.usage.prompt_tokens > 10
    stats = server.stats()
    assert stats["prompt_tokens"] == reply.usage.prompt_tokens
    assert stats["cpu_seconds"] > 0


def test_what_it_lacks_it_refuses_or_ignores_as_told(llm_server):
    refusing = llm_server("--refuse", "json_schema")
    with pytest.raises(openai.BadRequestError, match="json_schema"):
        ask(refusing, "a", "b", response_format=FORMAT)
    ignoring = llm_server("--ignore", "logprobs", "--ignore", "n")
    reply = ask(ignoring, "a", "b", logprobs=True, n=3)
    assert reply.choices[0].logprobs is None
    assert len(reply.choices) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("400", openai.BadRequestError),
        ("dropped", openai.APIConnectionError),
        ("redirect", openai.APIConnectionError),
        ("malformed", (json.JSONDecodeError, openai.APIResponseValidationError)),
    ],
)
def test_faults_come_as_they_are_named(llm_server, fault, error):
    server = llm_server("--redirect-to", "http://127.0.0.1:1/", rates={fault: 1.0})
    with pytest.raises(error):
        ask(server, "a", "b")
    assert server.stats()["faults"] == {fault: 1}
    assert server.stats()["answered"] == 0


def test_it_may_never_answer(llm_server):
    server = llm_server(rates={"timeout": 1.0})
    with client(server, timeout=0.3) as asking, pytest.raises(openai.APITimeoutError):
        asking.chat.completions.create(model="scripted", messages=question("a", "b"))


def test_a_slow_answer_is_whole_in_the_end(llm_server):
    server = llm_server("--slow-ms", "300", rates={"slow": 1.0})
    begun = time.perf_counter()
    assert verdict(ask(server, "a", "b", response_format=FORMAT)) in "AB"
    assert time.perf_counter() - begun > 0.2


@pytest.mark.parametrize(
    ("fault", "told"),
    [("wrong_schema", "weather"), ("injected", "<script>"), ("cut", '{"reason'), ("refusal", "")],
)
def test_answers_can_be_spoiled(llm_server, fault, told):
    server = llm_server(rates={fault: 1.0})
    message = ask(server, "a", "b", response_format=FORMAT).choices[0].message
    assert told in (message.content or "")
    assert bool(message.refusal) == (fault == "refusal")


def test_a_limit_says_when_to_come_back_in_both_forms(llm_server):
    server = llm_server("--retry-after", "2", rates={"429": 1.0})
    told = []
    for number in range(2):
        with pytest.raises(openai.RateLimitError) as raised:
            ask(server, "a", str(number))
        told.append(raised.value.response.headers["retry-after"])
    [seconds] = [value for value in told if value.isdigit()]
    [date] = [value for value in told if not value.isdigit()]
    assert seconds == "2"
    assert 0 < parsedate_to_datetime(date).timestamp() - time.time() <= 3


def test_rates_are_kept_and_a_retry_may_succeed(llm_server):
    server = llm_server(rates={"500": 0.1, "429": 0.1})
    failed = []
    for number in range(100):
        try:
            ask(server, "a", str(number))
        except openai.APIStatusError:
            failed.append(number)
    assert 8 <= len(failed) <= 35
    stats = server.stats()
    assert sum(stats["faults"].values()) == len(failed)
    assert (stats["answered"], stats["answered_again"]) == (100 - len(failed), 0)
    retried = sum(_succeeds(server, number) for number in failed)
    assert retried > len(failed) / 3
    assert server.stats()["asked_again"] == len(failed)


def _succeeds(server, number):
    try:
        return bool(ask(server, "a", str(number)))
    except openai.APIStatusError:
        return False


def test_the_script_can_change_and_the_calls_be_seen(llm_server):
    server = llm_server(key="sesame")
    ask(server, "a", "b")
    server.change(rates={"503": 1.0})
    with pytest.raises(openai.InternalServerError):
        ask(server, "a", "b")
    first, second = server.seen()
    assert first["key"] == "Bearer sesame"
    assert first["body"] == second["body"]
    assert first["host"] == server.url.removeprefix("http://")


def test_the_same_question_answered_twice_is_told(llm_server):
    server = llm_server()
    for _ in range(2):
        ask(server, "a", "b")
    ask(server, "a", "b", seed=2)
    stats = server.stats()
    assert (stats["questions"], stats["answered"], stats["answered_again"]) == (2, 3, 1)


@pytest.mark.parametrize(
    ("fault", "bills"),
    [("malformed", 1), ("dropped", 1), ("timeout", 1), ("slow", 1), ("429", 0), ("500", 0)],
)
def test_what_is_not_turned_away_may_be_billed(llm_server, fault, bills):
    server = llm_server("--slow-ms", "10", rates={fault: 1.0})
    with (
        contextlib.suppress(openai.APIError, json.JSONDecodeError),
        client(server, timeout=0.5 if fault == "timeout" else 20) as asking,
    ):
        asking.chat.completions.create(model="scripted", messages=question("a", "b"))
    assert server.billed() == ({"4f3c": 1} if bills else {})


def test_a_canned_answer_takes_its_time_and_many_come_at_once(llm_server):
    server = llm_server("--canned", "--sleep-ms", "50")

    async def many():
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="-") as asking:
            calls = [
                asking.chat.completions.create(model="scripted", messages=question("a", str(n)))
                for n in range(50)
            ]
            return await asyncio.gather(*calls)

    first = ask(server, "a", "b")
    replies = asyncio.run(many())
    assert {reply.id for reply in replies} == {first.id}
    assert server.stats()["calls"] == 51


def test_broken_calls_are_answered_with_words(llm_server):
    server = llm_server()
    for body, status in ((b"no json", 400), (b"[]", 400), (b"{}", 400)):
        url = f"{server.base_url}/chat/completions"
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(url, body, timeout=20)  # noqa: S310
        assert raised.value.code == status
    with pytest.raises(openai.NotFoundError):
        ask(server, "a", "b", model="another")


@pytest.mark.parametrize("rates", [{"rain": 0.1}, {"429": 0.6, "500": 0.6}, {"200": 0.1}])
def test_rates_that_make_no_sense_are_refused(rates):
    with pytest.raises(ValueError, match=r"fault|rates"):
        check_rates(rates)


SCORE = {"type": "integer", "enum": [1, 2, 3, 4, 5]}
PLACES = {"type": "array", "items": {"type": "string", "enum": ["A", "B"]}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"enum": ["A>>B", "A>B", "A=B", "B>A", "B>>A"]}, "B>>A"),
        (SCORE, 1),
        ({"type": "object", "properties": {"A": SCORE, "B": SCORE}}, {"A": 1, "B": 5}),
        ({"type": "array", "items": PLACES}, [["B"], ["A"]]),
        ({"type": "integer", "minimum": 2, "maximum": 4}, 2),
        ({"anyOf": [{"type": "boolean"}]}, False),
    ],
)
def test_a_schema_is_filled_as_the_scores_say(schema, expected):
    assert fill(schema, [0.0, 1.0]) == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ('{"verdict": {"overall": "A"|"B"|"tie"}}', {"overall": "B"}),
        ('{"verdict": {"overall": {"A": 1|2|3, "B": 1|2|3}}}', {"overall": {"A": 1, "B": 3}}),
        ('{"reasoning": "…", "verdict": {"x": [["A"], ["B"]], "y": [["A"], ["B"]]}}',
         {"x": [["B"], ["A"]], "y": [["B"], ["A"]]}),
    ],
)  # fmt: skip
def test_a_form_in_words_is_filled_as_well(form, expected):
    text = f"Reply with one JSON object and nothing else, of this form:\n{form}\nA bar stands"
    assert json.loads(written(text, [0.0, 1.0]))["verdict"] == expected


def test_labels_in_words_are_chosen_from(llm_server):
    server = llm_server("--verdict", "longer")
    about = "Reply with A, B or C. Reply with nothing else: one of A, B, C."
    reply = ask(server, "short", "long " * 50, about=about, logprobs=True, top_logprobs=20)
    [entry] = reply.choices[0].logprobs.content
    top = {one.token: one.logprob for one in entry.top_logprobs}
    assert reply.choices[0].message.content == "B"
    assert top["B"] > top["A"] >= top["C"]


def test_one_answer_is_liked_or_not():
    assert [choose(["yes", "no"], [score]) for score in (0.9, 0.1)] == ["yes", "no"]


def test_a_server_ends_with_its_block():
    with start_llm_server() as server:
        assert server.process.poll() is None
    assert server.process.poll() is not None
