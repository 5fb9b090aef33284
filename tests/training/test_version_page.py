"""What a version's page says of its weights."""

from __future__ import annotations

from django.conf import settings
from django.test import Client

from tests.cast import Cast
from tests.training.test_pages import page
from tests.training.test_promotion import make_version
from training.management.commands.serve import Command
from training.selectors.model import find_model


def test_a_version_tells_where_its_weights_are_and_how_they_are_served(
    cast: Cast, client: Client
) -> None:
    version = make_version(cast, 3)
    client.force_login(cast.ada)
    shown = page(client, "version", cast.project.pk, 3)
    assert f"<code>{version.folder}</code>" in shown
    assert find_model(cast.project, "version:3").folder == settings.DATA_DIR / version.folder
    _, told = shown.split("<code>manage.py serve ")
    words = told.partition("</code>")[0].split()
    options = Command().create_parser("manage.py", "serve").parse_args(words)
    assert (options.name, options.project) == ("version:3", str(cast.project.pk))


def test_a_version_that_scores_is_not_served(cast: Cast, client: Client) -> None:
    version = make_version(cast, 3)
    version.lineage = {"method": "reward_bradley_terry"}
    version.save(update_fields=["lineage"])
    client.force_login(cast.ada)
    shown = page(client, "version", cast.project.pk, 3)
    assert "sequence classifier with one label" in shown
    assert "manage.py serve" not in shown
