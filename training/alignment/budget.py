"""What a run will need, told before it starts: memory by part, time by phase.

Everything is computed from the model's config.json, the run's configuration and the lengths of its
data; nothing is loaded, and nothing here imports torch. The rules are stated where they are used.
Held against runs of SmolLM2 on a CPU (DPO, four pairs of 130 + 2 × 111 tokens at once): 4.9 GiB
foretold and 5.0 taken in float32, 4.6 and 4.9 in bfloat16.
Memory is the peak of a run, while it trains or when it saves and evaluates; time is floating-point
operations over the machine's speed, which is measured on former runs where there are any.

What only the online loop needs is in online_budget.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from training.alignment import online_budget
from training.alignment.config import TrainingConfig
from training.alignment.methods import Method
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

GIBI = 2**30
# The interpreter with torch and transformers loaded, and the allocator's slack.
PROCESS_BYTES = int(0.55 * GIBI)
# Rows of the vocabulary projection that exist at once, and what is kept of them until the backward
# pass; see projection.py.
PROJECTED_ROWS = 128
KEPT_BYTES = 128 * 2**20
GRADIENTS = "Gradients"
# Gone once a step is done.
_OF_A_PASS = (
    *(GRADIENTS, "Activations of a pass", "Vocabulary projection"),
    "Keys and values of the rollouts",
)
# Longest answer of the samples through training; see step_samples.py.
STEP_SAMPLE_TOKENS = 64
# Share of the memory beyond which a run is likely to meet the system's limit.
FULL = 0.9


@dataclass(frozen=True)
class Budget:
    """An estimate: `memory` in bytes by part, `time` in seconds by phase.

    `warm_up` is how many of the steps warm up, `evaluations` how many there are between the steps.
    """

    memory: tuple[Part, ...]
    time: tuple[Part, ...]
    steps: int
    step_operations: float
    machine: Machine
    warm_up: int = 0
    evaluations: int = 0

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
    basis = f"measured on {count}"
    return replace(machine, speed=median(speeds), basis=basis, former_runs=len(speeds))


def estimate(
    config: TrainingConfig,
    method: Method,
    size: ModelSize,
    data: DataSize,
    machine: Machine,
    rewards: Sequence[RewardModel] = (),
) -> Budget:
    """What the run needs; `rewards` are all reward models that an online run loads."""
    if config.data_half != "all" and method.loop == "offline":
        data = replace(data, examples=data.examples // 2)
    step = step_operations(config, method, size, data)
    steps = _steps(config, method, data)
    trained = _policy_memory(config, size)
    passing = _activations(config, method, size, data, machine)
    memory = [*trained, passing, _projection(config, size)]
    time = _offline_time(config, method, size, data, machine)
    if method.loop == "online":
        gradients = sum(part.amount for part in trained if part.name == GRADIENTS)
        during = gradients + passing.amount
        memory += online_budget.memory(config, method, size, data, machine, rewards, during)
        time += online_budget.time(config, method, size, data, machine, rewards, steps)
    memory += _after_training(config, method, size, data, machine, memory)
    training = Part("Training", steps * step / machine.speed)
    return Budget(
        memory=tuple(memory),
        time=(training, *(part for part in time if part.amount)),
        steps=steps,
        step_operations=step,
        machine=machine,
        warm_up=min(config.warmup_steps, steps),
        evaluations=(steps - 1) // config.evaluate_every,
    )


def sequences_of(data: str, *, list_length: int = 4) -> int:
    """Sequences of one example of a data kind; a list has as many as the longest that is known."""
    return {"pairs": 2, "lists": list_length}.get(data, 1)


def _policy_memory(config: TrainingConfig, size: ModelSize) -> list[Part]:
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
    return [*parts, Part(GRADIENTS, 4 * trained), Part("Optimiser", state * trained)]


def _activations(
    config: TrainingConfig, method: Method, size: ModelSize, data: DataSize, machine: Machine
) -> Part:
    """What the backward pass needs of a forward pass, where each prompt stands once."""
    name = "Activations of a pass"
    if method.loop == "online":
        return Part(name, online_budget.activations(config, method, size, data))
    longest = min(data.longest, config.max_length)
    prompt = min(data.prompt, config.max_prompt_length, longest)
    example = prompt + data.sequences * (longest - prompt)
    tokens = config.batch_size * example
    limit = config.tokens_at_once(on_cpu=machine.on_cpu)
    if limit is not None:
        tokens = max(example, min(tokens, limit))
    return Part(name, tokens * kept_of_a_token(config, size, lora=config.adapter == "lora"))


def _projection(config: TrainingConfig, size: ModelSize) -> Part:
    """Logits of one chunk with their softmax and gradient, in float32, and what is kept."""
    kept = 0 if config.adapter == "lora" else KEPT_BYTES
    return Part("Vocabulary projection", 3 * 4 * PROJECTED_ROWS * size.vocabulary + kept)


def _after_training(
    config: TrainingConfig,
    method: Method,
    size: ModelSize,
    data: DataSize,
    machine: Machine,
    memory: Sequence[Part],
) -> list[Part]:
    """What saving and evaluating take beyond the peak of training, where they do.

    A LoRA run in bfloat16 saves a float32 copy that is made on the CPU, beside what is still
    loaded. An evaluation has one model at a time, and the keys and values of a batch of answers,
    all in float32 whatever the run computes in.
    """
    low = config.dtype == "bfloat16"
    training, saving = sum(part.amount for part in memory), 0.0
    if low and config.adapter == "lora" and machine.on_cpu:
        lasting = sum(part.amount for part in memory if part.name not in _OF_A_PASS)
        saving = lasting + 4 * size.parameters
    evaluating: float = PROCESS_BYTES + 4 * size.parameters
    if method.trains == "policy":
        prompt = min(data.prompt, config.max_prompt_length)
        answers = min(config.sample_prompts, 2 * config.batch_size)
        tokens = answers * (prompt + config.sample_max_new_tokens)
        evaluating += 2 * size.layers * size.key_value * 4 * tokens
    more = max(saving, evaluating) - training
    return [Part("Saving and evaluating, beyond training", more)] if more > 0 else []


def step_operations(
    config: TrainingConfig, method: Method, size: ModelSize, data: DataSize
) -> float:
    """Forward and backward passes of one optimiser step.

    The backward pass costs twice the forward one; once where only an adapter is trained, for
    frozen weights need no gradient of their own. Checkpointing adds a forward pass.
    """
    if method.loop == "online":
        return online_budget.step_operations(config, method, size, data)
    passes = 2.0 if config.adapter == "lora" else 3.0
    passes += 1.0 if config.gradient_checkpointing else 0.0
    if method.step_statistic is not None:
        passes += 1.0
    examples = config.batch_size * config.gradient_accumulation
    return passes * size.operations * examples * tokens_of_an_example(config, data)


def _offline_time(
    config: TrainingConfig, method: Method, size: ModelSize, data: DataSize, machine: Machine
) -> list[Part]:
    """The reference scores each example once; evaluations score the held-out side, the last one
    before and after, in float32."""
    offline, exact = method.loop == "offline", _in_float32(config, machine)
    work = size.operations * tokens_of_an_example(config, data)
    once = work / machine.speed
    steps = _steps(config, method, data)
    seen = min(data.held_out, config.evaluation_limit) if offline else 0
    times = steps // config.evaluate_every + 2
    answers = config.sample_prompts if method.trains == "policy" else 0
    last = 2 * data.held_out * work / exact.speed
    parts = [Part("Evaluating", once * times * seen + last)]
    watched = min(answers, config.step_sample_prompts) if offline else 0
    parts.append(Part("Sampling answers through training", times * writing(
        size, machine, watched, 2 * config.batch_size,
        min(STEP_SAMPLE_TOKENS, config.sample_max_new_tokens))))  # fmt: skip
    parts.append(Part("Sampling answers before and after", 2 * writing(
        size, exact, answers, 2 * config.batch_size, config.sample_max_new_tokens)))  # fmt: skip
    if method.needs_reference and offline:
        parts.insert(0, Part("Scoring with the reference", once * (data.examples + seen)))
    return parts


def _in_float32(config: TrainingConfig, machine: Machine) -> Machine:
    """The same machine where it computes more exactly than the run: a fifth as fast on a GPU, half
    as fast on a CPU that was measured in bfloat16; the rule of thumb counts on no gain there."""
    is_rule = machine.on_cpu and not machine.former_runs
    if config.dtype != "bfloat16" or is_rule:
        return machine
    return replace(machine, speed=machine.speed / (2 if machine.on_cpu else 5))


def _steps(config: TrainingConfig, method: Method, data: DataSize) -> int:
    width = config.batch_size * config.gradient_accumulation
    if method.loop == "online":
        width = config.prompts_per_step
    steps = max(1, -(-int(config.epochs * data.examples) // width))
    return steps if config.max_steps is None else min(steps, config.max_steps)
