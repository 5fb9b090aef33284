from django.urls import path

from annotation.api import projects

app_name = "annotation-api"
urlpatterns = [
    path("projects", projects.Projects.as_view(), name="projects"),
]
