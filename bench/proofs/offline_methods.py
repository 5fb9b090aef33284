"""What the papers of offline methods promise, shown on worlds small enough to know the answer.

- IPO keeps to its reference where judges always agree, DPO whatever its beta does not.
- DPO lowers the chosen answers of pairs that differ in one token; DPOP and an NLL anchor do not.
- KTO on thumbs made from pairs reaches about what DPO reaches on the pairs.
- Under flipped labels robust DPO recovers the optimum of the true ones; cDPO shrinks what the
  flips have shrunk already, and ends further from it than DPO.
"""

from __future__ import annotations

import copy
from functools import partial
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from bench import bandit
from bench.load.labeling import say
from training.alignment.losses import dpo_loss, dpop_loss, ipo_loss

KL = dict[str, float]
LENGTH = 16


def run() -> dict[str, Any]:
    torch.set_num_threads(1)
    figures: dict[str, Any] = {
        "certain_preferences": certain_preferences(steps=6000, rate=0.02),
        "one_token_pairs": {f"seed {seed}": one_token_pairs(seed=seed) for seed in range(3)},
        "thumbs_against_pairs": thumbs_against_pairs(seeds=10),
        "flipped_labels": {
            str(rate): flipped_labels(epsilon=rate, seeds=10) for rate in (0.2, 0.3, 0.4)
        },
    }
    check_certain_preferences(figures["certain_preferences"])
    for figure in figures["one_token_pairs"].values():
        check_one_token_pairs(figure)
    check_thumbs_against_pairs(figures["thumbs_against_pairs"])
    for figure in figures["flipped_labels"].values():
        check_flipped_labels(figure)
    rounded: dict[str, Any] = _rounded(figures)
    return rounded


def _rounded(figures: Any) -> Any:
    """Four decimals, all the way down."""
    if isinstance(figures, dict):
        return {name: _rounded(value) for name, value in figures.items()}
    if isinstance(figures, list):
        return [_rounded(value) for value in figures]
    # Zero has no sign on a page.
    return round(figures, 4) + 0.0


def certain_preferences(
    *, steps: int, rate: float, strengths: tuple[float, ...] = (0.1, 0.5, 1.0)
) -> dict[str, Any]:
    """Three answers in a total order, uniform reference: probabilities by method and tau."""
    say("IPO and DPO under certain preferences")
    rewards, reference = torch.tensor([2.0, 1.0, 0.0]), torch.zeros(3)
    order = bandit.all_pairs(rewards, certain=True)
    told: dict[str, Any] = {}
    for tau in strengths:
        ipo = bandit.fit("ipo", order, reference, steps=steps, rate=rate, tau=tau)
        dpo = bandit.fit("dpo", order, reference, steps=steps, rate=rate, beta=tau)
        told[str(tau)] = {
            "ipo": ipo.exp().tolist(), "dpo": dpo.exp().tolist(), "theory": _ipo_optimum(tau)
        }  # fmt: skip
    return told


def _ipo_optimum(tau: float) -> list[float]:
    """Least squares of three margins towards 1 / (2 tau): neighbours end at two thirds of it."""
    step = 1.0 / (3.0 * tau)
    return torch.softmax(torch.tensor([2.0 * step, step, 0.0]), dim=0).tolist()


def check_certain_preferences(told: dict[str, Any]) -> None:
    for figures in told.values():
        gaps = [abs(a - b) for a, b in zip(figures["ipo"], figures["theory"], strict=True)]
        assert max(gaps) < 0.01, figures
        assert figures["dpo"][0] > 0.99, figures
    assert told["1.0"]["ipo"][0] < 0.5 < told["0.1"]["ipo"][0]


