"""Providers: endpoints, their keys and limits, their models, and what those cost. For admins."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.forms import show_error
from annotation.models import Provider
from annotation.provider_forms import (
    KeyForm,
    ModelForm,
    NewProviderForm,
    PriceForm,
    ProviderForm,
)
from annotation.selectors import provider_pages
from annotation.services.provider import (
    change_provider,
    create_provider,
    restore_provider,
    retire_provider,
    set_provider_key,
)
from core.access import SignedInRequest, admin_only
from core.errors import PrefloopError


@admin_only
@require_GET
@never_cache
def providers(request: SignedInRequest) -> HttpResponse:
    rows = [provider_pages.provider_row(one) for one in provider_pages.providers()]
    return render(request, "annotation/judging/providers.html", {"rows": rows})


@admin_only
@require_http_methods(["GET", "POST"])
@never_cache
def new_provider(request: SignedInRequest) -> HttpResponse:
    form = NewProviderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = create_provider(actor=request.user, **form.cleaned_data)
        except PrefloopError as error:
            show_error(form, error)
        else:
            messages.success(request, f"{made} is added. Name its models next.")
            return redirect("annotation:provider", made.pk)
    context = {"form": form}
    status = 422 if form.errors else 200
    return render(request, "annotation/judging/new_provider.html", context, status=status)


@admin_only
@require_http_methods(["GET", "POST"])
@never_cache
def provider(request: SignedInRequest, provider_id: int) -> HttpResponse:
    """The page; what is posted to it changes name, address and limits."""
    found = load_provider(provider_id)
    if request.method == "GET":
        return provider_page(request, found)
    form = ProviderForm(request.POST)
    if form.is_valid():
        try:
            change_provider(provider=found, actor=request.user, **form.cleaned_data)
        except PrefloopError as error:
            show_error(form, error)
        else:
            messages.success(request, "Saved. Calls from now on keep to it.")
            return redirect("annotation:provider", found.pk)
    return provider_page(request, load_provider(provider_id), form=form)


@admin_only
@require_POST
@never_cache
def key(request: SignedInRequest, provider_id: int) -> HttpResponse:
    found, form = load_provider(provider_id), KeyForm(request.POST)
    if form.is_valid():
        try:
            set_provider_key(provider=found, actor=request.user, key=form.cleaned_data["key"])
        except PrefloopError as error:
            show_error(form, error)
        else:
            messages.success(request, "The key is replaced. The old one is erased.")
            return redirect("annotation:provider", found.pk)
    return provider_page(request, found, key_form=form)


@admin_only
@require_POST
def retire(request: SignedInRequest, provider_id: int) -> HttpResponse:
    found = load_provider(provider_id)
    retire_provider(provider=found, actor=request.user)
    messages.success(request, f"{found} is asked no more. Its judges and their calls stay.")
    return redirect("annotation:providers")


@admin_only
@require_POST
def restore(request: SignedInRequest, provider_id: int) -> HttpResponse:
    found = load_provider(provider_id)
    restore_provider(provider=found, actor=request.user)
    messages.success(request, f"{found} is asked again. If it needs a key, store it now.")
    return redirect("annotation:provider", found.pk)


def load_provider(provider_id: int) -> Provider:
    return get_object_or_404(provider_pages.providers(), pk=provider_id)


def provider_page(
    request: SignedInRequest,
    found: Provider,
    *,
    form: ProviderForm | None = None,
    key_form: KeyForm | None = None,
    model_form: ModelForm | None = None,
    price_form: PriceForm | None = None,
    price_of: int | None = None,
) -> HttpResponse:
    """Whole, with the form that was refused, if one was."""
    refused = any((form, key_form, model_form, price_form))
    context: dict[str, Any] = {
        "row": provider_pages.provider_row(found),
        "provider": found,
        "models": provider_pages.model_rows(found),
        "form": form or ProviderForm(initial=ProviderForm.values_of(found)),
        "key_form": key_form or KeyForm(),
        "model_form": model_form or ModelForm(),
        # Several forms on one page: only one of them has errors to tell.
        "price_form": price_form or PriceForm(auto_id=False),
        "price_of": price_of,
    }
    status = 422 if refused else 200
    return render(request, "annotation/judging/provider.html", context, status=status)
