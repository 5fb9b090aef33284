"""What an estimate knows of models, data and machine: sizes, and what both loops make of them.

Imports without torch. Notation: P parameters, L layers, h hidden features, i features inside the
MLP, kv features of keys and of values, v vocabulary entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from training.alignment.config import TrainingConfig
from training.alignment.positions import known_positions

# What an optimiser keeps a weight: AdamW two moments, the others one or hardly any.
OPTIMIZER_BYTES = {"adamw": 8, "rmsprop": 4, "sgd": 4, "adafactor": 0}


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
    """Memory in bytes, speed in operations and in bytes a second, and where the speed is from.

    `former_runs` is how many runs the speed was measured on: one says little of the next.
    """

    memory: int
    speed: float
    bandwidth: float
    basis: str
    on_cpu: bool = True
    former_runs: int = 0


@dataclass(frozen=True)
class Part:
    """Bytes of one part of the memory, or seconds of one phase."""

    name: str
    amount: float


@dataclass(frozen=True)
class RewardModel:
    """A reward model that an online run loads, and its bytes a weight."""

    size: ModelSize
    width: int = 4


def kept_of_a_token(config: TrainingConfig, size: ModelSize, *, lora: bool) -> float:
    """Bytes that a forward pass keeps of each token until the backward pass.

    A layer keeps about 12 h + 2 kv + 4 i values; the first are the residual stream and its norms,
    float32 in either precision. An adapter keeps what its branches add, 4 h + 2 kv + 2 i. With
    gradient checkpointing a layer keeps its input; one at a time is computed again, and held with
    its gradients.
    """
    width = 2 if config.dtype == "bfloat16" else 4
    layer = 4 * 12 * size.hidden + width * (2 * size.key_value + 4 * size.intermediate)
    if lora:
        layer += width * (4 * size.hidden + 2 * size.key_value + 2 * size.intermediate)
    if config.gradient_checkpointing:
        return size.layers * 4 * size.hidden + 2 * layer
    return size.layers * layer


def tokens_of_an_example(config: TrainingConfig, data: DataSize) -> float:
    """The prompt counted once for all of its completions."""
    prompt = min(data.prompt, config.max_prompt_length)
    return prompt + data.sequences * min(data.completion, config.max_length - prompt)


def writing(size: ModelSize, machine: Machine, answers: int, batch: int, tokens: int) -> float:
    """Writing a token reads every weight once for the whole batch, or computes, if that is more."""
    rounds = -(-answers // max(1, batch))
    read = rounds * tokens * 4 * size.parameters / machine.bandwidth
    return max(read, answers * tokens * size.operations / machine.speed)


def _size(values: Mapping[str, Any], *names: str, default: int | None = None) -> int:
    for name in names:
        if values.get(name) is not None:
            return int(values[name])
    if default is None:
        raise ValueError(f"the model's config.json names no {names[0]}")
    return default
