"""The part of the home page that says what waits for a decision."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from core.access import SignedInRequest, signed_in
from feedback.selectors.home import waiting_for


@signed_in
@require_GET
@never_cache
def home_decisions(request: SignedInRequest) -> HttpResponse:
    """Empty for those who only judge, and where nothing is contested."""
    return render(request, "feedback/_home_decisions.html", {"rows": waiting_for(request.user)})
