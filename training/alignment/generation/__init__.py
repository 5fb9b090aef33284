"""Sampling answers: reproducible per answer, whatever shares its batch."""

from training.alignment.generation.engine import Answer, Engine, Request
from training.alignment.generation.responses import (
    Response,
    generate,
    generate_each,
    response_seed,
)

__all__ = [
    "Answer",
    "Engine",
    "Request",
    "Response",
    "generate",
    "generate_each",
    "response_seed",
]
