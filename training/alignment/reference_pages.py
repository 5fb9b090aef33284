"""The method reference: what a method needs, its settings and symbols; and the pages in docs/.

usage: python -m training.alignment.reference_pages docs/methods

Imports without torch: the web application draws its own pages from the same parts.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from training.alignment.methods import Method, methods
from training.alignment.option_words import bounds, plain
from training.alignment.options import Option, describe_options

DATA = {
    "pairs": "pairs: two answers to a prompt, one chosen",
    "binary": "single answers, each good or bad",
    "lists": "lists: several answers to a prompt, ranked",
    "demonstrations": "demonstrations: prompts with an answer to imitate",
    "prompts": "prompts alone",
}
ALSO = {
    "pairs": "the chosen answers of pairs, when asked",
    "lists": "ranked lists, cut into pairs",
}
# LaTeX, how it is recognised in a formula, what it means.
NOTATION = (
    (r"x, y", r"\bx_?i?\b", "a prompt and an answer to it"),
    (r"y_w, y_l", r"y_w", "the chosen and the rejected answer; $|y|$ is the number of its tokens"),
    (r"\pi_\theta", r"\\pi_\\theta", "the policy that is trained"),
    (
        r"\ell",
        r"\\ell",
        r"the policy's log-probability of an answer: the sum over its tokens, the end of text "
        r"included; with a bar ($\bar{\ell}$) the mean over its tokens",
    ),
    (
        r"\Delta",
        r"\\Delta|(?<![\\A-Za-z])m(?![A-Za-z])",
        "log-probability under the policy less that under the reference, of a whole answer",
    ),
    (
        "m",
        r"(?<![\\A-Za-z])m(?![A-Za-z])",
        r"the margin $\Delta_w - \Delta_l$ between chosen ($w$) and rejected ($l$) answer",
    ),
    (r"\sigma", r"\\sigma", "the logistic function"),
    ("r", r"(?<![\\A-Za-z])r_", "the reward model's score"),
    ("p", r"(?<![\\A-Za-z])p(?![A-Za-z_])", "the probability that the first answer is better"),
    (r"\mu, c", r"\\mu", "the scaled strength of the preference, and the centring weight"),
    (
        r"M_i, \bar{M}, M_0",
        r"M_0",
        "a pair's gap, the mean gap of the step's kept pairs, and the running mean",
    ),
    ("f", r"(?<![\\A-Za-z])f\(", "the chosen convex function"),
    ("f'", "f'", "the derivative of the divergence's generator: see the conventions"),
    ("R", r"(?<![\\A-Za-z])R\(", "the reward of an answer, its KL penalty included"),
    (r"\rho", r"\\rho", "probability of a token under the policy over that when it was sampled"),
    (r"\hat A", r"\\hat A", "the advantage: how much better than expected"),
    (
        r"V_t, \bar V_t, R_t",
        r"V_t",
        "the value model's estimate, the same clipped, and the return that it should have told",
    ),
    ("k_3", r"k_3", "an estimate of the KL divergence to the reference, never negative"),
    (r"i \succ j", r"\\succ", "answer $i$ is ranked above answer $j$"),
)


def needs(method: Method) -> list[str]:
    """What a run of the method has to have, in words."""
    wanted = {
        "a reference model": method.needs_reference,
        "a reward source": method.needs_rewards,
        "a value model": method.needs_value_model,
        "sampling while it trains": method.loop == "online",
    }
    if method.data == "prompts":
        also = [f"those of {' or '.join(method.also)}"] if method.also else []
    else:
        also = [ALSO.get(kind, kind) for kind in method.also]
    data = DATA[method.data] + (f" (or {', or '.join(also)})" if also else "")
    return [data, *(words for words, is_needed in wanted.items() if is_needed)]


def result(method: Method) -> str:
    """What comes out of a run."""
    return "a reward model" if method.trains == "reward" else "a policy: a model that answers"


def settings(method: Method) -> list[Option]:
    """The method's own settings."""
    return describe_options(method.hyperparameters)


def notation(method: Method) -> list[tuple[str, str]]:
    """The symbols of the method's formula: LaTeX and meaning (with LaTeX between dollar signs)."""
    return [
        (latex, meaning)
        for latex, pattern, meaning in NOTATION
        if re.search(pattern, method.formula)
    ]


def by_family(chosen: Sequence[Method]) -> dict[str, list[Method]]:
    """Methods under their families, in the registry's order."""
    families: dict[str, list[Method]] = {}
    for method in chosen:
        families.setdefault(method.family, []).append(method)
    return families


def page(method: Method) -> str:
    """One method's page in Markdown, formulas between dollar signs as GitHub renders them."""
    sections = [
        f"# {method.title}\n\n`{method.name}` · {method.family}\n\n{method.summary}",
        f"$$\n{method.formula}\n$$\n\n" + _symbols(method),
        f"## When to use it\n\n{method.when}",
        "## What it needs\n\n" + _bullets([*needs(method), *_labels(method)]),
        f"It makes {result(method)}.",
        "## Settings\n\n" + _settings(method),
        "## Pitfalls\n\n" + _bullets(method.pitfalls),
    ]
    if method.conventions:
        sections.append("## Conventions\n\n" + _bullets(method.conventions))
    sections += [
        f"## How it was checked\n\n{method.evidence}",
        f"## Citation\n\n[{method.paper}]({method.url}).",
        "[All methods](README.md)",
    ]
    return "\n\n".join(sections) + "\n"


def index(chosen: Sequence[Method]) -> str:
    """The page that lists all methods by family."""
    parts = [
        "# Training methods\n\nGenerated from the registry by "
        "`python -m training.alignment.reference_pages docs/methods`; change the entries in "
        "`training/alignment/methods/`, not these pages. The default of every convention is the "
        "paper's."
    ]
    for family, members in by_family(chosen).items():
        rows = [
            f"| [{method.title}]({method.name}.md) | `{method.name}` | {method.summary} |"
            for method in members
        ]
        head = f"## {family}\n\n| Method | Name | |\n| --- | --- | --- |\n"
        parts.append(head + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def pages() -> dict[str, str]:
    """Every page by its file name."""
    return {"README.md": index(methods())} | {
        f"{method.name}.md": page(method) for method in methods()
    }


def write(folder: Path) -> None:
    """Write all pages into `folder` and remove those of methods that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    for stale in folder.glob("*.md"):
        if stale.name not in made:
            stale.unlink()


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _symbols(method: Method) -> str:
    lines = [f"${latex}$: {meaning}" for latex, meaning in notation(method)]
    return _bullets(lines)


def _labels(method: Method) -> list[str]:
    if not method.soft_labels:
        return []
    return ["takes soft labels: with `soft_labels` each pair counts by its probability"]


def _settings(method: Method) -> str:
    rows = [
        f"| `{option.name}` | {plain(option.default)} | {bounds(option)} | {option.help} |"
        for option in settings(method)
    ]
    own = "| Name | Default | Values | |\n| --- | --- | --- | --- |\n" + "\n".join(rows)
    suits = ", ".join(f"`{name}` {plain(value)}" for name, value in method.defaults.items())
    parts = [own if rows else "It has none of its own."]
    if suits:
        parts.append(f"Settings of every run that suit it: {suits}.")
    return "\n\n".join(parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(Path(sys.argv[1]))
