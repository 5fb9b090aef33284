"""Attention inside a packed row: every token sees its own prompt and what it continues, no more.

Registered with transformers' attention interface, so that models stay as they are. A call that is
not of a packed row is handed on to transformers' own SDPA attention.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from training.alignment.packing import Group, Packing, pack, pieces_of

NAME = "shared_prompt"
Attend = Callable[..., Tensor]


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packing: Packing | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """softmax(scaling · q kᵀ) v over what each token may see.

    Args:
        query: [1, heads, t, d]; key and value: [1, key-value heads, t, d].
        packing: how the row is laid out; without it the batch is an ordinary one.

    Returns:
        [1, t, heads, d] and no weights.
    """
    if packing is None:
        return sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            scaling=scaling,
            dropout=dropout,
            **options,
        )
    attend = partial(
        scaled_dot_product_attention, scale=scaling, dropout_p=dropout, enable_gqa=True
    )
    by_device = attend_by_group if query.device.type == "cpu" else attend_at_once
    with torch.autocast(query.device.type, enabled=False):
        output = by_device(attend, query, key, value, packing)
    return output.to(query.dtype), None


def attend_by_group(
    attend: Attend, query: Tensor, key: Tensor, value: Tensor, packing: Packing
) -> Tensor:
    """Each prompt once, then each of its completions; [1, t, heads, d].

    In float32: without matrix units for it, bfloat16 attention is slower on a CPU, and worse.
    """
    sizes = [size for span in packing.spans for size in pieces_of(span)]
    # One split: the gradient of a slice would be as long as the row.
    parts = zip(
        *(torch.split(part.float(), sizes, dim=2) for part in (query, key, value)), strict=True
    )
    masks = iter(packing.masks)
    outputs = []
    for span in packing.spans:
        q, k, v = next(parts)
        outputs.append(attend(q, k, v, is_causal=True))
        for _ in pieces_of(span)[1:]:
            own_q, own_k, own_v = next(parts)
            keys, values = torch.cat([k, own_k], dim=2), torch.cat([v, own_v], dim=2)
            outputs.append(attend(own_q, keys, values, attn_mask=next(masks)))
    return torch.cat(outputs, dim=2).transpose(1, 2)


def attend_at_once(
    attend: Attend, query: Tensor, key: Tensor, value: Tensor, packing: Packing
) -> Tensor:
    """All of the row by one kernel, each prompt once a completion; [1, t, heads, d]."""
    q, k, v = (_unfold(tensor, packing) for tensor in (query, key, value))
    output = attend(q, k, v, is_causal=True)
    return output.transpose(1, 2).flatten(0, 1)[packing.folded][None]


@torch.no_grad()
def use_packed_attention(base: Any) -> bool:
    """Switch a transformers model over, if it then computes what it did; false leaves it as it was.

    Window and chunk attention are refused unseen: a short probe would not show what they hide.
    """
    config = base.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or getattr(config, "sliding_window", None) is not None:
        return False
    if not base._supports_attention_backend:
        return False
    before = base.config._attn_implementation
    base.set_attn_implementation(NAME)
    if _probe(base):
        return True
    base.set_attn_implementation(before)
    return False


def _probe(base: Any) -> bool:
    """Whether two completions of one prompt come out as when each is computed alone."""
    batch = pack([_probe_group(base.config.get_text_config().vocab_size)], base.device)
    training = base.training
    base.eval()
    try:
        found = base.base_model(**packed_inputs(batch.input_ids, batch.packing)).last_hidden_state
        alone = base.base_model(
            input_ids=batch.input_ids[0][batch.packing.unfolded], use_cache=False
        ).last_hidden_state
    except (TypeError, ValueError, RuntimeError, AttributeError):
        return False
    finally:
        base.train(training)
    expected = alone.flatten(0, 1)[batch.packing.folded].float()
    error = (found[0].float() - expected).norm(dim=1) / expected.norm(dim=1)
    # A token that sees what it must not is off by half; rounding in bfloat16 by some percent.
    return bool((error < 0.1).all())


def _probe_group(vocabulary: int) -> Group:
    """Tokens of the vocabulary's middle: its ends hold special ones, which rounding throws far."""
    middle = (vocabulary // 4, vocabulary * 3 // 4)
    ids = np.random.default_rng(0).integers(*middle, 20, dtype=np.int32)
    return Group(ids[:5], [ids[5:13], ids[13:]])


def packed_inputs(input_ids: Tensor, packing: Packing) -> dict[str, Any]:
    """What a transformers model is called with for a packed row."""
    return {
        "input_ids": input_ids,
        "position_ids": packing.position_ids,
        # Four dimensions: models take it for a finished mask and build none of their own.
        "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool, device=input_ids.device),
        "packing": packing,
        "use_cache": False,
    }


def _unfold(tensor: Tensor, packing: Packing) -> Tensor:
    """[1, heads, t, d] to ordinary sequences [s, heads, w, d]."""
    return tensor[0].transpose(0, 1)[packing.unfolded].transpose(1, 2)


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
