"""The schema for programs, and the same for people to read and try."""

from __future__ import annotations

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from core.access import signed_in


class Docs(SpectacularSwaggerSplitView):
    url_name = "core-api:schema"
    template_name = "core/api_docs.html"


schema = SpectacularAPIView.as_view()
docs = signed_in(Docs.as_view())
