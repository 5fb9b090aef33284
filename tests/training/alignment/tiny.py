"""A real tokenizer with a chat template and a random Llama, small enough for unit tests."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokenizer(*, bos: bool = False, template: str | None = CHATML) -> Any:
    """One token a byte; with `bos`, texts begin with <s> as Llama's do."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>", "<s>"])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        bos_token="<s>" if bos else None,
        chat_template=template,
    )


def llama(*, seed: int = 0, vocabulary: int = 259, positions: int = 256) -> Any:
    """Two layers of 32 features with random weights, in float32."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    return LlamaForCausalLM(config).eval()


def write_model(folder: Path, *, seed: int = 0, positions: int = 256) -> Path:
    """A model folder as a hub download would be."""
    llama(seed=seed, positions=positions).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def write_foreign(folder: Path) -> Path:
    """A model whose tokens are numbered as the others' are, and one more."""
    llama(vocabulary=260).save_pretrained(folder)
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(folder)
    return folder


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def write_pairs(path: Path, count: int, *, offset: int = 0) -> Path:
    """Pairs whose chosen answer says yes and whose rejected one says no."""
    rows = [
        {
            "id": str(number),
            "prompt": user(f"{number:02d}?"),
            "chosen": assistant("yes" + "!" * (number % 3)),
            "rejected": assistant("no" + "." * (number % 4)),
        }
        for number in range(offset, offset + count)
    ]
    return write_lines(path, rows)


def write_binary(path: Path, count: int, *, offset: int = 0) -> Path:
    """Answers that say yes, marked good, and answers that say no, marked bad."""
    rows = [
        {
            "prompt": user(f"{number:02d}?"),
            "completion": assistant("yes" if number % 2 else "no"),
            "label": bool(number % 2),
        }
        for number in range(offset, offset + count)
    ]
    return write_lines(path, rows)


def write_lists(path: Path, count: int, *, offset: int = 0) -> Path:
    """Lists of three or two answers, from yes over eh to no, in an order that turns."""
    ranked = [("yes", 1), ("eh", 2), ("no", 3)]
    rows = []
    for number in range(offset, offset + count):
        turned = ranked[number % 3 :] + ranked[: number % 3]
        kept = turned if number % 4 else [item for item in turned if item[1] != 2]
        rows.append(
            {
                "prompt": user(f"{number:02d}?"),
                "completions": [assistant(text) for text, _ in kept],
                "ranks": [rank for _, rank in kept],
            }
        )
    return write_lines(path, rows)


def write_demonstrations(path: Path, count: int, *, offset: int = 0) -> Path:
    """Answers that say yes, of very different lengths."""
    rows = [
        {"prompt": user(f"{number:02d}?"), "completion": assistant("yes" + "!" * (number % 5) ** 2)}
        for number in range(offset, offset + count)
    ]
    return write_lines(path, rows)


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
