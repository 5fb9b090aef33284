"""Listens until it is ended; writes its port to --port-file and one JSON line to its output."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.llm_server.app import App
from tests.llm_server.http import Connection
from tests.llm_server.script import Script, parser, script_of

BACKLOG = 4096


async def serve(script: Script, host: str, port: int, port_file: Path | None) -> None:
    app = App(script)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(app), host, port, backlog=BACKLOG)
    taken = server.sockets[0].getsockname()[1]
    if port_file is not None:
        building = port_file.with_name(f".{port_file.name}")
        building.write_text(str(taken))
        building.rename(port_file)
    print(json.dumps({"listening": f"http://{host}:{taken}"}), flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    server.close()


def main() -> int:
    arguments = parser().parse_args()
    try:
        script = script_of(arguments)
    except ValueError as error:
        parser().error(str(error))
    port_file = Path(arguments.port_file) if arguments.port_file else None
    asyncio.run(serve(script, arguments.host, arguments.port, port_file))
    return 0


if __name__ == "__main__":
    sys.exit(main())
