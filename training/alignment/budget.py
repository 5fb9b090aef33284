"""What a run will need, told before it starts: memory by part, time by phase.

Everything is computed from the model's config.json, the run's configuration and the lengths of its
data; nothing is loaded, and nothing here imports torch. The rules are stated where they are used.
Held against runs of SmolLM2 on a CPU (DPO, four pairs of 130 + 2 × 111 tokens at once): 4.9 GiB
foretold and 5.0 taken in float32, 4.6 and 4.9 in bfloat16.
Memory is the peak while training; time is floating-point operations over the machine's speed, which
is measured on former runs where there are any.

Notation: P parameters, L layers, h hidden features, i features inside the MLP, v vocabulary
entries, n sequences in memory at once, t tokens of the longest of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Self

from training.alignment.config import TrainingConfig
from training.alignment.methods import Method
from training.alignment.positions import known_positions

GIBI = 2**30
# The interpreter with torch and transformers loaded, and the allocator's slack.
PROCESS_BYTES = int(0.55 * GIBI)
# Rows of the vocabulary projection that exist at once, and what is kept of them until the backward
# pass; see projection.py.
PROJECTED_ROWS = 128
KEPT_BYTES = 128 * 2**20
# What an optimiser keeps a weight: AdamW two moments, the others one or hardly any.
OPTIMIZER_BYTES = {"adamw": 8, "rmsprop": 4, "sgd": 4, "adafactor": 0}
# Longest answer of the samples through training; see step_samples.py.
STEP_SAMPLE_TOKENS = 64
# Share of the memory beyond which a run is likely to meet the system's limit.
FULL = 0.9


@dataclass(frozen=True)
class ModelSize:
    """The sizes in a config.json that decide what a model costs."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    key_value: int
    tied: bool
    gated: bool = True
    positions: int | None = None

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Self:
        """Read a transformers config; raises ValueError naming what it does not tell."""
        values = values.get("text_config") or values
        hidden = _size(values, "hidden_size", "n_embd", "d_model")
        heads = _size(values, "num_attention_heads", "n_head", "num_heads")
        width = values.get("head_dim") or hidden // heads
        return cls(
            layers=_size(values, "num_hidden_layers", "n_layer", "num_layers"),
            hidden=hidden,
            intermediate=_size(
                values, "intermediate_size", "n_inner", "ffn_dim", default=4 * hidden
            ),
            vocabulary=_size(values, "vocab_size"),
            key_value=width * _size(values, "num_key_value_heads", default=heads),
            tied=bool(values.get("tie_word_embeddings", True)),
            gated=values.get("model_type") not in {"gpt2", "gpt_neox", "opt", "bloom"},
            positions=known_positions(values),
        )

    @property
    def block_parameters(self) -> int:
        """Parameters of all layers: 2h² + 2h·kv for attention, 3hi (2hi without a gate) inside."""
        attention = 2 * self.hidden * (self.hidden + self.key_value)
        inside = (3 if self.gated else 2) * self.hidden * self.intermediate
        return self.layers * (attention + inside + 2 * self.hidden)

    @property
    def parameters(self) -> int:
        """P, with embeddings counted once where input and output share them."""
        return self.block_parameters + (1 if self.tied else 2) * self.vocabulary * self.hidden

    def lora_parameters(self, rank: int) -> int:
        """Weights of an adapter on every linear layer but the head: rank × (in + out) each."""
        attention = 2 * (2 * self.hidden) + 2 * (self.hidden + self.key_value)
        inside = (3 if self.gated else 2) * (self.hidden + self.intermediate)
        return self.layers * rank * (attention + inside)

    @property
    def operations(self) -> int:
        """Floating-point operations of one token's forward pass: two a weight, head included."""
        return 2 * (self.block_parameters + self.vocabulary * self.hidden)


@dataclass(frozen=True)
class DataSize:
    """How much there is to train on. Lengths are in tokens; `sequences` belong to one example."""

    examples: int
    held_out: int
    prompt: float
    completion: float
    longest: int
    sequences: int = 2


@dataclass(frozen=True)
class Machine:
    """Memory in bytes, speed in operations and in bytes a second, and where the speed is from."""

    memory: int
    speed: float
    bandwidth: float
    basis: str
    on_cpu: bool = True


@dataclass(frozen=True)
class Part:
    """Bytes of one part of the memory, or seconds of one phase."""

    name: str
    amount: float


@dataclass(frozen=True)
class Budget:
    """An estimate: `memory` in bytes by part, `time` in seconds by phase."""

    memory: tuple[Part, ...]
    time: tuple[Part, ...]
    steps: int
    step_operations: float
    machine: Machine

    @property
    def bytes(self) -> float:
        """Peak memory."""
        return sum(part.amount for part in self.memory)

    @property
    def seconds(self) -> float:
        """From start to evaluation."""
        return sum(part.amount for part in self.time)

    @property
    def is_too_large(self) -> bool:
        """Whether the run would fill the machine's memory."""
        return self.bytes > FULL * self.machine.memory


