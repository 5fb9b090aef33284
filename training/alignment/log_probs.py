"""The one place that makes log-probabilities.

Only the positions that predict a completion token are projected onto the vocabulary, in chunks
(`training.alignment.projection`), so that a [b, t, v] tensor never exists. Sums and the softmax are
float32 whatever the model computes in.

Notation: b sequences, t padded positions, n completion tokens of the whole batch, h hidden
features, v vocabulary entries.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from training.alignment.attention import packed_inputs, use_packed_attention
from training.alignment.packing import Packing
from training.alignment.projection import ROWS_AT_ONCE, target_log_probs


class UnsupportedModelError(ValueError):
    """The model's logits are not the plain projection of its last hidden states."""


class CompletionScorer(nn.Module):
    """Scores completions under a causal language model; the module that training wraps.

    The model may be a plain transformers model or a PEFT one. Distributed wrappers go around this
    module, for its forward is the only one that is called.
    """

    def __init__(
        self,
        model: nn.Module,
        compute_dtype: torch.dtype = torch.float32,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.compute_dtype = compute_dtype
        self.temperature = temperature
        self.packs = use_packed_attention(_causal_model(model))

    def forward(
        self,
        input_ids: Tensor,
        completion_mask: Tensor,
        packing: Packing | None = None,
        temperature: float | None = None,
        first_choice: bool = False,
        entropies: bool = False,
    ) -> Tensor:
        """Log-probabilities of the completion tokens, float32, shape [n], row by row.

        Args:
            input_ids: [b, t], padded on the right. Padding needs no attention mask: a causal
                model never looks at what follows.
            completion_mask: [b, t] bool, true at completion tokens; never at position 0.
            packing: how the tokens are laid out when they are one packed row.
            temperature: divides the logits; the scorer's own when left out.
            first_choice: give 1 for each token that is the likeliest at its place and 0 for the
                others instead, without gradient.
            entropies: give [n, 2], beside each log-probability the entropy of the distribution
                that it is from, in nats.
        """
        base = _causal_model(self.model)
        device, low = input_ids.device, self.compute_dtype is not torch.float32
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
            hidden = hidden_states(base, input_ids, packing)
        rows = predictors(hidden, completion_mask, packing)
        head, targets = base.get_output_embeddings(), input_ids[completion_mask]
        if first_choice:
            return is_first_choice(rows, head, targets)
        divisor = self.temperature if temperature is None else temperature
        values = project(rows, head, targets, dtype=self.compute_dtype, temperature=divisor)
        if not entropies:
            return values
        return torch.stack([values, next_entropies(rows, head, temperature=divisor)], dim=1)


def hidden_states(base: Any, input_ids: Tensor, packing: Packing | None) -> Tensor:
    """Last hidden states [b, t, h] of a transformers model, for a packed row or a padded batch."""
    inputs = {"input_ids": input_ids, "use_cache": False}
    if packing is not None:
        inputs = packed_inputs(input_ids, packing)
    hidden: Tensor = base.base_model(**inputs).last_hidden_state
    return hidden


def predictors(hidden: Tensor, completion_mask: Tensor, packing: Packing | None) -> Tensor:
    """The states that predict the completion tokens: [b, t, h] to [n, h]."""
    if packing is None:
        return hidden[:, :-1][completion_mask[:, 1:]]
    return hidden[0][packing.predictors]


def sequence_log_probs(token_log_probs: Tensor, completion_mask: Tensor) -> Tensor:
    """Sum the tokens of each completion: [n] and [b, t] to [b]."""
    lengths = completion_mask.sum(dim=1)
    rows = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    sums = token_log_probs.new_zeros(len(lengths))
    return sums.index_add(0, rows, token_log_probs)


def project(
    hidden: Tensor,
    head: nn.Module,
    targets: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    temperature: float = 1.0,
) -> Tensor:
    """log softmax(head(hidden) / temperature) at the targets: [n, h] and [n] to float32 [n].

    A plain linear head takes the fast way; any other is called whole, chunk by chunk.
    """
    if type(head) is nn.Linear:
        return target_log_probs(
            hidden, head.weight, head.bias, targets, dtype=dtype, temperature=temperature
        )

    def chunk_log_probs(chunk: Tensor, chosen: Tensor) -> Tensor:
        with torch.autocast(chunk.device.type, enabled=False):
            logits: Tensor = head(chunk).float() / temperature
        return logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(dim=1)

    chunks = torch.split(hidden, ROWS_AT_ONCE), torch.split(targets, ROWS_AT_ONCE)
    parts = [_recomputed(chunk_log_probs, *part) for part in zip(*chunks, strict=True)]
    return torch.cat(parts)


def next_entropies(hidden: Tensor, head: nn.Module, *, temperature: float = 1.0) -> Tensor:
    """H = log Σ exp z - Σ p z of the logits z = head(hidden) / temperature: [n, h] to float32 [n].

    Chunk by chunk, and made again for the backward pass.
    """

    def entropy(chunk: Tensor) -> Tensor:
        with torch.autocast(chunk.device.type, enabled=False):
            logits = head(chunk.to(next(head.parameters()).dtype)).float() / temperature
        expected = (logits.softmax(dim=1) * logits).sum(dim=1)
        values: Tensor = logits.logsumexp(dim=1) - expected
        return values

    return torch.cat([_recomputed(entropy, chunk) for chunk in torch.split(hidden, ROWS_AT_ONCE)])


@torch.no_grad()
def is_first_choice(hidden: Tensor, head: nn.Module, targets: Tensor) -> Tensor:
    """Whether each target has the largest logit: [n, h] and [n] to float32 [n] of 0 and 1.

    Logits are float32 whatever the head is in: rounded ones tie, and the lowest id would win.
    """
    weights = {name: item.float() for name, item in head.named_parameters()}
    with torch.autocast(hidden.device.type, enabled=False):
        found = [
            functional_call(head, weights, chunk.float()).argmax(dim=1)
            for chunk in torch.split(hidden, ROWS_AT_ONCE)
        ]
    return (torch.cat(found) == targets).float()


@torch.no_grad()
def check_projection(model: nn.Module, device: torch.device) -> None:
    """Refuse a model that changes its logits after the projection (soft caps, scales).

    Scoring such a model from its hidden states would be silently wrong.
    """
    base = _causal_model(model)
    probe = torch.arange(1, 9, device=device)[None, :] % base.config.get_text_config().vocab_size
    mask = torch.ones_like(probe, dtype=torch.bool)
    mask[:, 0] = False
    logits = base(input_ids=probe, use_cache=False).logits[0, :-1].float()
    expected = logits.log_softmax(dim=1).gather(1, probe[0, 1:, None])[:, 0]
    if not torch.allclose(CompletionScorer(model)(probe, mask), expected, atol=0.05, rtol=0.01):
        raise UnsupportedModelError(
            f"{type(base).__name__} changes its logits after the vocabulary projection; "
            "training it is not supported."
        )


def _recomputed(function: Any, *tensors: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        result: Tensor = function(*tensors)
    else:
        result = checkpoint(function, *tensors, use_reentrant=False, preserve_rng_state=False)
    return result


def _causal_model(model: Any) -> Any:
    """The transformers model inside a PEFT wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
