from django.urls import path

from feedback.api import snapshots

app_name = "feedback-api"
urlpatterns = [
    path("projects/<int:project_id>/snapshots", snapshots.Snapshots.as_view(), name="snapshots"),
]