@dataclass(frozen=True)
class Speed:
    """One former run: the operations of its step as estimated, the seconds as measured."""

    step_operations: float
    seconds: float


def rule_of_thumb(*, memory: int, cores: int, gpu: bool, dtype: str) -> Machine:
    """A machine that nothing was measured on.

    A CPU core does about 2e10 useful operations a second in float32 (4e10 in bfloat16 where it
    has instructions for it; we count on none), memory gives 1e10 bytes a second; a data-centre GPU
    does about 1e14 in bfloat16, 2e13 in float32, and gives 1e12 bytes a second.
    """
    if gpu:
        speed = 1e14 if dtype == "bfloat16" else 2e13
        return Machine(memory, speed, 1e12, "a rule of thumb for a GPU", on_cpu=False)
    basis = f"a rule of thumb for {cores} CPU core{'' if cores == 1 else 's'}"
    return Machine(memory, 2e10 * cores, 1e10, basis)


def measured(machine: Machine, former: Sequence[Speed]) -> Machine:
    """The machine with the median speed of former runs in place of the rule of thumb."""
    speeds = [one.step_operations / one.seconds for one in former if one.seconds > 0]
    if not speeds:
        return machine
    count = f"{len(speeds)} former run{'' if len(speeds) == 1 else 's'} here"
    return replace(machine, speed=median(speeds), basis=f"measured on {count}")


def estimate(
    config: TrainingConfig,
    method: Method,
    size: ModelSize,
    data: DataSize,
    machine: Machine,
    reward_size: ModelSize | None = None,
) -> Budget:
    """What the run needs; `reward_size` is the reward model of an online method, if it has one."""
    step = step_operations(config, method, size, data)
    steps = _steps(config, method, data)
    online = method.loop == "online"
    memory = _policy_memory(config, method, size)
    memory += [_activations(config, method, size, data, machine), _projection(config, size)]
    memory += _online_memory(config, method, size, reward_size) if online else []
    time = _offline_time(config, method, size, data, machine)
    time += _rollout_time(config, size, machine, steps, reward_size) if online else []
    training = Part("Training", steps * step / machine.speed)
    return Budget(
        tuple(memory), (training, *(part for part in time if part.amount)), steps, step, machine
    )


def sequences_of(data: str, *, list_length: int = 4) -> int:
    """Sequences of one example of a data kind; a list has as many as the longest that is known."""
    return {"pairs": 2, "lists": list_length}.get(data, 1)


def _policy_memory(config: TrainingConfig, method: Method, size: ModelSize) -> list[Part]:
    """Weights, their gradients and the optimiser's numbers, float32 where they are trained."""
    low = config.dtype == "bfloat16"
    trained, frozen_bytes = size.parameters, 4
    if config.adapter == "lora":
        trained, frozen_bytes = size.lora_parameters(config.lora_rank), 2 if low else 4
    weights, state = size.parameters * frozen_bytes, OPTIMIZER_BYTES.get(config.optimizer, 8)
    parts = [Part("Python and its libraries", PROCESS_BYTES), Part("Weights", weights)]
    if low and config.adapter == "full":
        parts.append(Part("Copies of the weights in bfloat16", 2 * size.block_parameters))
    if config.adapter == "lora":
        parts.append(Part("Adapter", 4 * trained))
    return [*parts, Part("Gradients", 4 * trained), Part("Optimiser", state * trained)]


def _activations(
    config: TrainingConfig, method: Method, size: ModelSize, data: DataSize, machine: Machine
) -> Part:
    """What the backward pass needs of a forward pass, where each prompt stands once.

    A layer keeps about 12 h + 2 kv + 4 i values a token; the first are the residual stream and its
    norms, float32 in either precision. An adapter keeps what its branches add, 4 h + 2 kv + 2 i.
    With gradient checkpointing a layer keeps its input; one at a time is computed again, and held
    with its gradients.
    """
    width = 2 if config.dtype == "bfloat16" else 4
    longest = min(data.longest, config.max_length)
    prompt = min(data.prompt, config.max_prompt_length, longest)
    example = prompt + data.sequences * (longest - prompt)
    tokens = config.batch_size * example
    limit = config.tokens_at_once(on_cpu=machine.on_cpu)
    if limit is not None and method.loop == "offline":
        tokens = max(example, min(tokens, limit))
    layer = 4 * 12 * size.hidden + width * (2 * size.key_value + 4 * size.intermediate)
    if config.adapter == "lora":
        layer += width * (4 * size.hidden + 2 * size.key_value + 2 * size.intermediate)
    kept = size.layers * layer
    if config.gradient_checkpointing:
        kept = size.layers * 4 * size.hidden + 2 * layer
    return Part("Activations of a pass", tokens * kept)


def _projection(config: TrainingConfig, size: ModelSize) -> Part:
    """Logits of one chunk with their softmax and gradient, in float32, and what is kept."""
    kept = 0 if config.adapter == "lora" else KEPT_BYTES
    return Part("Vocabulary projection", 3 * 4 * PROJECTED_ROWS * size.vocabulary + kept)


