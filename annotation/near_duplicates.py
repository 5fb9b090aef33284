"""Which prompts are nearly the same text, and on which side (train or held out) a prompt is.

A prompt's text gets a MinHash signature (Broder 1997) of its shingles, cut into bands. Two
prompts that share a band are taken for near-duplicates, so that a database finds them by
equality of numbers. Shingles are runs of characters, not of words: one measure then serves a
prompt of five words, a long one, and a language that puts no spaces between words.

What these functions return is stored for ever and compared with what comes later. Never change
their constants.
"""

import hashlib
import unicodedata
from collections.abc import Iterable
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt

SHINGLE = 7
BANDS = 12
ROWS = 7
# Two texts with Jaccard similarity s share a band with probability 1 - (1 - s**ROWS)**BANDS:
# 0.09 at s = 0.5, 0.64 at 0.7, 0.94 at 0.8, 0.9996 at 0.9.
THRESHOLD = (1 / BANDS) ** (1 / ROWS)  # 0.70
TEXTS_AT_ONCE = 256  # keeps the shingles of typical prompts in the processor's cache

Side = Literal["train", "held_out"]
_Words32 = npt.NDArray[np.uint32]
_Words64 = npt.NDArray[np.uint64]


def bands(text: str) -> tuple[int, ...]:
    """Return the bands of one text: BANDS numbers of 63 bits, which fit a database's bigint."""
    return bands_of_many([text])[0]


def bands_of_many(texts: Iterable[str]) -> list[tuple[int, ...]]:
    """Return the bands of each text in order; far faster than one by one."""
    remaining = iter(texts)
    found: list[tuple[int, ...]] = []
    while batch := list(islice(remaining, TEXTS_AT_ONCE)):
        found += map(tuple, _bands(_signatures(batch)).tolist())
    return found


def normalised(text: str) -> str:
    """Fold what does not make another prompt: case, white space, and compatible characters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def side_of(key: str, held_out_share: float = 0.1) -> Side:
    """Draw the side of a cluster from its key alone: the same for ever and everywhere."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=b"prefloop-side").digest()
    return "held_out" if int.from_bytes(digest) < held_out_share * 2**64 else "train"


def _signatures(texts: list[str]) -> _Words32:
    """MinHash signatures [texts, BANDS * ROWS]: the least value of each permutation."""
    shingles, starts = _shingles(texts)
    signatures = np.empty((len(texts), BANDS * ROWS), dtype=np.uint32)
    for column, (factor, shift) in enumerate(_PERMUTATIONS):
        signatures[:, column] = np.minimum.reduceat(shingles * factor + shift, starts)
    return signatures


def _shingles(texts: list[str]) -> tuple[_Words32, npt.NDArray[np.int64]]:
    """Hash every shingle of the texts: [shingles], and where each text's begin [texts]."""
    # Texts are joined, each with its end padded, so that no text is without a shingle; the
    # shingles that reach into the next text are left out.
    padded = [normalised(text).ljust(SHINGLE) for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    hashed = np.zeros(len(codes) - SHINGLE + 1, dtype=np.uint64)
    for place in range(SHINGLE):
        hashed = hashed * _BASE + codes[place : place + len(hashed)]
    counts = np.array([len(text) - SHINGLE + 1 for text in padded])
    ends = np.cumsum([len(text) for text in padded])
    within = np.ones(len(hashed), dtype=np.bool_)
    for back in range(1, SHINGLE):
        within[ends[:-1] - back] = False
    mixed = (_mixed(hashed[within]) >> np.uint64(32)).astype(np.uint32)
    return mixed, np.cumsum(counts) - counts


def _bands(signatures: _Words32) -> npt.NDArray[np.int64]:
    """Fold each band's rows into one number [texts, BANDS]; bands of different places differ."""
    rows = signatures.reshape(-1, BANDS, ROWS).astype(np.uint64)
    folded = np.broadcast_to(np.arange(1, BANDS + 1, dtype=np.uint64), rows.shape[:2])
    for row in range(ROWS):
        folded = _mixed(folded * _BASE + rows[:, :, row])
    return (folded >> np.uint64(1)).astype(np.int64)


def _mixed(values: _Words64) -> _Words64:
    """The finaliser of MurmurHash3 (64 bits), which spreads every bit over all others."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        values = (values ^ (values >> np.uint64(33))) * np.uint64(factor)
    return values ^ (values >> np.uint64(33))


_BASE = np.uint64(0x9E3779B97F4A7C15)


def _permutations() -> list[tuple[np.uint32, np.uint32]]:
    """The permutations h -> a h + b modulo 2**32, each with an odd a."""
    words = _mixed(np.arange(1, 2 * BANDS * ROWS + 1, dtype=np.uint64) * _BASE)
    halves = (words >> np.uint64(32)).astype(np.uint32).reshape(-1, 2)
    return [(factor | np.uint32(1), shift) for factor, shift in halves]


_PERMUTATIONS = _permutations()
