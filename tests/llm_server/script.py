"""What a server was told to do: how it judges, what it can do, and how often it fails."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

# Any HTTP status is a fault as well: "429", "500", "408", "400".
FAULTS = {
    "timeout": "never answers",
    "dropped": "closes the connection in the middle of the answer",
    "slow": "sends the answer in small pieces, --slow-ms in all",
    "malformed": "sends half of the JSON, properly framed",
    "wrong_schema": "answers with something else than was asked for",
    "injected": "answers rightly, with instructions and HTML in its reason",
    "no_logprobs": "leaves out log-probabilities that were asked for",
    "refusal": "refuses to answer, with status 200",
    "cut": "stops after a few tokens, finish_reason length",
    "redirect": "sends the client to --redirect-to",
}
VERDICTS = ("hash", "first", "second", "longer", "shorter", "tie")
ABILITIES = ("logprobs", "n", "seed", "json_schema", "choices")


@dataclass
class Script:
    """`rates` are shares of calls; `ignored` and `refused` are abilities it does not have, and
    `refused_with` the status with which it says so."""

    models: tuple[str, ...] = ("scripted",)
    key: str = ""
    seed: int = 0
    verdict: str = "hash"
    position_bias: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    refused_with: int = 400
    retry_after: float = 1.0
    retry_after_form: str = "both"
    slow_ms: float = 500.0
    sleep_ms: float = 0.0
    canned: bool = False
    redirect_to: str = "http://169.254.169.254/latest/meta-data/"

    def fault(self, question: str, times: int) -> str:
        """What goes wrong with the times-th asking of this question; empty: nothing.

        It hangs on these and the seed alone, not on the order in which questions come.
        """
        if not self.rates:
            return ""
        left = fraction(self.seed, "fault", question, times)
        for name, rate in self.rates.items():
            left -= rate
            if left < 0:
                return name
        return ""


def fraction(*parts: object) -> float:
    """A number from 0 up to 1 that looks random and is always the same for the same parts."""
    data = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=7).digest(), "big") / 2**56


def check_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """Raises ValueError for a fault that is not known or a sum above one."""
    for name in rates:
        if name not in FAULTS and not (name.isdigit() and 400 <= int(name) <= 599):
            raise ValueError(f"There is no fault {name!r}: a status, or {', '.join(FAULTS)}.")
    if sum(rates.values()) > 1 + 1e-9 or any(rate < 0 for rate in rates.values()):
        raise ValueError("The rates of faults are shares of all calls: at most 1 together.")
    return dict(rates)


def parser() -> argparse.ArgumentParser:
    faults = "\n".join(f"  {name:13} {what}" for name, what in FAULTS.items())
    made = argparse.ArgumentParser(
        prog="python -m tests.llm_server",
        description=f"A scripted OpenAI-compatible server.\n\nfaults, beside any status:\n{faults}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 takes any that is free")
    add("--port-file", help="the port is written here once the server listens")
    add("--model", action="append", help="a model's name; may be given again (scripted)")
    add("--key", default="", help="the bearer key that calls must carry")
    add("--seed", type=int, default=0)
    add("--verdict", choices=VERDICTS, default="hash", help="which answer is the better one")
    add("--position-bias", type=float, default=0.0, help="share of calls that take the first")
    add("--rate", action="append", default=[], metavar="FAULT=SHARE")
    add("--ignore", action="append", choices=ABILITIES, help="an ability it silently lacks")
    add("--refuse", action="append", choices=ABILITIES, help="an ability it refuses with 400")
    add("--retry-after", type=float, default=1.0, help="seconds that a 429 or 503 asks to wait")
    add("--retry-after-form", choices=("seconds", "date", "both", "none"), default="both")
    add("--slow-ms", type=float, default=500.0)
    add("--sleep-ms", type=float, default=0.0, help="how long each answer takes")
    add("--canned", action="store_true", help="its first answer is the answer to every call")
    add("--redirect-to", default=Script.redirect_to)
    return made


def script_of(arguments: argparse.Namespace) -> Script:
    pairs = (rate.partition("=") for rate in arguments.rate)
    return Script(
        models=tuple(arguments.model or ("scripted",)),
        key=arguments.key,
        seed=arguments.seed,
        verdict=arguments.verdict,
        position_bias=arguments.position_bias,
        rates=check_rates({name: float(share) for name, _, share in pairs}),
        ignored=frozenset(arguments.ignore or ()),
        refused=frozenset(arguments.refuse or ()),
        retry_after=arguments.retry_after,
        retry_after_form=arguments.retry_after_form,
        slow_ms=arguments.slow_ms,
        sleep_ms=arguments.sleep_ms,
        canned=arguments.canned,
        redirect_to=arguments.redirect_to,
    )
