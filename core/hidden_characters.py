"""Make characters that hide or reorder text visible.

A response can carry text that a judge does not see (zero-width characters, Unicode tags) or
sees in another order than it is (bidirectional controls). They are shown as marks such as
⟦U+202E⟧. What scripts and emoji need stays: variation selectors, and the joiners between
letters of joining scripts or inside an emoji.
"""

import re
import unicodedata

_HIDDEN = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls, less tab, line feed, carriage return
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u3164\uffa0"  # blank, yet characters
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # zero width, direction
    "\ue000-\uf8ff"  # private use: no font shows it, and rendering uses it for placeholders
    "\U000e0000-\U000e0fff"  # tags and supplementary variation selectors
)
_RUN = re.compile(f"([{_HIDDEN}\u200c\u200d])\\1*")
_JOINERS = "\u200c\u200d"
_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029\x85]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_JOINING_SCRIPTS = ("ARABIC", "SYRIAC", "MONGOLIAN", "DEVANAGARI", "BENGALI", "GURMUKHI",
                    "GUJARATI", "ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA",
                    "KHMER", "MYANMAR", "TIBETAN", "NKO")  # fmt: skip


def show_hidden(text: str) -> str:
    """Replace each run of a hidden character by one visible mark; make line ends plain."""
    plain = _SURROGATES.sub("\ufffd", _LINE_ENDS.sub("\n", text))
    return _RUN.sub(_mark, plain)


def _mark(run: re.Match[str]) -> str:
    character, length = run[1], len(run[0])
    if character in _JOINERS and length == 1 and _joins(run.string[: run.start()][-1:]):
        return character
    times = f" ×{length}" if length > 1 else ""
    return f"⟦U+{ord(character):04X}{times}⟧"


def _joins(before: str) -> bool:
    """Tell whether a joiner has a purpose after this character."""
    if not before:
        return False
    if before == "\ufe0f" or unicodedata.category(before) in ("So", "Sk"):
        return True
    return unicodedata.name(before, "").startswith(_JOINING_SCRIPTS)
