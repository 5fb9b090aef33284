"""Labelers who behave as people and networks do: they leave, come late, click twice, send again.

Run as a process of its own: `python -m bench.load.chaos_labeler settings.json`. Each labeler
keeps an append-only log, on disk before the next step: what was shown, what is about to be sent,
what was acknowledged. The checker reads these logs; nothing else is believed.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load.answers import random_answers, shown_tokens
from bench.load.client import Client, Page, Reply, read_page

PARENT = os.getppid()
PAUSE = 0.1
NOTHING_PAUSE = 1.5
TAKEN = (200, 204)
# The server says itself that the same should be sent again.
AGAIN = (409, 429)


class Stopped(Exception):
    """The drain is over, or the harness is gone."""


class Log:
    """One line an event; a line that was written survives kill -9 of this process."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, event: str, **values: Any) -> None:
        line = json.dumps({"event": event, "at": round(time.time(), 3), **values}) + "\n"
        os.write(self.file, line.encode())
        os.fsync(self.file)


@dataclass
class ChaosLabeler:
    client: Client
    project: int
    random: random.Random
    log: Log
    settings: dict[str, Any]

    def work(self) -> None:
        try:
            page = self.open()
            while True:
                page = self.judge(page) if page else self.look_again()
        except Stopped:
            return

    def look_again(self) -> Page | None:
        self.sleep(NOTHING_PAUSE * self.random.uniform(0.5, 1.5))
        return self.open()

    def open(self, client: Client | None = None) -> Page | None:
        reply = self.until_answered(lambda: (client or self.client).get(self.path("")))
        return read_page(reply.text)

    def path(self, name: str) -> str:
        return f"/projects/{self.project}/label/{name}"

    def judge(self, page: Page) -> Page | None:
        chance = self.random.random()
        for share, act in self.behaviours():
            if chance < share:
                return act(page)
            chance -= share
        return self.ahead(page) if self.random.random() < 0.5 else self.submit(page)

    def behaviours(self) -> list[tuple[float, Callable[[Page], Page | None]]]:
        return [
            (self.settings["abandoned"], self.abandon),
            (self.settings["late"], self.come_late),
            (self.settings["double_clicked"], self.click_twice),
            (self.settings["two_windows"], self.use_two_windows),
        ]

    def abandon(self, page: Page) -> Page | None:
        """Closes the browser with the item open, and is back after the lease has run out."""
        self.log.write("abandoned", assignment=page.assignment)
        self.sleep(self.settings["lease_seconds"] * self.random.uniform(1.2, 2.0))
        return self.open()

    def come_late(self, page: Page) -> Page | None:
        self.log.write("late", assignment=page.assignment)
        self.sleep(self.settings["lease_seconds"] * 1.5 + 1)
        return self.submit(page)

    def click_twice(self, page: Page) -> Page | None:
        """The same form twice at the same moment, over two connections."""
        send, twin = self.prepared(page, "double click"), self.client.twin()
        second = threading.Thread(target=self.quietly, args=[lambda: send(twin)])
        second.start()
        reply = send(self.client)
        second.join()
        twin.close()
        return read_page(reply.text)

    def use_two_windows(self, page: Page) -> Page | None:
        """Both show the same item; each is answered, otherwise and with a key of its own."""
        twin = self.client.twin()
        other = self.open(twin)
        if other is None or other.assignment != page.assignment:
            return self.submit(page)
        send = self.prepared(other, "other window")
        second = threading.Thread(target=self.quietly, args=[lambda: send(twin)])
        second.start()
        following = self.submit(page)
        second.join()
        twin.close()
        # What the other window was given meanwhile may be the same, or the last there was.
        return following

    def ahead(self, page: Page) -> Page | None:
        """As the page's script does: the next item is fetched while this one is judged."""
        held = self.until_answered(
            lambda: self.client.post(self.path("ahead/"), {"held": page.assignment}), refusals=True
        )
        following = read_page(held.text) if held.status == 200 else None
        if following is None:
            return self.submit(page)
        self.prepared(page, "held", held=following.assignment)(self.client)
        return following

    def submit(self, page: Page) -> Page | None:
        return read_page(self.prepared(page, "click")(self.client).text)

    def prepared(self, page: Page, how: str, **more: Any) -> Callable[[Client], Reply]:
        """Chooses the answer and says so on disk; what is returned sends it until it is taken."""
        fields, answers = random_answers(page, self.random)
        key = uuid.uuid4().hex
        form = page.fields | fields | {"client_key": key} | more
        self.log.write(
            "sending",
            how=how,
            key=key,
            assignment=page.assignment,
            tokens=shown_tokens(page),
            answers=answers,
        )

        def send(client: Client) -> Reply:
            reply = self.until_answered(
                lambda: client.post(page.action, form), key=key, refusals=True
            )
            taken = reply.status in TAKEN
            self.log.write("acknowledged" if taken else "refused", key=key, status=reply.status)
            if not taken:
                self.log.write("said", text=reply.text[:400])
                return self.until_answered(lambda: client.get(self.path("")))
            return reply

        return send

    def until_answered(
        self, ask: Callable[[], Reply], *, key: str = "", refusals: bool = False
    ) -> Reply:
        """The same again after a broken connection or an error of the server."""
        while True:
            try:
                reply = ask()
            except OSError as error:
                self.log.write("broken", key=key, error=type(error).__name__)
            else:
                refused = refusals and 400 <= reply.status < 500 and reply.status not in AGAIN
                if refused or reply.status in TAKEN:
                    return reply
                self.log.write("status", key=key, status=reply.status)
            self.sleep(PAUSE)

    def sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            if Path(self.settings["stop"]).exists() or os.getppid() != PARENT:
                raise Stopped
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.25))

    def quietly(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except Stopped:
            return


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    threads = []
    for number, session in settings["sessions"].items():
        labeler = ChaosLabeler(
            Client(settings["port"], session),
            settings["project"],
            random.Random(settings["seed"] + int(number)),
            Log(Path(settings["logs"]) / f"labeler-{number}.jsonl"),
            settings,
        )
        threads.append(threading.Thread(target=labeler.work))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
