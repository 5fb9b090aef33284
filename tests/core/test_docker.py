"""The containers are held to the code, since no Docker engine runs where the tests do."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands
from django.urls import resolve

from config.celery import ALIVE_SECONDS
from core.jobs import Queue
from core.launcher.launch import programs

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yml").read_text())
GPU: dict[str, Any] = yaml.safe_load((DOCKER / "compose.gpu.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: s for name, s in SERVICES.items() if str(s["image"]).startswith("prefloop")}
WORKERS = {name: s for name, s in OURS.items() if "worker" in name}
READS_SETTING = re.compile(r'\b(?:text|flag|number|words)\("([A-Z_]+)"')


def settings_in_code() -> set[str]:
    sources = (ROOT / "config").rglob("*.py")
    return {name for source in sources for name in READS_SETTING.findall(source.read_text())}


def options(command: list[str]) -> dict[str, str]:
    """The options of a celery command, in either spelling."""
    short = {"-A": "--app", "-Q": "--queues", "-c": "--concurrency", "-l": "--loglevel"}
    found: dict[str, str] = {}
    words = iter(command)
    for word in words:
        if word in short:
            found[short[word]] = next(words)
        elif word.startswith("--"):
            name, _, value = word.partition("=")
            found[name] = value
    return found


def launched(name: str) -> list[str]:
    return next(list(program.command) for program in programs() if program.name == name)


def test_every_variable_of_ours_is_a_setting() -> None:
    given = {name for service in OURS.values() for name in service["environment"]}
    in_image = set(re.findall(r"\b(PREFLOOP_[A-Z_]+)=", DOCKERFILE))
    assert given | in_image <= settings_in_code()


def test_the_example_names_every_variable_that_compose_asks_for() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", (DOCKER / "compose.yml").read_text()))
    example = (DOCKER / ".env.example").read_text()
    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == asked


def test_every_queue_is_consumed_once() -> None:
    consumed = [
        queue
        for service in WORKERS.values()
        for queue in options(service["command"])["--queues"].split(",")
    ]
    assert sorted(consumed) == sorted([Queue.DEFAULT, Queue.JUDGE, Queue.GPU])


@pytest.mark.parametrize(
    ("service", "program"), [("worker", "worker"), ("gpu-worker", "gpu worker")]
)
def test_workers_run_as_make_run_runs_them(service: str, program: str) -> None:
    assert options(OURS[service]["command"]) == options(launched(program))
    assert OURS[service]["stop_signal"] == "SIGQUIT"
    assert OURS[service]["environment"]["PREFLOOP_DATABASE_POOL"] == "0"


def test_the_web_server_runs_as_make_run_runs_it() -> None:
    [command] = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert ["-m", *yaml.safe_load(command)] == launched("web server")[1:]
    assert "command" not in OURS["web"]


def test_the_commands_of_manage_py_exist() -> None:
    text = "\n".join(path.read_text() for path in DOCKER.iterdir())
    named = set(re.findall(r'manage\.py(?:",)? "?(\w+)', text))
    assert {"migrate", "create_user"} <= named <= set(get_commands())


def test_the_python_is_one_that_the_project_allows_and_tests() -> None:
    versions = set(re.findall(r"^FROM python:(\d+\.\d+)", DOCKERFILE, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))
    assert len(versions) == 1
    assert tuple(map(int, versions.pop().split("."))) >= oldest <= sys.version_info[:2]


def test_everything_that_is_copied_exists() -> None:
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line


def test_web_and_workers_share_the_data_directory() -> None:
    assert "PREFLOOP_DATA_DIR=/data" in DOCKERFILE
    for name, service in OURS.items():
        assert service["volumes"] == ["data:/data"], name
    assert set(COMPOSE["volumes"]) == {"data", "database"}


def test_the_version_is_the_projects() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {service["image"] for service in OURS.values()} == {f"prefloop:{version}"}
    assert GPU["services"]["gpu-worker"]["image"] == f"prefloop:{version}-cuda"


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["init"] is True
    assert any(mount.startswith("/tmp") for mount in service["tmpfs"])
    runs_as = service.get("user") or re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert runs_as in {"10001:10001", "postgres", "valkey"}


def test_database_and_queue_are_not_published() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("database", "queue"):
        assert SERVICES[name]["networks"] == ["inside"]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["web"]


def test_everything_starts_after_what_it_needs() -> None:
    healthy = {
        name for name, service in SERVICES.items() if "test" in service.get("healthcheck", {})
    }
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            assert needed in SERVICES, name
            if condition == "service_healthy":
                assert needed in healthy
            else:
                assert (needed, condition) == ("migrate", "service_completed_successfully")


def test_the_web_servers_health_is_asked_where_it_answers() -> None:
    [port, path] = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", DOCKERFILE)[0]
    resolve(path)  # raises when no route is there
    assert f"PREFLOOP_PORT={port}" in DOCKERFILE
    assert OURS["web"]["ports"] == [f"${{PREFLOOP_PUBLISH:-127.0.0.1:8000}}:{port}"]


@pytest.mark.parametrize("name", WORKERS)
def test_a_workers_health_is_asked_by_the_file_that_it_touches(name: str) -> None:
    test = " ".join(WORKERS[name]["healthcheck"]["test"])
    assert WORKERS[name]["environment"]["PREFLOOP_ALIVE_FILE"] in test
    allowed = int(re.findall(r"> (\d+)\)", test)[0])
    assert allowed > 2 * ALIVE_SECONDS


def test_the_readme_names_every_service_and_file() -> None:
    readme = (DOCKER / "README.md").read_text()
    table = set(re.findall(r"^\| `([\w-]+)` \|", readme, re.MULTILINE))
    assert table == set(SERVICES)
    assert all(name in readme for name in ("compose.yml", "compose.gpu.yml", ".env.example"))


def test_nothing_private_enters_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".env", ".venv", "var"} <= set(ignored)
    assert settings.BASE_DIR == ROOT
