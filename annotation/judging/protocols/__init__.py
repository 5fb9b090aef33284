"""The protocols, a module each: its source, what was kept of it, and its texts (our own words)."""

from annotation.judging.protocols import mt_bench, rlaif

ALL = (rlaif.PROTOCOL, mt_bench.PROTOCOL)
