"""The method reference: every training method of the registry, and a page for each."""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from annotation.access import MAY, Capability
from annotation.models import Membership
from core.access import SignedInRequest, View, declare
from core.errors import NotAllowed
from training.alignment import reference_pages
from training.alignment.methods import Method, get_method
from training.alignment.methods import methods as registered
from training.alignment.option_words import bounds, plain
from training.alignment.options import OptionError


def sees_training(view: View) -> View:
    """For admins, and for whoever may see the runs of some project."""
    roles = [role for role, may in MAY.items() if Capability.RESEARCH in may]

    @wraps(view)
    def guarded(request: SignedInRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        own = Membership.objects.filter(
            user=request.user, role__in=roles, state=Membership.State.ACTIVE
        )
        if not (request.user.is_admin or own.exists()):
            raise NotAllowed(
                "Training is shown to researchers and managers of a project. Ask a manager of "
                "yours."
            )
        return view(request, *args, **kwargs)

    return declare(login_required(guarded), "signed in: sees training")


@sees_training
@require_GET
def methods(request: SignedInRequest) -> HttpResponse:
    context = {"families": reference_pages.by_family(registered())}
    return render(request, "training/methods.html", context)


@sees_training
@require_GET
def method(request: SignedInRequest, name: str) -> HttpResponse:
    return render(request, "training/method.html", _described(_found(name)))


def _found(name: str) -> Method:
    try:
        return get_method(name)
    except OptionError as error:
        raise Http404 from error


def _described(found: Method) -> dict[str, Any]:
    return {
        "trail": [("Training methods", reverse("training:methods"))],
        "method": found,
        "formula": f"$$\n{found.formula}\n$$",
        "notation": [f"${latex}$: {meaning}" for latex, meaning in reference_pages.notation(found)],
        "needs": reference_pages.needs(found),
        "result": reference_pages.result(found),
        "settings": [
            (option, plain(option.default), bounds(option))
            for option in reference_pages.settings(found)
        ],
        "suits": [(name, plain(value)) for name, value in found.defaults.items()],
    }
