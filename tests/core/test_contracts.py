"""The import contracts name every module, so that a new one cannot slip past them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
WEB = "import config.wsgi, sys; from django.urls import get_resolver; get_resolver().url_patterns;"


def test_every_module_of_training_but_the_library_is_kept_from_torch() -> None:
    [contract] = [contract for contract in CONTRACTS if "loads torch" in contract["name"]]
    modules = {
        path.stem
        for path in (ROOT / "training").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    named = {name.removeprefix("training.") for name in contract["source_modules"]}
    assert modules - {"__init__", "alignment", "migrations"} <= named


def test_a_web_process_with_every_route_loaded_has_no_torch(
    process_environment: dict[str, str],
) -> None:
    heavy = subprocess.run(
        [sys.executable, "-c", f"{WEB} print(*{{'torch', 'transformers'}} & set(sys.modules))"],
        cwd=ROOT,
        env=process_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert heavy.stdout.strip() == ""