def one_token_pairs(
    *, seed: int, pairs: int = 64, steps: int = 60, width: int = 64, learned: int = 60
) -> dict[str, Any]:
    """A small language model that knows both texts, on pairs that differ in one token."""
    say(f"pairs that differ in one token, seed {seed}")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(0, 64, (pairs, LENGTH), generator=generator)
    rejected = chosen.clone()
    places = torch.randint(1, LENGTH // 3, (pairs,), generator=generator)
    rows = torch.arange(pairs)
    rejected[rows, places] = (chosen[rows, places] + 1) % 64
    model = _language_model(seed, width)
    _learn(model, torch.cat([chosen, rejected]), steps=learned)
    lengths = torch.full((pairs,), float(LENGTH))
    losses = {
        "dpo": partial(dpo_loss, beta=0.3),
        "ipo_averaged": partial(
            ipo_loss,
            chosen_lengths=lengths,
            rejected_lengths=lengths,
            tau=0.3,
            normalisation="averaged",
        ),
        "dpop": partial(dpop_loss, beta=0.3, penalty_weight=50.0),
        "dpo_nll": partial(dpo_loss, chosen_lengths=lengths, beta=0.3, nll_weight=1.0),
    }
    return {
        name: _moved(loss, copy.deepcopy(model), (chosen, rejected), steps=steps)
        for name, loss in losses.items()
    }


def _learn(model: Any, texts: Tensor, *, steps: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        (-_log_probs(model, texts).mean() / LENGTH).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _moved(loss: Any, model: Any, sides: tuple[Tensor, Tensor], *, steps: int) -> dict[str, float]:
    """Mean change of both answers' log-probability, and how often the margin is right."""
    reference = [_log_probs(model, tokens).detach() for tokens in sides]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(steps):
        policy = [_log_probs(model, tokens) for tokens in sides]
        optimizer.zero_grad()
        loss(*policy, *reference).losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    after = [_log_probs(model, tokens).detach() for tokens in sides]
    moves = [new - old for new, old in zip(after, reference, strict=True)]
    return {
        "chosen_moved": float(moves[0].mean()),
        "rejected_moved": float(moves[1].mean()),
        "accuracy": float((moves[0] > moves[1]).float().mean()),
    }


def _language_model(seed: int, width: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    sizes = GPT2Config(
        vocab_size=65, n_positions=32, n_embd=width, n_layer=2, n_head=4,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=64, eos_token_id=64,
    )  # fmt: skip
    return GPT2LMHeadModel(sizes)


def _log_probs(model: Any, tokens: Tensor) -> Tensor:
    """Sum over all tokens of a row, after a first token of its own: [n]."""
    first = torch.full((len(tokens), 1), 64)
    inputs = torch.cat([first, tokens[:, :-1]], dim=1)
    logits = model(inputs).logits.log_softmax(-1)
    picked: Tensor = logits.gather(2, tokens.unsqueeze(2)).squeeze(2).sum(1)
    return picked


def check_one_token_pairs(told: dict[str, Any]) -> None:
    assert all(figures["accuracy"] == 1.0 for figures in told.values()), told
    assert told["dpo"]["chosen_moved"] < -1.0, told
    assert told["ipo_averaged"]["chosen_moved"] < -1.0, told
    assert told["dpop"]["chosen_moved"] > -0.5, told
    assert told["dpo_nll"]["chosen_moved"] > 0.0, told


def thumbs_against_pairs(*, seeds: int, steps: int = 1000) -> dict[str, Any]:
    """Eight answers, Bradley-Terry judges: expected rewards, and shares of the optimum's gain."""
    say("KTO and DPO on the same judgments")
    rows = [_thumbs_against_pairs(seed, steps) for seed in range(seeds)]
    means = {name: mean(row[name] for row in rows) for name in rows[0]}
    return {"mean": means} | {f"seed {seed}": row for seed, row in enumerate(rows)}


def _thumbs_against_pairs(seed: int, steps: int, beta: float = 0.5) -> dict[str, float]:
    generator = torch.Generator().manual_seed(seed)
    rewards, reference = torch.randn(8, generator=generator), torch.zeros(8)
    judged = bandit.all_pairs(rewards)
    dpo = bandit.fit("dpo", judged, reference, steps=steps, beta=beta)
    thumbs = bandit.thumbs_of(judged)
    kto = bandit.fit("kto", thumbs, reference, steps=steps, beta=beta)
    best = bandit.best_policy(rewards, reference, beta)
    return {
        "start": float(rewards.mean()),
        "dpo": bandit.expected_reward(dpo, rewards),
        "kto": bandit.expected_reward(kto, rewards),
        "optimum": bandit.expected_reward(best, rewards),
        "kl_of_dpo": _kl(best, dpo),
    }


def check_thumbs_against_pairs(told: dict[str, Any]) -> None:
    means = told["mean"]
    gain = means["optimum"] - means["start"]
    assert abs(means["dpo"] - means["optimum"]) < 0.05 * gain, means
    assert 0.75 * gain < means["kto"] - means["start"] < 1.35 * gain, means
    assert means["kl_of_dpo"] < 0.02, means


def flipped_labels(*, epsilon: float, seeds: int, steps: int = 600) -> dict[str, float]:
    """KL from the optimum of the true labels to what each method learns from flipped ones.

    With p the true preference of a pair and e the rate of flips, sigmoid(beta m) - 1/2 ends at
    (p - 1/2) times 1 - 2e for DPO, its square for cDPO, and 1 for robust DPO, had each pair a
    margin of its own; a policy over eight answers comes as near to that as its margins can.
    """
    say(f"labels flipped at a rate of {epsilon}")
    rows = [_flipped_labels(seed, epsilon, steps) for seed in range(seeds)]
    return {name: mean(row[name] for row in rows) for name in rows[0]}


def _flipped_labels(seed: int, epsilon: float, steps: int, beta: float = 0.5) -> KL:
    generator = torch.Generator().manual_seed(seed)
    rewards, reference = torch.randn(8, generator=generator), torch.zeros(8)
    clean = bandit.all_pairs(rewards)
    # Row (i, j) has weight p; its reverse 1 - p. A flip moves weight from one to the other.
    noisy = bandit.pairs(
        clean.arms["chosen"],
        clean.arms["rejected"],
        (1.0 - epsilon) * clean.weights + epsilon * (1.0 - clean.weights),
    )
    best = bandit.best_policy(rewards, reference, beta)
    return {
        name: _kl(best, bandit.fit(name, noisy, reference, steps=steps, beta=beta, **options))
        for name, options in {
            "dpo": {}, "cdpo": {"epsilon": epsilon}, "robust_dpo": {"epsilon": epsilon},
        }.items()
    }  # fmt: skip


def check_flipped_labels(told: KL) -> None:
    assert told["robust_dpo"] < 0.02 < told["dpo"] < told["cdpo"], told


def _kl(first: Tensor, second: Tensor) -> float:
    return float((first.exp() * (first - second)).sum())
