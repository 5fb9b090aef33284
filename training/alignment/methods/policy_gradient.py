"""Prompts and a reward: policy-gradient methods, which sample answers while they train."""

from dataclasses import dataclass
from typing import Any

from training.alignment.methods.method import DataKind, Method
from training.alignment.options import OptionError, Options, option

FAMILY = "Prompts and a reward"
_LOSSES = "training.alignment.losses.policy_gradient"
_ADVANTAGES = "training.alignment.advantages"
_REDUCTIONS = ("sum", "sequence", "token", "dr_grpo")
_REDUCTION_HELP = (
    "How per-token losses become one number. sum: a response's sum, averaged over responses; "
    "sequence: a response's mean, averaged over responses; token: the mean over all tokens; "
    "dr_grpo: a response's sum over the constant max_new_tokens."
)
_EPOCHS_HELP = "Passes over one step's answers before new ones are sampled."
_KL_HELP = "KL to the reference, taken from each token's reward; where adapting starts."
# Any row has a prompt.
_ALSO: tuple[DataKind, ...] = ("pairs", "lists", "binary", "demonstrations")
_UNWEIGHTED = (
    "Every prompt counts alike: a row's weight is not used, nor are labels, ranks and strengths of "
    "data that hold more than prompts."
)
_DEFAULTS = {"learning_rate": 1e-6, "warmup_steps": 0, "max_grad_norm": 1.0}


@dataclass(frozen=True, kw_only=True)
class _Updates(Options):
    """How one step's rollout is used."""

    epochs_per_batch: int = option(1, help=_EPOCHS_HELP, min=1, max=100)
    mini_batches: int = option(
        1, help="Optimiser updates a pass; each takes an equal share of the prompts.", min=1,
        max=4096,
    )  # fmt: skip
    entropy_coefficient: float = option(
        0.0, help="Bonus for the entropy of the next token, in nats.", min=0.0, max=10.0
    )


def _check_on_policy(options: _Updates, instead: str) -> None:
    for name in ("epochs_per_batch", "mini_batches"):
        if (count := getattr(options, name)) > 1:
            raise OptionError(
                name,
                f"{count} would learn from answers of an older policy after the first update, for "
                f"which this loss has no ratio; leave it at 1, or {instead}",
            )


