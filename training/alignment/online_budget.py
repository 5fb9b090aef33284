"""What the online loop will need beyond what every run does; see budget.py.

Imports without torch. It is written for answers of full length, max_new_tokens: how long they
become is not known before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from training.alignment.config import TrainingConfig
from training.alignment.methods import Method, parse_hyperparameters
from training.alignment.rollouts.settings import TransformersOptions, parse_rollouts
from training.alignment.sizes import (
    OPTIMIZER_BYTES,
    DataSize,
    Machine,
    ModelSize,
    Part,
    RewardModel,
    kept_of_a_token,
    tokens_of_an_example,
    writing,
)

# The cache of keys and values is widened by half, and by so many tokens at least; see cache.py.
CACHE_STEP = 128


def memory(
    config: TrainingConfig,
    method: Method,
    size: ModelSize,
    data: DataSize,
    machine: Machine,
    rewards: Sequence[RewardModel],
    during_update: float,
) -> list[Part]:
    """The models beside the policy, and what sampling takes.

    Keys and values are gone before the update: only what they take beyond the bytes `during_update`
    of gradients and activations adds to the peak.
    """
    low = config.dtype == "bfloat16"
    # As the policy's own weights: float32 but for a LoRA run in bfloat16.
    width = 2 if low and config.adapter == "lora" else 4
    parts = [Part("Reference model", width * size.parameters)]
    if rewards:
        weights = sum(one.width * one.size.parameters for one in rewards)
        parts.append(Part(f"Reward model{'s' if len(rewards) > 1 else ''}", weights))
    if method.needs_value_model:
        state = OPTIMIZER_BYTES.get(config.optimizer, 8)
        critic = (4 + 4 + state) * size.parameters + (2 * size.block_parameters if low else 0)
        parts.append(Part("Value model, its gradients and moments", critic))
    source = parse_rollouts(config.rollout_source)
    if isinstance(source, TransformersOptions):
        if low or machine.on_cpu:
            # Matrices as the run computes; embeddings and the projection in float32.
            copy = (2 if low else 4) * size.block_parameters + 8 * size.vocabulary * size.hidden
            parts.append(Part("The sampler's copy of the policy", copy))
        keys = _keys_and_values(config, size, data, machine, source.rows) - during_update
        parts.append(Part("Keys and values of the rollouts", max(0.0, keys)))
    return [part for part in parts if part.amount]


def activations(config: TrainingConfig, method: Method, size: ModelSize, data: DataSize) -> float:
    """Bytes that a micro-batch keeps: policy and value model share one backward pass.

    A text of PPO-ptx has a backward pass of its own.
    """
    batch = min(config.batch_size, _answers(config))
    prompts = -(-batch // config.samples_per_prompt)
    tokens = prompts * _longest_prompt(config, data) + batch * config.max_new_tokens
    policy = kept_of_a_token(config, size, lora=config.adapter == "lora")
    critic = kept_of_a_token(config, size, lora=False) if method.needs_value_model else 0.0
    texts = 0.0
    if "ptx_examples" in _hyperparameters(config, method):
        texts = config.batch_size * min(data.longest, config.max_length) * policy
    return max(tokens * (policy + critic), texts)


def step_operations(
    config: TrainingConfig, method: Method, size: ModelSize, data: DataSize
) -> float:
    """Forward and backward passes of a step's updates; sampling and scoring come before them."""
    own = _hyperparameters(config, method)
    again = 1.0 if config.gradient_checkpointing else 0.0
    policy = (again + (2.0 if config.adapter == "lora" else 3.0)) * size.operations
    tokens = _tokens(config, data)
    once = policy * tokens
    if method.needs_value_model:
        once += (again + 3.0) * _without_head(size) * tokens
    texts = own.get("ptx_examples", 0) * _answers(config) * tokens_of_an_example(config, data)
    return float(own["epochs_per_batch"] * (once + policy * texts))


def time(
    config: TrainingConfig,
    method: Method,
    size: ModelSize,
    data: DataSize,
    machine: Machine,
    rewards: Sequence[RewardModel],
    steps: int,
) -> list[Part]:
    """Sampling the answers and scoring them, of the steps and of the held-out prompts."""
    source = parse_rollouts(config.rollout_source)
    rows = source.rows if isinstance(source, TransformersOptions) else source.concurrency
    # Policy and reference, the value model, every reward model.
    scorers = 2 * size.operations + sum(_without_head(one.size) for one in rewards)
    scorers += _without_head(size) if method.needs_value_model else 0

    def seconds(prompts: int, answers: int, tokens: float) -> tuple[float, float]:
        reading = prompts * _prompt(config, data) * size.operations / machine.speed
        written = writing(size, machine, answers, min(rows, answers), config.max_new_tokens)
        return reading + written, tokens * scorers / machine.speed

    sampled, scored = seconds(config.prompts_per_step, _answers(config), _tokens(config, data))
    watched = min(config.sample_prompts, data.held_out)
    held_out = watched * (_prompt(config, data) + config.max_new_tokens)
    times = steps // config.evaluate_every + 2
    return [
        Part("Generating rollouts", steps * sampled),
        Part("Scoring rollouts", steps * scored),
        Part("Answering held-out prompts", times * sum(seconds(watched, watched, held_out))),
    ]


def _keys_and_values(
    config: TrainingConfig, size: ModelSize, data: DataSize, machine: Machine, rows: int
) -> float:
    """Bytes of the answers that are written at once. While the cache grows the old one, two thirds
    of the new, stands beside it. A CPU's attention is float32."""
    width = 2 if config.dtype == "bfloat16" and not machine.on_cpu else 4
    longest = _longest_prompt(config, data) + config.max_new_tokens
    capacity = -(-int(longest) // CACHE_STEP) * CACHE_STEP
    return 5 / 3 * 2 * size.layers * size.key_value * width * capacity * rows


def _tokens(config: TrainingConfig, data: DataSize) -> float:
    """Of a step's answers; a prompt counts once for those answers that share a micro-batch."""
    shared = -(-config.samples_per_prompt // config.batch_size)
    prompts = config.prompts_per_step * shared * _prompt(config, data)
    return prompts + _answers(config) * config.max_new_tokens


def _answers(config: TrainingConfig) -> int:
    return config.prompts_per_step * config.samples_per_prompt


def _prompt(config: TrainingConfig, data: DataSize) -> float:
    return min(data.prompt, config.max_prompt_length)


def _longest_prompt(config: TrainingConfig, data: DataSize) -> float:
    """The data's longest text less a usual answer."""
    return min(max(data.prompt, data.longest - data.completion), config.max_prompt_length)


def _without_head(size: ModelSize) -> int:
    """Operations of a token's forward pass that ends in a score instead of a vocabulary."""
    return 2 * size.block_parameters


def _hyperparameters(config: TrainingConfig, method: Method) -> Mapping[str, Any]:
    return asdict(parse_hyperparameters(method, config.hyperparameters))
