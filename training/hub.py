"""Fetches a model that the operator allows from the hub, as safetensors, without any code.

python -m training.hub --name ORGANISATION/MODEL --output DIR
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

# No pickles and no Python files.
WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


def fetch(name: str, target: Path) -> None:
    """The folder appears whole or not at all; a broken-off download goes on where it stopped."""
    from huggingface_hub import snapshot_download

    building = target.with_name(f".fetching-{target.name}")
    snapshot_download(name, local_dir=building, allow_patterns=WANTED)
    shutil.rmtree(building / ".cache", ignore_errors=True)
    building.rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.hub",
        description="Fetch one model from the hub into a folder: safetensors and tokenizer files, "
        "no code. HF_TOKEN and HF_ENDPOINT are used when set.",
    )
    parser.add_argument("--name", required=True, help="name on the hub, organisation/model")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args()
    try:
        fetch(arguments.name, arguments.output)
    except (OSError, ValueError) as error:
        # The last line of the log is what a person gets to read; the cause says most.
        sys.exit(" ".join(str(error.__cause__ or error).split())[:300])


if __name__ == "__main__":
    main()
