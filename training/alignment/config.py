"""What one training run is asked to do. Imports without torch, so the web process can use it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from training.alignment.methods import get_method, parse_hyperparameters
from training.alignment.options import (
    OptionError,
    Options,
    describe_options,
    json_object,
    option,
    parse_options,
    unused_options,
)

# Beyond this, a CPU's matrix products gain nothing from more rows.
CPU_PASS_TOKENS = 2048
# How the help of a setting begins that only one of the two loops looks at.
ONLINE, OFFLINE = "Online: ", "Offline: "
# A reward model writes no answers.
_OF_POLICIES = (
    *("sample_prompts", "sample_max_new_tokens", "step_sample_prompts"),
    "evaluation_reward_model",
)


@dataclass(frozen=True)
class TrainingConfig(Options):
    """One run: data, models, method and every number that shapes the result.

    The constructor takes the defaults that stand here; `from_dict` those of the method, where it
    has its own. Both check every setting and raise OptionError naming one that is wrong.
    """

    method: str = option(help="Name of the training method, for example dpo or kto.")
    base_model: str = option(help="Folder of the model that training starts from.")
    train_file: str = option(
        help="The training side of the data: JSONL, Parquet, or a folder that datasets saved."
    )
    output_dir: str = option(help="Folder for checkpoints, metrics and the trained model.")
    held_out_file: str | None = option(
        None, help="The held-out side, likewise; without it nothing is evaluated."
    )
    start_adapter: str | None = option(
        None,
        help="Folder of a LoRA adapter on the base model from which training starts: with the "
        "adapter lora it is trained on, otherwise merged first. The reference has it too.",
    )
    reference_model: str | None = option(
        None,
        help="Folder of the reference model; when left out, what training starts from, its "
        "adapter included.",
    )
    hyperparameters: Mapping[str, Any] = option(
        {}, help="The method's own hyper-parameters; what is left out takes its default."
    )
    seed: int = option(
        0, help="Decides data order, LoRA's start and all sampling.", min=0, max=2**31 - 1
    )
    device: str = option(
        "auto", help="auto takes a CUDA GPU when there is one.", choices=("auto", "cpu", "cuda")
    )
    dtype: str = option(
        "float32",
        help="Precision of the computation. With bfloat16, full fine-tuning keeps float32 weights; "
        "LoRA holds the frozen base in bfloat16 while it trains and saves it as its folder has it.",
        choices=("float32", "bfloat16"),
    )
    adapter: str = option(
        "full", help="Train all weights, or a LoRA adapter.", choices=("full", "lora")
    )
    lora_rank: int = option(
        16,
        help="Rank of the LoRA matrices. A start adapter that is trained on keeps its own.",
        min=1,
        max=4096,
    )
    lora_alpha: float = option(
        32.0,
        help="LoRA scale; alpha ÷ rank multiplies. A start adapter that is trained on keeps its "
        "own.",
        min=1e-3,
        max=1e5,
    )
    lora_dropout: float = option(
        0.0,
        help="Dropout inside the LoRA branch; 0 where a reference is compared with.",
        min=0.0,
        max=0.9,
    )
    learning_rate: float = option(
        1e-6,
        help="Peak learning rate. For full fine-tuning each method has a default of its own, and "
        "small models often take more; for LoRA 1e-5 to 1e-4.",
        min=0.0,
        max=1.0,
    )
    schedule: str = option(
        "constant",
        help="Learning rate after the warm-up; inverse_sqrt falls with the root of the steps.",
        choices=("constant", "linear", "cosine", "inverse_sqrt"),
    )
    warmup_steps: int = option(10, help="Steps of linear warm-up.", min=0)
    epochs: float = option(
        1.0,
        help="Passes over the training data, rounded up to whole steps: data smaller than a step "
        "are seen several times in it.",
        min=1e-3,
        max=1000.0,
    )
    max_steps: int | None = option(
        None, help="Stop after this many steps, whatever the epochs say.", min=1
    )
    batch_size: int = option(4, help="Examples per device and micro-step.", min=1, max=65536)
    pass_tokens: int | None = option(
        None,
        help="Offline: most tokens in one forward and backward pass. A micro-batch of more is "
        "computed in several: the same gradient with less memory. Left out, 2,048 on a CPU, where "
        "larger ones are no faster, and no limit on a GPU.",
        min=1,
        max=10**9,
    )
    gradient_accumulation: int = option(
        4, help="Offline: micro-steps per optimiser step.", min=1, max=65536
    )
    optimizer: str = option(
        "adamw",
        help="AdamW keeps two numbers a weight, RMSprop (DPO's authors) one, Adafactor almost "
        "none, SGD its momentum.",
        choices=("adamw", "rmsprop", "adafactor", "sgd"),
    )
    adam_beta1: float = option(
        0.9, help="Decay of AdamW's mean of gradients; SGD's momentum.", min=0.0, max=0.9999
    )
    adam_beta2: float = option(
        0.999, help="Decay of AdamW's mean of squared gradients.", min=0.0, max=0.999999
    )
    adam_epsilon: float = option(
        1e-8, help="AdamW's and RMSprop's divisor is at least this.", min=1e-16, max=1.0
    )
    weight_decay: float = option(
        0.0, help="Weight decay; AdamW's and Adafactor's is decoupled.", min=0.0, max=10.0
    )
    max_grad_norm: float = option(
        1.0, help="Clip the global gradient norm to this.", min=1e-6, max=1e6
    )
    gradient_checkpointing: bool = option(
        False, help="Recompute activations in the backward pass: less memory, about 30 % slower."
    )
    shard: bool = option(
        False,
        help="On several processes, split weights, gradients and the optimiser's state over them "
        "(FSDP) instead of keeping all on each.",
    )
    max_length: int = option(
        1024, help="Most tokens of prompt and completion together.", min=2, max=10**6
    )
    max_prompt_length: int = option(
        512, help="Most tokens of the prompt; must be below max_length.", min=1, max=10**6
    )
    truncation_side: str = option(
        "left", help="Side at which a long prompt is cut.", choices=("left", "right")
    )
    data_half: str = option(
        "all",
        help="Offline: learn from all prompts, or from one half of them. The halves are the same "
        "in every run and share no prompt, so that a reward model of the second half can watch a "
        "policy that one of the first half rewards.",
        choices=("all", "first", "second"),
    )
    soft_labels: bool = option(
        False,
        help="Use each pair's probability as a soft target and keep ties as 0.5. Otherwise every "
        "pair counts as certain and ties are dropped and counted. Only for methods that take them.",
    )
    convert_data: bool = option(
        False,
        help="Turn rows of other kinds into what the method needs, for example the chosen side of "
        "pairs into demonstrations. Otherwise they are refused.",
    )
    bad_rows: str = option(
        "refuse",
        help="Rows that cannot be used: refuse the file and name them all, or skip and count them.",
        choices=("refuse", "skip"),
    )
    chat_texts: bool = option(
        False,
        help="Put plain texts into the chat template: the prompt as the user's turn, completions "
        "as the assistant's. Otherwise they follow one another as they are.",
    )
    assistant_turns: str = option(
        "all",
        help="Demonstrations that are whole talks: train all turns of the assistant, or the last "
        "one with the others read as context. Nobody else's turns are ever trained.",
        choices=("all", "last"),
    )
    long_completions: str = option(
        "cut",
        help="Completions beyond max_length: cut their end, or drop the row. Both are counted.",
        choices=("cut", "drop"),
    )
    score_zero: str = option(
        "none",
        help="Reward models: shift all scores after training so that their mean is zero over the "
        "training data, or over demonstrations_file (InstructGPT).",
        choices=("none", "data", "demonstrations"),
    )
    demonstrations_file: str | None = option(
        None,
        help="JSONL file with demonstrations: what score_zero is about, and for a policy what its "
        "evaluation tells the perplexity of before and after (alignment tax).",
    )
    held_out_pairs_file: str | None = option(
        None,
        help="JSONL file with held-out pairs, for a policy whose method reads other data: its "
        "evaluation tells how it has moved on them, as it does on a method's own pairs.",
    )
    reference_cache: str | None = option(
        None,
        help="Folder in which the reference's log-probabilities are kept by content and shared "
        "between runs; a folder of the run's own when left out.",
    )
    checkpoint_every: int = option(50, help="Steps between checkpoints.", min=1)
    evaluate_every: int = option(25, help="Steps between held-out evaluations.", min=1)
    evaluation_limit: int = option(
        200,
        help="Offline: most held-out examples in evaluations during training, a seeded sample of "
        "whole prompts; the last evaluation uses all.",
        min=1,
    )
    prompts_per_step: int = option(
        8, help="Online: prompts answered in each step.", min=1, max=65536
    )
    samples_per_prompt: int = option(
        4, help="Online: answers sampled to each prompt; group methods need two.", min=1, max=4096
    )
    max_new_tokens: int = option(
        128, help="Online: longest sampled answer in tokens.", min=1, max=10**5
    )
    temperature: float = option(
        1.0,
        help="Online: divides the logits both when answers are sampled and when they are scored.",
        min=0.05,
        max=10.0,
    )
    rollout_source: Mapping[str, Any] = option(
        {}, help="Online: what samples the answers; this process when left out."
    )
    reward_sources: Mapping[str, Any] = option(
        {}, help="Online: what the policy is rewarded by, each with its weight."
    )
    watch_sources: Mapping[str, Any] = option(
        {}, help="Online: rewards that are logged beside and never trained on."
    )
    test_reward: str | None = option(
        None,
        help="Online: the watched reward that must rise with the trained one, such as a reward "
        "model of the other half of the preferences; an alarm tells when they part.",
    )
    missing_end_penalty: float = option(
        0.0, help="Online: taken from the reward of an answer that did not end.", min=0.0, max=1e6
    )
    kl_budget: float | None = option(
        None,
        help="Online: stop when the KL to the reference exceeds this, in nats an answer.",
        min=0.0,
        max=1e6,
    )
    step_kl_limit: float | None = option(
        None,
        help="Online: end a step's updates early once the policy has moved this far from the one "
        "that sampled, in nats a token. An update shows how far those before it went, so the one "
        "after the crossing is still made.",
        min=0.0,
        max=1e6,
    )
    sampler_correction: str = option(
        "token",
        help="Online: weight tokens or whole answers by trainer ÷ sampler probability, which "
        "differ by rounding.",
        choices=("token", "sequence", "off"),
    )
    sampler_cap: float = option(2.0, help="Online: largest such weight.", min=1.0, max=1e6)
    value_model: str | None = option(
        None, help="Online: folder that the value model starts from, best a reward model's."
    )
    value_learning_rate: float | None = option(
        None, help="Online: of the value model; the policy's when left out.", min=0.0, max=1.0
    )
    ptx_file: str | None = option(
        None, help="JSONL file with pretraining text or demonstrations, for ppo_ptx."
    )
    sample_prompts: int = option(
        16, help="Held-out prompts answered before and after, for KL and length.", min=0, max=10**5
    )
    sample_max_new_tokens: int = option(
        128, help="Longest sampled answer in tokens.", min=1, max=10**5
    )
    step_sample_prompts: int = option(
        4,
        help="Offline: how many of sample_prompts are also answered, in at most 64 tokens, at each "
        "held-out evaluation while training, to be read side by side; 0 for none.",
        min=0,
        max=10**5,
    )
    evaluation_reward_model: str | None = option(
        None,
        help="Folder of a reward model that compares the sampled answers before and after; best "
        "one that the run was not trained on.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        method = get_method(self.method)
        parse_hyperparameters(method, self.hyperparameters)
        if self.soft_labels and not method.soft_labels:
            raise OptionError(
                "soft_labels",
                f"{method.title} takes no soft labels; leave this off, and every pair counts as "
                "certain, or choose a method that takes them",
            )
        if self.max_prompt_length >= self.max_length:
            raise OptionError(
                "max_prompt_length",
                f"{self.max_prompt_length} leaves no room for a completion within max_length "
                f"{self.max_length}",
            )
        if self.shard and method.loop == "online":
            raise OptionError("shard", "does not work with methods that sample while they train")
        if self.score_zero == "demonstrations" and self.demonstrations_file is None:
            raise OptionError("demonstrations_file", "is needed for score_zero demonstrations")
        if self.score_zero != "none" and method.trains != "reward":
            raise OptionError("score_zero", "is about reward models; this method trains a policy")
        if self.held_out_pairs_file is not None and method.trains == "reward":
            raise OptionError("held_out_pairs_file", "is about policies, not about reward models")
        is_held = method.needs_reference and method.loop == "offline" and not self.reference_model
        if is_held and self.start_adapter and self.adapter == "lora" and self.lora_dropout:
            raise OptionError(
                "lora_dropout",
                "must be 0 where an adapter is trained on and its start is the reference, for "
                "dropout would part the two before anything is learned",
            )

    def tokens_at_once(self, *, on_cpu: bool) -> int | None:
        """Most tokens in one forward and backward pass; None is without a limit."""
        return self.pass_tokens or (CPU_PASS_TOKENS if on_cpu else None)

    @property
    def unused(self) -> tuple[str, ...]:
        """Settings that were changed and that a run of this method never looks at.

        Of the method's own those that the others leave without effect.
        """
        method = get_method(self.method)
        other = OFFLINE if method.loop == "online" else ONLINE
        known = {one.name: one for one in describe_options(type(self))}
        names = {name for name, one in known.items() if one.help.startswith(other)}
        names |= set(_OF_POLICIES) if method.trains == "reward" else set()
        defaults = {name: known[name].default for name in names} | dict(method.defaults)
        changed = {name for name in names if getattr(self, name) != defaults[name]}
        own = parse_hyperparameters(method, self.hyperparameters)
        return tuple(sorted(changed | unused_options(own)))

    @property
    def reference(self) -> str:
        """Folder of the reference model."""
        return self.reference_model or self.base_model

    @property
    def reference_adapter(self) -> str | None:
        """Folder of the adapter on the reference model."""
        return self.start_adapter if self.reference_model is None else None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain values; what is left out takes the method's default, or this class's.

        Raises OptionError naming the key that is wrong.
        """
        name = values.get("method")
        if not isinstance(name, str):
            return parse_options(cls, values)
        method = get_method(name)
        own = {one.name for one in describe_options(method.hyperparameters)}
        for stray in sorted((own & values.keys()) - {one.name for one in describe_options(cls)}):
            value = json.dumps({"hyperparameters": {stray: values[stray]}}, default=str)
            raise OptionError(stray, f"belongs into hyperparameters: {value}")
        return parse_options(cls, {**method.defaults, **values})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; raises OptionError naming the key that is wrong."""
        return cls.from_dict(json_object(text))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a run.json."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))

    def to_json(self) -> str:
        """All fields as JSON, defaults included, so that a run does not change with the code."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"
