from django.urls import path

from training.api import methods, runs, sweeps, versions

app_name = "training-api"
urlpatterns = [
    path("methods", methods.Methods.as_view(), name="methods"),
    path("projects/<int:project_id>/base-models", methods.BaseModels.as_view(), name="models"),
    path("projects/<int:project_id>/runs", runs.Runs.as_view(), name="runs"),
    path(
        "projects/<int:project_id>/runs/estimate",
        runs.RunEstimate.as_view(),
        name="run-estimate",
    ),
    path("projects/<int:project_id>/sweeps", sweeps.Sweeps.as_view(), name="sweeps"),
    path("sweeps/<int:sweep_id>", sweeps.OneSweep.as_view(), name="sweep"),
    path("sweeps/<int:sweep_id>/stop", sweeps.StopSweep.as_view(), name="stop-sweep"),
    path("sweeps/<int:sweep_id>/resume", sweeps.ResumeSweep.as_view(), name="resume-sweep"),
    path("projects/<int:project_id>/recipes", sweeps.Recipes.as_view(), name="recipes"),
    path("recipes/<int:recipe_id>", sweeps.OneRecipe.as_view(), name="recipe"),
    path("recipes/<int:recipe_id>/stop", sweeps.StopRecipe.as_view(), name="stop-recipe"),
    path("recipes/<int:recipe_id>/resume", sweeps.ResumeRecipe.as_view(), name="resume-recipe"),
    path("runs/<int:run_id>", runs.OneRun.as_view(), name="run"),
    path("runs/<int:run_id>/metrics", runs.RunMetrics.as_view(), name="run-metrics"),
    path("runs/<int:run_id>/log", runs.RunLog.as_view(), name="run-log"),
    path("runs/<int:run_id>/cancel", runs.CancelRun.as_view(), name="cancel-run"),
    path("runs/<int:run_id>/resume", runs.ResumeRun.as_view(), name="resume-run"),
    path("projects/<int:project_id>/versions", versions.Versions.as_view(), name="versions"),
    path("versions/<int:version_id>", versions.OneVersion.as_view(), name="version"),
    path("versions/<int:version_id>/promote", versions.PromoteVersion.as_view(), name="promote"),
    path("versions/<int:version_id>/roll-back", versions.RollBack.as_view(), name="roll-back"),
    path("versions/<int:version_id>/sample", versions.SampleVersion.as_view(), name="sample"),
    path("projects/<int:project_id>/promotions", versions.Promotions.as_view(), name="promotions"),
    path("projects/<int:project_id>/rounds", versions.Rounds.as_view(), name="rounds"),
]
