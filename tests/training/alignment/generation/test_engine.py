import itertools

import numpy as np
import pytest
import torch

from tests.training.alignment import tiny
from training.alignment.batches import collate
from training.alignment.generation import Engine, Request
from training.alignment.generation.cache import Prefix, SlotCache
from training.alignment.generation.choices import Choices
from training.alignment.log_probs import CompletionScorer
from training.alignment.tokenization import TokenSequence, encode_prompt, end_tokens

TOKENIZER = tiny.byte_tokenizer()
PROMPTS = [
    encode_prompt(text, TOKENIZER) for text in ("a", "what is this?", "z" * 70, "bb", "ten words")
]


@pytest.fixture(scope="module")
def model():
    return tiny.llama()


def engine(model, rows=4):
    return Engine(model, end_tokens(TOKENIZER), rows=rows)


def test_log_probs_are_the_plain_scorers(model):
    requests = [Request(prompt, range(3), 40 + 10 * n) for n, prompt in enumerate(PROMPTS)]
    groups = engine(model).run(requests)
    for request, answers in zip(requests, groups, strict=True):
        for answer in answers:
            sequence = TokenSequence(request.prompt, answer.tokens)
            scored = CompletionScorer(model)(*collate([sequence], torch.device("cpu")))
            np.testing.assert_allclose(answer.log_probs, scored.detach().numpy(), atol=1e-4)
            np.testing.assert_allclose(answer.log_probs, answer.raw_log_probs, atol=1e-6)


def test_log_probs_are_those_of_the_sampling_temperature(model):
    (answers,) = engine(model).run([Request(PROMPTS[0], [1], 12, temperature=0.6)])
    ids = torch.tensor([[*PROMPTS[0], *answers[0].tokens]])
    logits = model(ids).logits[0, len(PROMPTS[0]) - 1 : -1].detach()
    places = torch.arange(len(answers[0].tokens))
    tokens = torch.from_numpy(answers[0].tokens.astype(np.int64))
    tempered = (logits / 0.6).log_softmax(1)[places, tokens]
    np.testing.assert_allclose(answers[0].log_probs, tempered.numpy(), atol=1e-4)
    raw = logits.log_softmax(1)[places, tokens]
    np.testing.assert_allclose(answers[0].raw_log_probs, raw.numpy(), atol=1e-4)


@pytest.mark.parametrize("rows", [1, 3, 32])
def test_answers_are_the_same_whatever_shares_the_batch(model, rows):
    requests = [Request(prompt, range(2), 10 + 7 * n) for n, prompt in enumerate(PROMPTS)]
    together = engine(model, rows).run(requests)
    for request, answers in zip(requests, together, strict=True):
        (alone,) = engine(model, 1).run([request])
        assert [list(a.tokens) for a in answers] == [list(a.tokens) for a in alone]


def test_a_long_answer_does_not_hold_up_the_others(model):
    running = engine(model, rows=2)
    running.submit(Request(PROMPTS[0], [1], 100))
    for number in range(8):
        running.submit(Request(PROMPTS[1], [number], 5))
    order = list(itertools.chain.from_iterable(running.step() for _ in range(120)))
    assert [len(item.answer.tokens) for item in order] == [5] * 8 + [100]


def test_a_prompt_is_read_once_for_all_its_samples(model):
    read = []
    hook = model.model.register_forward_pre_hook(
        lambda _module, _args, kwargs: read.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    try:
        running = engine(model, rows=3)
        read.clear()
        running.run([Request(PROMPTS[2], range(7), 4)])
    finally:
        hook.remove()
    assert [shape for shape in read if shape[1] > 1] == [(1, len(PROMPTS[2]))]


def test_short_prompts_are_not_padded_to_a_long_one(model):
    read = []
    hook = model.model.register_forward_pre_hook(
        lambda _module, _args, kwargs: read.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    try:
        running = engine(model, rows=8)
        read.clear()
        running.run([Request(prompt, [1], 2) for prompt in PROMPTS])
    finally:
        hook.remove()
    lengths = sorted(len(prompt) for prompt in PROMPTS)
    assert [shape for shape in read if shape[1] > 1] == [(4, lengths[3]), (1, lengths[4])]


def test_requests_may_come_while_others_run(model):
    running = engine(model)
    late, early = Request(PROMPTS[1], [5], 6), Request(PROMPTS[0], [4], 12)
    running.submit(early)
    running.step()
    running.submit(late)
    finished = list(itertools.chain.from_iterable(running.step() for _ in range(15)))
    assert [item.request for item in finished] == [late, early]
    assert not running.busy
    (expected,) = engine(model).run([late])
    assert list(finished[0].answer.tokens) == list(expected[0].tokens)


def test_a_cancelled_request_leaves_the_batch(model):
    running = engine(model, rows=2)
    gone, kept = Request(PROMPTS[0], range(4), 50), Request(PROMPTS[1], [1], 20)
    running.submit(gone)
    running.submit(kept)
    running.step()
    running.cancel(gone)
    finished = list(itertools.chain.from_iterable(running.step() for _ in range(21)))
    assert [item.request for item in finished] == [kept]
    (expected,) = engine(model).run([kept])
    assert list(finished[0].answer.tokens) == list(expected[0].tokens)


def test_an_answer_is_one_of_the_choices(model):
    texts = ["yes", "no", "not sure"]
    written = [TOKENIZER(text, add_special_tokens=False)["input_ids"] for text in texts]
    choices = Choices(written, TOKENIZER.eos_token_id)
    (answers,) = engine(model).run([Request(PROMPTS[1], range(40), 20, choices=choices)])
    said = [TOKENIZER.decode(a.tokens, skip_special_tokens=True) for a in answers]
    assert set(said) == set(texts)
    assert {a.finish_reason for a in answers} == {"stop"}
    # "no" begins "not sure": it is closed by the end token, which "yes" does not need.
    assert {a.tokens[-1] for a, text in zip(answers, said, strict=True) if text == "no"} == {
        TOKENIZER.eos_token_id
    }


def test_the_likeliest_tokens_are_reported(model):
    (answers,) = engine(model).run([Request(PROMPTS[0], [1], 3, top_log_probs=4)])
    logits = model(torch.tensor([[*PROMPTS[0]]])).logits[0, -1].detach().log_softmax(0)
    values, tokens = logits.topk(4)
    assert [token for token, _ in answers[0].top[0]] == tokens.tolist()
    np.testing.assert_allclose([p for _, p in answers[0].top[0]], values.numpy(), atol=1e-4)


def test_an_answer_stops_where_the_caller_says(model):
    request = Request(PROMPTS[0], [1], 30, stops=lambda tokens: len(tokens) == 4)
    (answers,) = engine(model).run([request])
    assert (len(answers[0].tokens), answers[0].finish_reason) == (4, "stop")


def test_a_cache_that_cannot_grow_stays_as_it_was():
    tensor = torch.ones(1, 5, 2)
    cache = SlotCache(1)
    cache.admit(Prefix([tensor], [tensor], torch.zeros(3)))
    before = (cache.capacity, cache.keys[0].shape, cache.mask.shape)
    with pytest.raises(RuntimeError):
        cache._reserve(2**55)
    assert (cache.capacity, cache.keys[0].shape, cache.mask.shape) == before
    positions, mask = cache.begin_step()
    assert (positions.tolist(), mask.shape[-1]) == ([[5]], 6)


def test_no_choice_and_an_empty_choice_are_refused():
    with pytest.raises(ValueError, match="at least one token"):
        Choices([], 0)
    with pytest.raises(ValueError, match="at least one token"):
        Choices([[1], []], 0)
