from django.urls import path

from training.api import versions

app_name = "training-api"
urlpatterns = [
    path("projects/<int:project_id>/versions", versions.Versions.as_view(), name="versions"),
]
