"""The protocols, a module each: its source, what was kept of it, and its texts (our own words)."""

from annotation.judging.protocols import (
    arena_hard,
    constitution,
    mt_bench,
    own,
    prometheus,
    ranking,
    rlaif,
    self_rewarding,
    thumbs,
    ultrafeedback,
)

ALL = (
    rlaif.PROTOCOL,
    mt_bench.PROTOCOL,
    arena_hard.PROTOCOL,
    prometheus.PROTOCOL,
    ultrafeedback.PROTOCOL,
    self_rewarding.PROTOCOL,
    constitution.PROTOCOL,
    ranking.PROTOCOL,
    thumbs.PROTOCOL,
    own.PROTOCOL,
)
