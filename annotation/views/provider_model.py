"""The models of a provider: added, probed for what they can do, and priced by the day."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.forms import show_error
from annotation.judge_words import abilities_in_words
from annotation.models import ProviderModel
from annotation.provider_forms import ModelForm, PriceForm
from annotation.services.offered_models import offered_models
from annotation.services.provider import add_model, probe_model, set_price
from annotation.views.provider import load_provider, provider_page
from core.access import SignedInRequest, admin_only
from core.errors import PrefloopError


@admin_only
@require_GET
@never_cache
def offered(request: SignedInRequest, provider_id: int) -> HttpResponse:
    """What the endpoint itself says that it serves; asked when somebody wants to choose."""
    found = load_provider(provider_id)
    context = {"provider": found, "names": [], "refusal": ""}
    try:
        context["names"] = offered_models(found)
    except PrefloopError as error:
        context["refusal"] = error.message
    return render(request, "annotation/judging/_offered.html", context)


@admin_only
@require_http_methods(["GET", "POST"])
@never_cache
def add(request: SignedInRequest, provider_id: int) -> HttpResponse:
    """The models stand on the provider's page, where whoever opens this address is sent."""
    found, form = load_provider(provider_id), ModelForm(request.POST)
    if request.method == "GET":
        return redirect("annotation:provider", found.pk)
    if form.is_valid():
        try:
            made = add_model(provider=found, actor=request.user, **form.cleaned_data)
        except PrefloopError as error:
            show_error(form, error)
        else:
            messages.success(request, f"{made.name} is added. Probe it: judges need to know.")
            return redirect("annotation:provider", found.pk)
    return provider_page(request, found, model_form=form)


@admin_only
@require_POST
@never_cache
def probe(request: SignedInRequest, provider_id: int, model_id: int) -> HttpResponse:
    model = _load(provider_id, model_id)
    try:
        probed = probe_model(model=model, actor=request.user)
    except PrefloopError as error:
        messages.error(request, error.message)
    else:
        _tell(request, probed)
    return redirect("annotation:provider", provider_id)


def _tell(request: SignedInRequest, model: ProviderModel) -> None:
    if model.probe_error:
        messages.error(request, f"{model.name} could not be probed: {model.probe_error}")
    else:
        messages.success(request, f"{model.name} {abilities_in_words(model.can)}.")


@admin_only
@require_POST
@never_cache
def price(request: SignedInRequest, provider_id: int, model_id: int) -> HttpResponse:
    model, form = _load(provider_id, model_id), PriceForm(request.POST)
    if form.is_valid():
        try:
            set_price(model=model, actor=request.user, **form.cleaned_data)
        except PrefloopError as error:
            show_error(form, error)
        else:
            messages.success(request, "The price is added. Calls made before keep theirs.")
            return redirect("annotation:provider", provider_id)
    found = load_provider(provider_id)
    return provider_page(request, found, price_form=form, price_of=model.pk)


def _load(provider_id: int, model_id: int) -> ProviderModel:
    models = ProviderModel.objects.select_related("provider")
    return get_object_or_404(models, provider_id=provider_id, pk=model_id)
