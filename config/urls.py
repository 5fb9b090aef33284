"""Each app brings its own routes; the API stands under /api/."""

from django.urls import include, path

urlpatterns = [
    path("", include("core.urls")),
    path("", include("annotation.urls")),
    path("", include("feedback.urls")),
    path("", include("training.urls")),
    path("api/", include("core.api_urls")),
    path("api/", include("annotation.api_urls")),
    path("api/", include("feedback.api_urls")),
    path("api/", include("training.api_urls")),
]

handler404 = "core.views.site.not_found"
handler500 = "core.views.site.server_error"
