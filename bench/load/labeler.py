"""Simulated labelers that use the pages as browsers do: session, CSRF, the next item in the reply.

Run as a process of its own: `python -m bench.load.labeler settings.json`. Each labeler is a
thread with one connection. An answer whose reply got lost is sent again with the same client key.
What was sent and acknowledged is written out, so that nothing can go missing unseen.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load.answers import random_answers, shown_tokens
from bench.load.client import Client, Page, Reply, read_page

GIVE_UP_SECONDS = 30.0
# A labeler at a human pace opens the page anew after this many answers.
ANSWERS_A_PAGE = 10


@dataclass
class Labeler:
    client: Client
    project: int
    random: random.Random
    # Between two answers; 0: the next one at once.
    pace_seconds: float = 0.0
    sent: list[dict[str, Any]] = field(default_factory=list)
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    resent: int = 0

    def work(self, until: float) -> None:
        if not self.waited(self.random.random(), until):
            return
        page = self.open()
        while page is not None and self.waited(self.random.uniform(0.5, 1.5), until):
            page = self.submit(page)
            if self.pace_seconds and len(self.sent) % ANSWERS_A_PAGE == 0:
                page = self.open()

    def waited(self, share: float, until: float) -> bool:
        """False: the time is up."""
        left = until - time.monotonic()
        time.sleep(max(0.0, min(self.pace_seconds * share, left)))
        return time.monotonic() < until

    def open(self) -> Page | None:
        path = f"/projects/{self.project}/label/"
        return read_page(self.timed("next", lambda: self.client.get(path)))

    def submit(self, page: Page) -> Page | None:
        fields, answers = random_answers(page, self.random)
        form = page.fields | fields | {"duration_ms": "4000", "active_ms": "3500"}
        text = self.timed("submit", lambda: self.client.post(page.action, form))
        self.sent.append(
            {
                "key": page.fields["client_key"],
                "assignment": page.assignment,
                "tokens": shown_tokens(page),
                "answers": answers,
            }
        )
        return read_page(text)

    def timed(self, what: str, ask: Callable[[], Reply]) -> str:
        started = time.monotonic()
        reply = self.until_answered(ask)
        self.milliseconds.setdefault(what, []).append((time.monotonic() - started) * 1000)
        if reply.status != 200:
            raise AssertionError(f"{what} answered {reply.status}: {reply.text[:300]}")
        return reply.text

    def until_answered(self, ask: Callable[[], Reply]) -> Reply:
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                return ask()
            except OSError:
                # The server process was killed: connect anew and send the same again.
                self.resent += 1
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.05)


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    labelers = [
        Labeler(
            Client(settings["port"], session),
            settings["project"],
            random.Random(number),
            settings["pace_seconds"],
        )
        for number, session in enumerate(settings["sessions"])
    ]
    began = time.monotonic()
    until = began + settings["seconds"]
    threads = [threading.Thread(target=labeler.work, args=(until,)) for labeler in labelers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome = {
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time(),
        "sent": [one for labeler in labelers for one in labeler.sent],
        "milliseconds": {
            what: [ms for labeler in labelers for ms in labeler.milliseconds.get(what, [])]
            for what in ("next", "submit")
        },
        "resent": sum(labeler.resent for labeler in labelers),
    }
    Path(settings["outcome"]).write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
