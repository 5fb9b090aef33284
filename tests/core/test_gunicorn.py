"""What the web server loads before it makes its processes."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import config.wsgi, config.gunicorn, sys
from django.template import engines
config.gunicorn.warm_up()
[cached] = engines["django"].engine.template_loaders
print(*(name for name in cached.get_template_cache), "annotation.views.labeling" in sys.modules)
print("torch" in sys.modules)
"""


def test_pages_are_loaded_before_the_first_is_asked_for() -> None:
    """Without a database, which may come later than the web server."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=120
    )
    names, torch = done.stdout.splitlines()
    assert {"annotation/label.html", "annotation/_item.html", "True"} <= set(names.split())
    assert torch == "False"
