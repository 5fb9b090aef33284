"""Serve a model folder to OpenAI's clients.

    python -m training.alignment.serve MODEL --port 8000

POST /v1/chat/completions and /v1/completions take model, messages or prompt (a text, token ids, or
a list of them), n, seed, temperature, top_p, max_tokens, stop, logprobs and top_logprobs, and in
extra_body: guided_choice (a list of texts of which the answer must be one), logprobs_mode
(raw_logprobs, the model's own, or processed_logprobs, those sampled with) and return_token_ids.
What is not supported is refused, never ignored. GET /v1/models names the model; GET /health says
whether the server is at work; POST /admin/reload loads the folder's weights anew.

A bearer token is read from PREFLOOP_SERVE_TOKEN or --token-file; without one the server listens on
this machine only. When it is ready, it writes one JSON line {"listening", "model"} to standard
output. SIGTERM ends it once the calls in hand are answered.
"""

import argparse
import ipaddress
import json
import os
import signal
import sys
import threading
from pathlib import Path

from training.alignment.options import OptionError

TOKEN_VARIABLE = "PREFLOOP_SERVE_TOKEN"  # noqa: S105  # its name, not the token
GRACE_SECONDS = 20.0


def main() -> int:
    arguments = _parser().parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if arguments.supervised:
        from training.alignment.supervision import die_with_parent

        die_with_parent()
    try:
        _serve(arguments)
    except Exception as error:  # noqa: BLE001  # the process boundary: the reader gets one sentence
        from training.alignment.failures import reason

        print(json.dumps({"error": reason(error)}), flush=True)
        return 1
    return 0


def _serve(arguments: argparse.Namespace) -> None:
    token = _token(arguments.token_file)
    if token is None and not _is_loopback(arguments.host):
        raise OptionError(
            "host",
            f"{arguments.host} can be reached from other machines: set {TOKEN_VARIABLE} or "
            "--token-file, so that not everybody can use the model.",
        )
    import torch

    from training.alignment.serve.batching import Batcher
    from training.alignment.serve.http import Server
    from training.alignment.serve.model import ServedModel

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model = ServedModel(
        arguments.model,
        name=arguments.name or arguments.model.resolve().name,
        dtype=torch.bfloat16 if arguments.dtype == "bfloat16" else torch.float32,
        device=arguments.device,
        rows=arguments.rows,
    )
    batcher = Batcher(model.load, waiting=arguments.waiting)
    try:
        server = Server((arguments.host, arguments.port), batcher, lambda: model.served, token)
    except (OSError, OverflowError) as error:
        raise OptionError(
            "port",
            f"{arguments.port} on {arguments.host} cannot be listened on ({error}); choose another "
            "one, or 0 for any that is free.",
        ) from error
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    print(json.dumps({"listening": server.url, "model": model.served.name}), flush=True)
    ended.wait()
    server.close(GRACE_SECONDS)


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.pop(TOKEN_VARIABLE, "").strip() or None
    token = file.read_text("utf-8").strip()
    if not token:
        raise OptionError(
            "token-file", f"{file} is empty: write the token into it, or leave out --token-file."
        )
    return token


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.alignment.serve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument("--name", help="what clients call it; the folder's name when left out")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any that is free")
    parser.add_argument("--rows", type=int, default=16, help="answers written at a time")
    parser.add_argument("--waiting", type=int, default=1024, help="most calls in hand")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads of the engine")
    parser.add_argument("--token-file", type=Path, help="file that holds the bearer token")
    parser.add_argument(
        "--supervised", action="store_true", help="end when the process that started this one ends"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
