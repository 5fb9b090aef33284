"""Sample responses of a model to prompts.

    python -m training.alignment.sample --config sample.json

The prompts file holds one {"prompt_id", "messages"} a line. One line is appended to the output file
for each response as it is done: {"prompt_id", "messages": [{"role": "assistant", "content"}],
"seed", "tokens", "finish_reason"}. Started again, it goes on with the responses that are missing,
and writes the same ones, for each response has a seed of its own. Progress goes to standard output
as JSON lines {"done", "total", "tokens_per_second"}; an error as {"error"}, with exit code 1.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from training.alignment.options import (
    OptionError,
    Options,
    describe_options,
    json_object,
    option,
    parse_options,
)


@dataclass(frozen=True)
class SampleConfig(Options):
    """One sampling job."""

    model: str = option(help="Folder of the model.")
    prompts_file: str = option(help="JSONL file of prompts: prompt_id and messages.")
    output_file: str = option(help="JSONL file that responses are appended to.")
    seed: int = option(0, help="Decides all responses.", min=0, max=2**31 - 1)
    max_new_tokens: int = option(256, help="Longest response in tokens.", min=1, max=10**5)
    temperature: float = option(
        0.8, help="0 takes the most likely token every time.", min=0.0, max=10.0
    )
    top_p: float = option(
        0.95, help="Sample from the likeliest tokens up to this share.", min=0.01, max=1.0
    )
    per_prompt: int = option(1, help="Responses for each prompt.", min=1, max=1000)
    batch_size: int = option(8, help="Responses sampled together.", min=1, max=4096)
    device: str = option(
        "auto", help="auto takes a CUDA GPU when there is one.", choices=("auto", "cpu", "cuda")
    )
    dtype: str = option(
        "bfloat16", help="Precision of the weights.", choices=("float32", "bfloat16")
    )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a sample.json; raises OptionError naming the key that is wrong."""
        return parse_options(cls, json_object(path.read_text(encoding="utf-8")))


class Wanted(NamedTuple):
    """A response that is still to be sampled."""

    prompt_id: str
    messages: list[dict[str, str]]
    seed: int


def main() -> int:
    arguments = _parser().parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if arguments.supervised:
        from training.alignment.supervision import die_with_parent

        die_with_parent()
    try:
        sample(SampleConfig.load(arguments.config))
    except Exception as error:  # noqa: BLE001  # the process boundary: the reader gets one sentence
        from training.alignment.failures import reason

        print(json.dumps({"error": reason(error)}), flush=True)
        return 1
    return 0


def sample(config: SampleConfig) -> None:
    """Sample what is missing from the output file and append it."""
    output = Path(config.output_file)
    wanted, total = _wanted(config, _done_seeds(output))
    before = total - len(wanted)
    _report(before, total, 0.0)
    if not wanted:
        return
    model, tokenizer = _load(config)
    tokens, began = 0, time.perf_counter()
    with output.open("a", encoding="utf-8") as file:
        for number, line in enumerate(_responses(config, model, tokenizer, wanted), 1):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            tokens += line["tokens"]
            if number % config.batch_size == 0 or number == len(wanted):
                _report(before + number, total, tokens / (time.perf_counter() - began))


def _load(config: SampleConfig) -> tuple[Any, Any]:
    import torch

    from training.alignment.generation.copies import sampling_copy
    from training.alignment.models import load_model, load_tokenizer, resolve_device

    tokenizer = load_tokenizer(config.model)
    dtype = torch.bfloat16 if config.dtype == "bfloat16" else torch.float32
    loaded = load_model(config.model, dtype=dtype, device=resolve_device(config.device))
    return sampling_copy(loaded, dtype, rows=config.batch_size), tokenizer


def _responses(
    config: SampleConfig, model: Any, tokenizer: Any, wanted: list[Wanted]
) -> Iterator[dict[str, Any]]:
    """What is to be written, in the order in which it is done."""
    from training.alignment.generation import generate_each
    from training.alignment.tokenization import Limits, cut_prompt, encode_prompt

    room = _room(config, model)
    limits = Limits(max_length=room + 1, max_prompt_length=room)
    prompts = [
        cut_prompt(encode_prompt(item.messages, tokenizer), limits, tokenizer.bos_token_id)
        for item in wanted
    ]
    each = generate_each(
        model,
        tokenizer,
        prompts,
        [item.seed for item in wanted],
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        rows=config.batch_size,
    )
    for place, response in each:
        yield {
            "prompt_id": wanted[place].prompt_id,
            "messages": [{"role": "assistant", "content": response.text}],
            "seed": wanted[place].seed,
            "tokens": len(response.tokens),
            "finish_reason": response.finish_reason,
        }


def _room(config: SampleConfig, model: Any) -> int:
    """Tokens that a prompt may have; raises OptionError when an answer leaves it none."""
    positions: int = model.config.get_text_config().max_position_embeddings
    if positions - config.max_new_tokens < 1:
        # An answer to a prompt that was cut away would look like any other.
        raise OptionError(
            "max_new_tokens",
            f"{config.max_new_tokens} leaves no room for a prompt, for the model sees only "
            f"{positions} tokens",
        )
    return positions - config.max_new_tokens


def _wanted(config: SampleConfig, done: set[int]) -> tuple[list[Wanted], int]:
    """Responses still to be sampled, and how many there are in all."""
    from training.alignment.generation import response_seed

    everything = [
        Wanted(
            prompt["prompt_id"],
            prompt["messages"],
            response_seed(config.seed, prompt["prompt_id"], number),
        )
        for prompt in _prompts(Path(config.prompts_file))
        for number in range(config.per_prompt)
    ]
    return [item for item in everything if item.seed not in done], len(everything)


def _prompts(path: Path) -> list[Mapping[str, Any]]:
    prompts = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                prompt = json.loads(line)
            except ValueError as error:
                raise OptionError("prompts_file", f"row {number} is not JSON ({error})") from error
            has_id = isinstance(prompt, dict) and isinstance(prompt.get("prompt_id"), str)
            if not has_id or not prompt.get("messages"):
                raise OptionError("prompts_file", f"row {number} needs prompt_id and messages")
            prompts.append(prompt)
    return prompts


def _done_seeds(output: Path) -> set[int]:
    """Seeds of the responses that are there; a line that a crash cut short is removed."""
    if not output.exists():
        return set()
    text = output.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        with output.open("r+b") as file:
            file.truncate(len(whole))
    # Bytes, because text would also be split at U+2028 and its like, which models do write.
    return {json.loads(line)["seed"] for line in whole.splitlines()}


def _report(done: int, total: int, speed: float) -> None:
    line = {"done": done, "total": total, "tokens_per_second": round(speed, 1)}
    print(json.dumps(line), flush=True)


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {item.name:16}{item.help}" for item in describe_options(SampleConfig)]
    parser = argparse.ArgumentParser(
        prog="python -m training.alignment.sample",
        description=__doc__,
        epilog="fields of sample.json:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, help="the sample.json")
    parser.add_argument(
        "--supervised",
        action="store_true",
        help="end when the process that started this one ends; for workers",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
