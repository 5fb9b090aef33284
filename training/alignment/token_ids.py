"""Texts into token ids, many at a time."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from training.alignment.data import DataError

Ids = list[int]
_END_OF_TURN = (
    "<|im_end|>",
    "<|eot_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|END_OF_TURN_TOKEN|>",
    "<turn|>",
)


def end_tokens(tokenizer: Any) -> frozenset[int]:
    """Ids that end a turn: EOS, and the usual end-of-turn token where the vocabulary has one.

    Raises DataError where the tokenizer has no EOS: nothing would tell the model to stop.
    """
    if tokenizer.eos_token_id is None:
        raise DataError(
            "the tokenizer names no end-of-sequence token (eos_token), so that a model could not "
            "learn to stop; set it in tokenizer_config.json"
        )
    vocabulary = tokenizer.get_added_vocab()
    ids = {vocabulary[name] for name in _END_OF_TURN if name in vocabulary}
    return frozenset(ids | {tokenizer.eos_token_id})


class Encoder:
    """A tokenizer's ids for whole batches of texts; the same text is never encoded twice."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.ends = end_tokens(tokenizer)
        self.bos: int | None = tokenizer.bos_token_id
        self.eos: int = tokenizer.eos_token_id

    def encode(self, texts: Sequence[str], *, special: bool) -> list[Ids]:
        """Ids of each text; `special` adds what the tokenizer puts around a text."""
        unique = list(dict.fromkeys(texts))
        if not unique:
            return []
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            found = self.tokenizer(unique, add_special_tokens=special)["input_ids"]
        else:
            # A tokenizer's file may ask for both; lengths are this library's own business.
            backend.no_truncation()
            backend.no_padding()
            encoded = backend.encode_batch_fast(unique, add_special_tokens=special)
            found = [item.ids for item in encoded]
        ids = dict(zip(unique, found, strict=True))
        return [ids[text] for text in texts]

    def following(self, before: Sequence[tuple[str, Ids]], texts: Sequence[str]) -> list[Ids]:
        """Ids of texts that follow others, of which text and ids are given.

        Encoded apart, so that the boundary never moves. Only where the tokenizer puts a space
        before whatever it is given, both are encoded together, and what is more is taken.
        """
        apart = self.encode(texts, special=False)
        if not self._prepends:
            return apart
        whole = self.encode([head + text for (head, _), text in zip(before, texts, strict=True)],
                            special=False)  # fmt: skip
        # What was encoded as a prompt may begin with a BOS that nothing put before the whole.
        heads, joints = [self._bare(ids) for _, ids in before], [self._bare(ids) for ids in whole]
        return [
            joint[len(ids) :] if joint[: len(ids)] == ids and len(joint) > len(ids) else alone
            for ids, joint, alone in zip(heads, joints, apart, strict=True)
        ]

    def _bare(self, ids: Ids) -> Ids:
        return ids[1:] if self.bos is not None and ids[:1] == [self.bos] else ids

    @cached_property
    def _prepends(self) -> bool:
        (ids,) = self.encode(["x"], special=False)
        return self.tokenizer.decode(ids) != "x" or str(
            self.tokenizer.convert_ids_to_tokens(ids)[0]
        ).startswith(("▁", "Ġ"))
