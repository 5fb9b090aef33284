"""Simulated labelers that use the pages as browsers do: session, CSRF, the next item in the reply.

Run as a process of its own: `python -m bench.load.labeler settings.json`. Each labeler is a
thread with one connection. An answer whose reply got lost is sent again with the same client key.
What was acknowledged is written out, so that nothing acknowledged can go missing unseen.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

HIDDEN = re.compile(r'name="(assignment|client_key|csrfmiddlewaretoken)" value="([^"]*)"')
SUBMIT = re.compile(r'id="answer" method="post" action="([^"]+)"')
STRENGTH = re.compile(r'name="(strength-[^"]+)"')
GIVE_UP_SECONDS = 30


@dataclass
class Labeler:
    port: int
    session: str
    project: int
    random: random.Random
    connection: http.client.HTTPConnection | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    resent: int = 0

    def work(self, until: float) -> None:
        self.cookies["sessionid"] = self.session
        page = self.request("GET", f"/projects/{self.project}/label/")
        while time.monotonic() < until:
            form = SUBMIT.search(page)
            if form is None:
                return
            started = time.monotonic()
            page = self.submit(form[1], page)
            self.milliseconds.append((time.monotonic() - started) * 1000)

    def submit(self, url: str, page: str) -> str:
        fields = dict(HIDDEN.findall(page))
        fields |= {name: str(self.random.randint(-3, 3)) for name in set(STRENGTH.findall(page))}
        fields |= {"duration_ms": "4000", "active_ms": "3500"}
        answer = self.request("POST", url, urlencode(fields), self.cookies["csrftoken"])
        self.acknowledged.append(fields["client_key"])
        return answer

    def request(self, method: str, url: str, body: str = "", csrf: str = "") -> str:
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                return self.once(method, url, body, csrf)
            except (OSError, http.client.HTTPException):
                # The server process was killed: connect anew and send the same again.
                self.connection = None
                self.resent += 1
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.05)

    def once(self, method: str, url: str, body: str, csrf: str) -> str:
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "HX-Request": "true" if method == "POST" else "",
            "X-CSRFToken": csrf,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self.connection.request(method, url, body, {k: v for k, v in headers.items() if v})
        response = self.connection.getresponse()
        text = response.read().decode()
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        if response.status != 200:
            raise AssertionError(f"{method} {url} answered {response.status}: {text[:300]}")
        return text


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    labelers = [
        Labeler(settings["port"], session, settings["project"], random.Random(number))
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
        "acknowledged": [key for labeler in labelers for key in labeler.acknowledged],
        "milliseconds": [ms for labeler in labelers for ms in labeler.milliseconds],
        "resent": sum(labeler.resent for labeler in labelers),
    }
    Path(settings["outcome"]).write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
