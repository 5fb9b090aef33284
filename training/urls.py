from django.urls import path

from training.views import comparison, launch, loop, method, recipe, run, sweep, version

app_name = "training"
urlpatterns = [
    path("runs/", run.runs, name="runs"),
    path("home/loop/", loop.home_loop, name="home-loop"),
    path("models/", version.models, name="models"),
    path("methods/", method.methods, name="methods"),
    path("methods/<str:name>/", method.method, name="method"),
    path("projects/<int:project_id>/runs/", run.project_runs, name="project-runs"),
    path("projects/<int:project_id>/runs/new/", launch.launch, name="launch"),
    path("projects/<int:project_id>/runs/new/estimate/", launch.estimate, name="launch-estimate"),
    path("projects/<int:project_id>/runs/compare/", comparison.compare, name="compare"),
    path("projects/<int:project_id>/sweeps/<int:sweep_id>/", sweep.sweep, name="sweep"),
    path(
        "projects/<int:project_id>/sweeps/<int:sweep_id>/live/", sweep.sweep_live, name="sweep-live"
    ),
    path(
        "projects/<int:project_id>/sweeps/<int:sweep_id>/stop/", sweep.sweep_stop, name="sweep-stop"
    ),
    path(
        "projects/<int:project_id>/sweeps/<int:sweep_id>/resume/",
        sweep.sweep_resume,
        name="sweep-resume",
    ),
    path("projects/<int:project_id>/recipes/new/", recipe.new_recipe, name="new-recipe"),
    path(
        "projects/<int:project_id>/recipes/new/estimate/",
        recipe.recipe_estimate,
        name="new-recipe-estimate",
    ),
    path("projects/<int:project_id>/recipes/<int:recipe_id>/", recipe.recipe, name="recipe"),
    path(
        "projects/<int:project_id>/recipes/<int:recipe_id>/live/",
        recipe.recipe_live,
        name="recipe-live",
    ),
    path(
        "projects/<int:project_id>/recipes/<int:recipe_id>/stop/",
        recipe.recipe_stop,
        name="recipe-stop",
    ),
    path(
        "projects/<int:project_id>/recipes/<int:recipe_id>/resume/",
        recipe.recipe_resume,
        name="recipe-resume",
    ),
    path("projects/<int:project_id>/runs/<int:run_id>/", run.run, name="run"),
    path("projects/<int:project_id>/runs/<int:run_id>/state/", run.run_state, name="run-state"),
    path("projects/<int:project_id>/runs/<int:run_id>/live/", run.run_live, name="run-live"),
    path("projects/<int:project_id>/runs/<int:run_id>/log/", run.run_log, name="run-log"),
    path(
        "projects/<int:project_id>/runs/<int:run_id>/metrics.csv",
        run.run_metrics,
        name="run-metrics",
    ),
    path("projects/<int:project_id>/runs/<int:run_id>/cancel/", run.run_cancel, name="run-cancel"),
    path("projects/<int:project_id>/runs/<int:run_id>/resume/", run.run_resume, name="run-resume"),
    path("projects/<int:project_id>/versions/", version.versions, name="versions"),
    path("projects/<int:project_id>/versions/<int:number>/", version.version, name="version"),
    path(
        "projects/<int:project_id>/versions/<int:number>/promote/", version.promote, name="promote"
    ),
    path(
        "projects/<int:project_id>/versions/<int:number>/roll-back/",
        version.take_back,
        name="roll-back",
    ),
    path("projects/<int:project_id>/versions/<int:number>/sample/", version.sample, name="sample"),
    path("projects/<int:project_id>/loop/", loop.loop, name="loop"),
    path("projects/<int:project_id>/loop/funnel/", loop.funnel, name="funnel"),
]
