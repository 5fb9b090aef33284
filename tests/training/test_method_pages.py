"""The method reference in the product: every method, for those who may see training."""

from __future__ import annotations

import html
import re

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Membership
from tests.cast import Cast
from training.alignment.methods import Method, methods

LIST = reverse("training:methods")


def page(client: Client, name: str) -> str:
    response = client.get(reverse("training:method", args=[name]))
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def test_the_list_links_every_method(cast: Cast, client: Client) -> None:
    client.force_login(cast.rosa)
    text = client.get(LIST).content.decode()
    linked = re.findall(r'href="(/methods/\w+/)"', text)
    assert linked == [reverse("training:method", args=[one.name]) for one in methods()]


@pytest.mark.parametrize("method", methods(), ids=lambda one: one.name)
def test_a_page_shows_the_formula_and_what_the_entry_says(
    cast: Cast, client: Client, method: Method
) -> None:
    client.force_login(cast.rosa)
    text = page(client, method.name)
    assert '<math display="block"' in text
    assert "$" not in re.sub(r"<(script|meta).*?>", "", text)
    for words in (method.title, method.summary, method.when, method.evidence, method.paper):
        assert words in text
    assert all(line in text for line in (*method.pitfalls, *method.conventions))


def test_settings_come_with_defaults_and_bounds(cast: Cast, client: Client) -> None:
    client.force_login(cast.rosa)
    text = page(client, "ipo")
    tau = '<code>tau</code></th><td data-label="Default">0.1</td>'
    assert f'{tau}<td data-label="Values">1e-06 to 1000</td>' in text
    assert "summed, averaged" in text


def test_an_unknown_method_is_not_found(cast: Cast, client: Client) -> None:
    client.force_login(cast.rosa)
    assert client.get("/methods/dpoo/").status_code == 404


def test_only_those_who_see_training_see_it(cast: Cast, client: Client) -> None:
    for person, status in ((cast.ada, 200), (cast.mary, 200), (cast.bob, 403), (cast.mallory, 403)):
        client.force_login(person)
        assert client.get(LIST).status_code == status, person


def test_a_paused_researcher_does_not(cast: Cast, client: Client) -> None:
    Membership.objects.filter(user=cast.rosa).update(state=Membership.State.PAUSED)
    client.force_login(cast.rosa)
    assert client.get(LIST).status_code == 403
