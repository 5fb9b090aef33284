"""The sign that numbers have, which is not the hyphen of words."""

MINUS = "\N{MINUS SIGN}"


def with_minus(written: str) -> str:
    """A number in digits, or a sentence of numbers and no words with hyphens."""
    return written.replace("-", MINUS)
