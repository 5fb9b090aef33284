from django.urls import path

from annotation.views import labeling

app_name = "annotation"
urlpatterns = [
    # Labeling
    path("home/work/", labeling.home_work, name="home-work"),
    path("projects/<int:project_id>/label/", labeling.label, name="label"),
    path("projects/<int:project_id>/label/submit/", labeling.submit, name="label-submit"),
    path("projects/<int:project_id>/label/skip/", labeling.skip, name="label-skip"),
    path("projects/<int:project_id>/label/last/", labeling.last, name="label-last"),
    path("projects/<int:project_id>/label/heartbeat/", labeling.heartbeat, name="label-heartbeat"),
]
