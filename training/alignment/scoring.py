"""From examples to log-probabilities of completions, by the fastest way that a model allows."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from training.alignment.batches import LIST_ROLE, collate, padded_lists, sequences_of
from training.alignment.log_probs import sequence_log_probs
from training.alignment.packing import Group, group_sequences, pack
from training.alignment.tokenization import Example, TokenSequence


def score(
    scorer: nn.Module, examples: Sequence[Example], roles: Sequence[str], device: torch.device
) -> dict[str, Tensor]:
    """Log-probabilities of every role's completions in one forward pass: role -> [b].

    The role `list` gives [b, k], padded with zeros. A reward model gives scores instead.
    """
    values = score_sequences(scorer, by_role(examples, roles), device)
    return split_roles(values, roles, examples)


def score_sequences(
    scorer: nn.Module, sequences: Sequence[TokenSequence], device: torch.device, **settings: bool
) -> Tensor:
    """Log-probabilities of the completions of any sequences, or their scores: [b], float32.

    `settings` go to the scorer's forward; what it gives of tokens is summed over the trained ones.
    """
    if not packs(scorer):
        return score_padded(scorer, sequences, device, **settings)
    groups, places = group_sequences(sequences)
    if scores_whole(scorer):
        scores: Tensor = scorer(*pack(groups, device))
        return scores[places]
    tokens = _packed_tokens(scorer, groups, device, **settings)
    if all(sequence.context is None for sequence in sequences):
        sums = [part.sum() for part in tokens]
        return torch.stack([sums[place] for place in places])
    return torch.stack(
        [_trained(tokens[place], one) for place, one in zip(places, sequences, strict=True)]
    )


def score_padded(
    scorer: nn.Module, sequences: Sequence[TokenSequence], device: torch.device, **settings: bool
) -> Tensor:
    """What `score_sequences` gives, the plain way: each sequence whole in a padded batch."""
    batch = collate(sequences, device)
    values: Tensor = scorer(*batch, **settings)
    return values if scores_whole(scorer) else sequence_log_probs(values, batch.completion_mask)


def score_tokens(
    scorer: nn.Module, groups: Sequence[Group], device: torch.device, **settings: float
) -> list[list[Tensor]]:
    """Log-probabilities of the tokens of each completion of each group, float32, with gradient.

    `settings` go to the scorer's forward, such as another temperature than its own.
    """
    if packs(scorer):
        tokens = _packed_tokens(scorer, groups, device, **settings)
    else:
        sequences = [TokenSequence(group.prompt, item) for group in groups for item in group[1]]
        lengths = [len(sequence.completion) for sequence in sequences]
        tokens = list(scorer(*collate(sequences, device), **settings).split(lengths))
    parts = iter(tokens)
    return [[next(parts) for _ in group.completions] for group in groups]


@torch.no_grad()
def score_all(
    scorer: nn.Module,
    sequences: Sequence[TokenSequence],
    device: torch.device,
    *,
    batch_size: int,
    share: tuple[int, int] = (0, 1),
    progress: Callable[[int, int], None] | None = None,
    settings: Mapping[str, bool] | None = None,
) -> Tensor:
    """Score many sequences without gradient in batches of similar length: [n] float32.

    Sequences of one prompt stand together, so that it is computed once. With a share (i, n) only
    every n-th batch is scored and the others stay zero, so that the sum over n processes is the
    whole. `settings` are those of `score_sequences`.
    """
    order = _by_prompt(sequences)
    values = torch.zeros(len(sequences), device=device)
    for number, start in enumerate(range(0, len(order), batch_size)):
        if number % share[1] == share[0]:
            indices = order[start : start + batch_size]
            chosen = [sequences[index] for index in indices]
            values[indices] = score_sequences(scorer, chosen, device, **(settings or {}))
        if progress is not None:
            progress(min(start + batch_size, len(order)), len(order))
    return values


def by_role(examples: Sequence[Example], roles: Sequence[str]) -> list[TokenSequence]:
    """All sequences, role after role; of the role `list` every completion of every example."""
    return [item for role in roles for example in examples for item in sequences_of(example, role)]


def split_roles(
    values: Tensor, roles: Sequence[str], examples: Sequence[Example]
) -> dict[str, Tensor]:
    """Undo `by_role`: role -> [b], and the role `list` -> [b, k] padded with zeros."""
    counts = {role: [len(sequences_of(item, role)) for item in examples] for role in roles}
    parts = torch.split(values, [sum(counts[role]) for role in roles])
    return {
        role: padded_lists(part, counts[role]) if role == LIST_ROLE else part
        for role, part in zip(roles, parts, strict=True)
    }


def scores_whole(scorer: nn.Module) -> bool:
    """Whether the scorer, inside any distributed wrapper, gives one score a completion."""
    return bool(getattr(getattr(scorer, "module", scorer), "scores_whole", False))


def packs(scorer: nn.Module) -> bool:
    """Whether the scorer, inside any distributed wrapper, takes packed rows."""
    return bool(getattr(getattr(scorer, "module", scorer), "packs", False))


def _by_prompt(sequences: Sequence[TokenSequence]) -> list[int]:
    """Short prompts' sequences first, those of one prompt side by side."""
    prompts = [sequence.prompt.tobytes() for sequence in sequences]
    longest: dict[bytes, int] = {}
    for prompt, sequence in zip(prompts, sequences, strict=True):
        longest[prompt] = max(len(sequence), longest.get(prompt, 0))
    return sorted(
        range(len(sequences)), key=lambda index: (longest[prompts[index]], prompts[index], index)
    )


def _packed_tokens(
    scorer: nn.Module, groups: Sequence[Group], device: torch.device, **settings: float
) -> list[Tensor]:
    batch = pack(groups, device)
    lengths = [length for span in batch.packing.spans for length in span.completions]
    return list(scorer(*batch, **settings).split(lengths))


def _trained(tokens: Tensor, sequence: TokenSequence) -> Tensor:
    """The sum over the tokens [t] of a completion that the model itself wrote."""
    if sequence.context is None:
        return tokens.sum()
    return tokens[torch.from_numpy(~sequence.context).to(tokens.device)].sum()
