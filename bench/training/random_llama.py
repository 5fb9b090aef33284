"""`python -m bench.training.random_llama TOKENIZER FOLDER`: a random model of 1.2 billion weights.

Its shape is that of Llama 3.2 1B. What a step costs depends on the shape and not on what was
learned, so no weights need to be had for the comparison on a GPU.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from training.alignment.models import load_tokenizer, save_model


def write(tokenizer: Path, folder: Path) -> None:
    torch.manual_seed(0)
    kept = load_tokenizer(tokenizer)
    shape = LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=kept.bos_token_id,
        eos_token_id=kept.eos_token_id,
        pad_token_id=kept.pad_token_id,
    )
    model: Any = LlamaForCausalLM(shape)
    save_model(model.to(torch.bfloat16), kept, folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