@dataclass(frozen=True, kw_only=True)
class ReinforceHyperparameters(_Updates):
    beta: float = option(
        0.05, help="KL to the reference, taken from each answer's reward.", min=0.0, max=100.0
    )
    baseline: str = option(
        "running",
        help="What is taken from the reward: a running mean of former steps, the batch's mean, or "
        "nothing.",
        choices=("running", "batch", "none"),
    )
    baseline_decay: float = option(
        0.9,
        help="Share of the running mean that is kept from step to step.",
        min=0.0,
        max=0.9999,
        used_when=lambda options: options.baseline == "running",
    )
    reduction: str = option("sum", help=_REDUCTION_HELP, choices=_REDUCTIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_on_policy(self, "take ppo or grpo")


@dataclass(frozen=True, kw_only=True)
class RLOOHyperparameters(_Updates):
    beta: float = option(
        0.03,
        help="KL to the reference, taken from each answer's reward. The paper uses 0.03, popular "
        "code 0.05.",
        min=0.0,
        max=100.0,
    )
    objective: str = option(
        "reinforce",
        help="The paper's REINFORCE, or PPO's clip on whole answers (popular code), for several "
        "updates on one rollout.",
        choices=("reinforce", "sequence_clip"),
    )
    clip_range: float = option(
        0.2,
        help="Clip of an answer's probability ratio, for sequence_clip.",
        min=0.0,
        max=10.0,
        used_when=lambda options: options.objective == "sequence_clip",
    )
    reduction: str = option("sum", help=_REDUCTION_HELP, choices=_REDUCTIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective == "reinforce":
            _check_on_policy(self, "set objective to sequence_clip")


def _adapts(options: Any, *controllers: str) -> bool:
    """Whether the KL coefficient is adapted by one of these; nothing moves it from zero."""
    return options.kl_controller in controllers and options.kl_coefficient > 0


@dataclass(frozen=True, kw_only=True)
class PPOHyperparameters(_Updates):
    epochs_per_batch: int = option(4, help=_EPOCHS_HELP, min=1, max=100)
    kl_coefficient: float = option(0.05, help=_KL_HELP, min=0.0, max=100.0)
    kl_controller: str = option(
        "fixed",
        help="Keep the coefficient, or adapt it to kl_target: Schulman's halves and doubles, "
        "Ziegler's is proportional.",
        choices=("fixed", "schulman", "ziegler"),
        used_when=lambda options: options.kl_coefficient > 0,
    )
    kl_target: float = option(
        6.0,
        help="Wanted KL to the reference, in nats an answer.",
        min=1e-6,
        max=1e6,
        used_when=lambda options: _adapts(options, "schulman", "ziegler"),
    )
    kl_horizon: float = option(
        10_000.0,
        help="Answers over which Ziegler's controller may change by a fifth.",
        min=1.0,
        max=1e12,
        used_when=lambda options: _adapts(options, "ziegler"),
    )
    clip_range: float = option(0.2, help="Clip of a token's probability ratio.", min=0.0, max=10.0)
    value_clip_range: float = option(
        0.2,
        help="Clip of the value model's change in one step; 0 turns it off.",
        min=0.0,
        max=1000.0,
        used_when=lambda options: options.value_coefficient > 0,
    )
    value_coefficient: float = option(
        0.1, help="Weight of the value model's loss.", min=0.0, max=100.0
    )
    gamma: float = option(1.0, help="Discount of later rewards.", min=0.0, max=1.0)
    lam: float = option(
        0.95,
        help="GAE's lambda: 1 trusts rewards, 0 the value model.",
        min=0.0,
        max=1.0,
        used_when=lambda options: options.gamma > 0,
    )
    whiten_rewards: bool = option(False, help="Scale the rewards of a batch to variance one.")
    whiten_advantages: bool = option(
        True, help="Shift and scale the advantages over the batch's real tokens."
    )
    reduction: str = option("token", help=_REDUCTION_HELP, choices=_REDUCTIONS)


@dataclass(frozen=True, kw_only=True)
class PPOPtxHyperparameters(PPOHyperparameters):
    epochs_per_batch: int = option(1, help=_EPOCHS_HELP, min=1, max=100)
    kl_coefficient: float = option(0.02, help=_KL_HELP, min=0.0, max=100.0)
    ptx_coefficient: float = option(
        27.8,
        help="Weight of the log-likelihood of pretraining text (the paper's gamma).",
        min=0.0,
        max=1e4,
    )
    ptx_examples: int = option(
        8,
        help="Texts of ptx_file for each sampled answer.",
        min=1,
        max=1024,
        used_when=lambda options: options.ptx_coefficient > 0,
    )


@dataclass(frozen=True, kw_only=True)
class GRPOHyperparameters(_Updates):
    beta: float = option(0.04, help="Weight of the KL penalty in the loss.", min=0.0, max=100.0)
    clip_low: float = option(
        0.2, help="How far a token's probability ratio may fall below 1.", min=0.0, max=1.0
    )
    clip_high: float = option(
        0.2, help="How far it may rise above 1; DAPO takes 0.28.", min=0.0, max=10.0
    )
    kl_estimator: str = option(
        "k3",
        help="The paper's k3; k3 times the importance ratio, whose gradient is unbiased (popular "
        "code's default); or k2.",
        choices=("k3", "k3_corrected", "k2"),
        used_when=lambda options: options.beta > 0,
    )
    advantage_scale: str = option(
        "std", help="Divide by the group's standard deviation, or not (Dr. GRPO).",
        choices=("std", "none"),
    )  # fmt: skip
    reduction: str = option("sequence", help=_REDUCTION_HELP, choices=_REDUCTIONS)


METHODS = (
    Method(
        name="reinforce",
        title="REINFORCE with a baseline",
        paper="Williams 1992, Simple Statistical Gradient-Following Algorithms for Connectionist "
        "Reinforcement Learning",
        url="https://doi.org/10.1007/BF00992696",
        family=FAMILY,
        data="prompts",
        also=_ALSO,
        loop="online",
        needs_reference=True,
        needs_rewards=True,
        summary="Raises the probability of answers in proportion to how much better than usual "
        "they were rewarded. The simplest policy gradient; no value model.",
        hyperparameters=ReinforceHyperparameters,
        loss=f"{_LOSSES}:reinforce_loss",
        step_statistic=f"{_ADVANTAGES}:reinforce_advantages",
        defaults=_DEFAULTS,
        formula=r"\mathcal{L} = -\,\mathbb{E}\Big[\big(R(x,y) - b\big)\sum_t \log \pi_\theta(y_t "
        r"\mid x, y_{<t})\Big],\quad R = r(x,y) - \beta \sum_t \log\frac{\pi_\theta}{\pi_{ref}}",
        when="As the plainest baseline, or with one answer a prompt, where RLOO and GRPO cannot.",
        pitfalls=(
            "One update a rollout: a second one would learn from an older policy's answers without "
            "a ratio, and is refused.",
            "The variance is high; use many answers a step.",
        ),
        conventions=(
            "baseline=batch includes the answer's own reward, which shrinks the gradient by "
            "(n - 1) / n; running and RLOO's baseline do not.",
            _UNWEIGHTED,
        ),
        evidence="Gradient against finite differences and against the exact gradient of a bandit.",
    ),
    Method(
        name="rloo",
        title="REINFORCE leave-one-out",
        paper="Ahmadian et al. 2024, Back to Basics: Revisiting REINFORCE Style Optimization for "
        "Learning from Human Feedback in LLMs",
        url="https://arxiv.org/abs/2402.14740",
        family=FAMILY,
        data="prompts",
        also=_ALSO,
        loop="online",
        needs_reference=True,
        needs_rewards=True,
        summary="Compares each answer with the mean of the other answers to its prompt. No value "
        "model; needs two or more answers a prompt.",
        hyperparameters=RLOOHyperparameters,
        loss=f"{_LOSSES}:rloo_loss",
        step_statistic=f"{_ADVANTAGES}:rloo_advantages",
        least_samples=2,
        defaults={**_DEFAULTS, "samples_per_prompt": 4},
        formula=r"\mathcal{L} = -\frac1k\sum_{i=1}^{k}\Big(R(x,y_i) - \frac1{k-1}\sum_{j\ne i} "
        r"R(x,y_j)\Big)\log \pi_\theta(y_i \mid x)",
        when="Where PPO is wanted without its value model: about as good in the paper, with half "
        "the memory.",
        pitfalls=("The KL is part of the reward, so the logged reward is not what is maximised.",),
        conventions=(
            "The paper is on-policy: objective=reinforce. Popular code (TRL) clips the ratio of "
            "whole answers: objective=sequence_clip. Its comment cites a wrong arXiv id "
            "(2405.14782). Several updates a rollout need its ratio and are refused without.",
            "beta is 0.03 in the paper, 0.05 in TRL.",
            _UNWEIGHTED,
        ),
        evidence="Worked values of advantage and surrogate; the advantage agrees with verl's.",
    ),
    Method(
        name="ppo",
        title="Proximal policy optimisation",
        paper="Schulman et al. 2017, Proximal Policy Optimization Algorithms; for language models "
        "Ziegler et al. 2019 and Ouyang et al. 2022",
        url="https://arxiv.org/abs/1707.06347",
        family=FAMILY,
        data="prompts",
        also=_ALSO,
        loop="online",
        needs_reference=True,
        needs_rewards=True,
        needs_value_model=True,
        summary="Maximises the reward less KL to the reference, with a value model that tells each "
        "token's share and a clip that bounds each step.",
        hyperparameters=PPOHyperparameters,
        loss=f"{_LOSSES}:ppo_loss",
        step_statistic=f"{_ADVANTAGES}:ppo_advantages",
        defaults=_DEFAULTS,
        formula=r"\mathcal{L}_t = -\min\big(\rho_t \hat A_t,\ \mathrm{clip}(\rho_t, 1 \pm "
        r"\epsilon)\,\hat A_t\big) + \tfrac{c_V}{2} \max\big((V_t - R_t)^2, (\bar V_t - "
        r"R_t)^2\big)",
        when="The classic last stage of RLHF, where the reward comes at the end and answers are "
        "long enough for a value model to earn its memory.",
        pitfalls=(
            "A KL below zero means that sampling and scoring differ; both use one temperature "
            "here and no top-k, and the difference is logged.",
            "The score stands on the last real token. Popular code long put it on padding.",
            "Watch the explained variance: a value model that explains nothing only adds noise.",
        ),
        conventions=(
            "Ziegler's controller is proportional, Schulman's halves and doubles; fixed is the "
            "default.",
            "Schulman's rule steers the weight of the KL to the reference in the reward here; his "
            "paper's (section 4) that of a penalty in the loss on the KL to the policy that "
            "sampled, which is not offered.",
            "Ziegler's β falls in a step to no less than a tenth of itself. The paper has no such "
            "floor, for its batches are far smaller than its horizon; one of more than five "
            "horizons below the target would turn β negative.",
            "The value loss has the factor 1/2 of the paper's code; TRL's vf_coef 0.1 is the same.",
            _UNWEIGHTED,
        ),
        evidence="Worked values of clip, value clip, GAE, token rewards and both controllers; GAE "
        "and controllers agree with verl and OpenRLHF.",
    ),
    Method(
        name="ppo_ptx",
        title="PPO with a pretraining term",
        paper="Ouyang et al. 2022, Training Language Models to Follow Instructions with Human "
        "Feedback",
        url="https://arxiv.org/abs/2203.02155",
        family=FAMILY,
        data="prompts",
        also=_ALSO,
        loop="online",
        needs_reference=True,
        needs_rewards=True,
        needs_value_model=True,
        summary="PPO that also keeps the likelihood of pretraining text or demonstrations high, "
        "against what alignment costs elsewhere. Needs ptx_file.",
        hyperparameters=PPOPtxHyperparameters,
        loss=f"{_LOSSES}:ppo_loss",
        step_statistic=f"{_ADVANTAGES}:ppo_advantages",
        defaults=_DEFAULTS,
        formula=r"\mathcal{L} = \mathcal{L}_{PPO} - \gamma\,\mathbb{E}_{x \sim D_{pretrain}}"
        r"\big[\log \pi_\theta(x)\big]",
        when="When other abilities fall while the reward rises.",
        pitfalls=(
            "The paper's weight of 27.8 belongs to its loss a token and its batch; the logged "
            "ptx_loss should neither rise nor swamp the rest.",
            "At max_grad_norm 1 this weight leaves little of PPO's own gradient: where the reward "
            "does not rise, lower ptx_coefficient or raise max_grad_norm.",
        ),
        conventions=(
            "No surveyed library ships this term today; the weight is on a token mean.",
            f"{_UNWEIGHTED} Texts of ptx_file are drawn alike too, whatever their weight.",
            "The paper's values are the defaults: 27.8, 8 texts an answer, a KL coefficient of "
            "0.02 and one pass (PPO's are 0.05 and 4). It deals 512 answers to 8 mini-batches, "
            "which mini_batches would set.",
        ),
        evidence="Worked value of the sum; the term's gradient against gamma times that of the "
        "likelihood. The paper's values were read in copies of its text (appendix C.4).",
    ),
    Method(
        name="grpo",
        title="Group relative policy optimisation",
        paper="Shao et al. 2024, DeepSeekMath: Pushing the Limits of Mathematical Reasoning in "
        "Open Language Models",
        url="https://arxiv.org/abs/2402.03300",
        family=FAMILY,
        data="prompts",
        also=_ALSO,
        loop="online",
        needs_reference=True,
        needs_rewards=True,
        summary="Scores several answers to each prompt and learns from how each compares with its "
        "group. No value model; made for rewards that can be verified.",
        hyperparameters=GRPOHyperparameters,
        loss=f"{_LOSSES}:grpo_loss",
        step_statistic=f"{_ADVANTAGES}:grpo_advantages",
        least_samples=2,
        defaults={**_DEFAULTS, "samples_per_prompt": 8},
        formula=r"\mathcal{L} = \frac1G\sum_{i=1}^{G}\frac1{|o_i|}\sum_t\Big[-\min\big(\rho_{i,t} "
        r"\hat A_i,\ \mathrm{clip}(\rho_{i,t}, 1 \pm \epsilon)\,\hat A_i\big) + \beta\,k_3\Big]",
        when="With verifiers, or a reward model and many answers a prompt.",
        pitfalls=(
            "A group whose answers all get one reward teaches nothing; the share is logged.",
            "The paper's mean over each answer favours long wrong answers; dr_grpo does not.",
        ),
        conventions=(
            "reduction: the paper averages over answers (sequence), DAPO and popular code over "
            "tokens (token), Dr. GRPO divides by a constant (dr_grpo, with advantage_scale=none).",
            "kl_estimator: the paper's k3 has a biased gradient; TRL >= 1.16 multiplies it by the "
            "ratio (k3_corrected) and sets beta to 0.",
            _UNWEIGHTED,
        ),
        evidence="Worked values of the three reductions and of the advantage, cross-checked "
        "against TRL and verl. That β is 0.04 and the learning rate 1e-6 was read in copies of the "
        "paper's text (section 4.2), which samples 64 answers a prompt and names no ε there: 0.2 "
        "is PPO's.",
    ),
)