def _online_memory(
    config: TrainingConfig, method: Method, size: ModelSize, reward: ModelSize | None
) -> list[Part]:
    """The other models stay loaded beside the policy; the rollouts keep keys and values."""
    width = 2 if config.dtype == "bfloat16" else 4
    parts = [Part("Reference model", size.parameters * width)] if method.needs_reference else []
    if reward is not None:
        # It scores in float32 whatever the run computes in, unless its source says otherwise.
        parts.append(Part("Reward model", 4 * reward.parameters))
    if method.needs_value_model:
        parts.append(Part("Value model, its gradients and moments", 16 * size.parameters))
    tokens = _rollouts(config) * min(config.max_length, config.max_prompt_length + _answer(config))
    keys = 2 * size.layers * size.key_value * width * tokens
    return [*parts, Part("Keys and values of the rollouts", keys)]


def step_operations(
    config: TrainingConfig, method: Method, size: ModelSize, data: DataSize
) -> float:
    """Forward and backward passes of one optimiser step.

    The backward pass costs twice the forward one; once where only an adapter is trained, for
    frozen weights need no gradient of their own. Checkpointing adds a forward pass.
    """
    passes = 2.0 if config.adapter == "lora" else 3.0
    passes += 1.0 if config.gradient_checkpointing else 0.0
    if method.step_statistic is not None:
        passes += 1.0
    if method.loop == "online":
        tokens = _rollouts(config) * (data.prompt + _answer(config))
        passes *= 2.0 if method.needs_value_model else 1.0
        return passes * size.operations * tokens * _updates(config)
    examples = config.batch_size * config.gradient_accumulation
    return passes * size.operations * examples * _tokens(config, data)


def _offline_time(
    config: TrainingConfig, method: Method, size: ModelSize, data: DataSize, machine: Machine
) -> list[Part]:
    """The reference scores each example once; evaluations score the held-out side."""
    tokens = _tokens(config, data)
    once = size.operations * tokens / machine.speed
    steps = _steps(config, method, data)
    seen = min(data.held_out, config.evaluation_limit)
    times = steps // config.evaluate_every + 2
    answers = config.sample_prompts if method.trains == "policy" else 0
    parts = [Part("Evaluating", once * (times * seen + 2 * data.held_out))]
    watched = min(answers, config.step_sample_prompts) if method.loop == "offline" else 0
    parts.append(Part("Sampling answers through training", times * _writing(
        size, machine, watched, 2 * config.batch_size,
        min(STEP_SAMPLE_TOKENS, config.sample_max_new_tokens))))  # fmt: skip
    parts.append(Part("Sampling answers before and after", 2 * _writing(
        size, machine, answers, 2 * config.batch_size, config.sample_max_new_tokens)))  # fmt: skip
    if method.needs_reference and method.loop == "offline":
        parts.insert(0, Part("Scoring with the reference", once * (data.examples + seen)))
    return parts


def _rollout_time(
    config: TrainingConfig,
    size: ModelSize,
    machine: Machine,
    steps: int,
    reward: ModelSize | None,
) -> list[Part]:
    count, tokens = _rollouts(config), config.max_prompt_length / 2 + _answer(config)
    writing = _writing(size, machine, count, count, _answer(config))
    judges = size.operations + (reward.operations if reward else 0)
    scoring = count * tokens * judges / machine.speed
    return [Part("Generating rollouts", steps * writing), Part("Scoring rollouts", steps * scoring)]


def _writing(size: ModelSize, machine: Machine, answers: int, batch: int, tokens: int) -> float:
    """Writing a token reads every weight once for the whole batch, or computes, if that is more."""
    rounds = -(-answers // max(1, batch))
    read = rounds * tokens * 4 * size.parameters / machine.bandwidth
    return max(read, answers * tokens * size.operations / machine.speed)


def _steps(config: TrainingConfig, method: Method, data: DataSize) -> int:
    width = config.batch_size * config.gradient_accumulation
    if method.loop == "online":
        width = getattr(config, "prompts_per_step", width)
    steps = max(1, -(-int(config.epochs * data.examples) // width))
    return steps if config.max_steps is None else min(steps, config.max_steps)


def _tokens(config: TrainingConfig, data: DataSize) -> float:
    """Of one example, the prompt counted once for all of its completions."""
    prompt = min(data.prompt, config.max_prompt_length)
    return prompt + data.sequences * min(data.completion, config.max_length - prompt)


def _rollouts(config: TrainingConfig) -> int:
    """Answers that one step of an online method samples."""
    prompts = getattr(config, "prompts_per_step", config.batch_size)
    return int(prompts * getattr(config, "samples_per_prompt", 4))


def _answer(config: TrainingConfig) -> int:
    return int(getattr(config, "max_new_tokens", config.sample_max_new_tokens))


def _updates(config: TrainingConfig) -> int:
    return int(config.hyperparameters.get("epochs_per_batch", 1))


def _size(values: Mapping[str, Any], *names: str, default: int | None = None) -> int:
    for name in names:
        if values.get(name) is not None:
            return int(values[name])
    if default is None:
        raise ValueError(f"the model's config.json names no {names[0]}")
    return default
