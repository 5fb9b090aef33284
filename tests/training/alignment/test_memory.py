"""What the C library does with freed memory, seen in a process of its own."""

import platform
import subprocess
import sys

from tests.training.alignment.conftest import REPOSITORY

FAULTS = """
import resource, sys, numpy
from training.alignment.memory import reuse_freed_memory
kept = reuse_freed_memory() if sys.argv[1] == "keep" else False
def touch():
    numpy.ones(4_000_000)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    touch()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(word: str) -> tuple[bool, int]:
    command = [sys.executable, "-c", FAULTS, word]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    kept, faults = said.stdout.split()
    return kept == "True", int(faults)


def test_a_block_that_comes_again_is_not_paged_in_again():
    is_kept, faults = page_faults("keep")
    assert is_kept == (platform.libc_ver()[0] == "glibc")
    # Another C library keeps its own habits.
    assert not is_kept or faults < page_faults("plain")[1] / 10


RESIDENT = """
import numpy, psutil
from training.alignment.memory import return_freed_memory, reuse_freed_memory
reuse_freed_memory()
blocks = [numpy.ones(500_000) for _ in range(50)]
pin = numpy.ones(500_000)
del blocks
before = psutil.Process().memory_info().rss
return_freed_memory()
print(before - psutil.Process().memory_info().rss)
"""


def test_what_is_free_can_be_given_back():
    command = [sys.executable, "-c", RESIDENT]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert platform.libc_ver()[0] != "glibc" or int(said.stdout) > 100_000_000
