"""Routes of judges: the endpoints they are asked at, their texts, their runs."""

from django.urls import path

from annotation.views import (
    judge,
    judge_form,
    judge_run,
    judge_template,
    provider,
    provider_model,
)

_provider = "providers/<int:provider_id>"
_model = f"{_provider}/models/<int:model_id>"
_project = "projects/<int:project_id>"
_judge = f"{_project}/judges/<int:judge_id>"
_run = f"{_project}/judge-runs/<int:judge_run_id>"
urlpatterns = [
    # Providers
    path("providers/", provider.providers, name="providers"),
    path("providers/new/", provider.new_provider, name="new-provider"),
    path(f"{_provider}/", provider.provider, name="provider"),
    path(f"{_provider}/key/", provider.key, name="provider-key"),
    path(f"{_provider}/retire/", provider.retire, name="provider-retire"),
    path(f"{_provider}/restore/", provider.restore, name="provider-restore"),
    path(f"{_provider}/offered/", provider_model.offered, name="provider-offered"),
    path(f"{_provider}/models/", provider_model.add, name="provider-add-model"),
    path(f"{_model}/probe/", provider_model.probe, name="provider-probe"),
    path(f"{_model}/price/", provider_model.price, name="provider-price"),
    # Judges
    path(f"{_project}/judges/", judge.judges, name="judges"),
    path(f"{_project}/judges/new/", judge_form.new_judge, name="new-judge"),
    path(f"{_project}/judges/new/preview/", judge_form.judge_preview, name="judge-preview"),
    path(f"{_judge}/", judge.judge, name="judge"),
    path(f"{_judge}/takes/", judge.takes, name="judge-takes"),
    path(f"{_judge}/calls/", judge.calls, name="judge-calls"),
    path(f"{_judge}/calls/<int:call_id>/", judge.call, name="judge-call"),
    # Runs
    path(f"{_judge}/run/", judge_run.start, name="judge-run-form"),
    path(f"{_judge}/run/estimate/", judge_run.estimate, name="judge-run-estimate"),
    path(f"{_judge}/try/", judge_run.try_it, name="judge-try"),
    path(f"{_run}/", judge_run.run, name="judge-run"),
    path(f"{_run}/state/", judge_run.run_state, name="judge-run-state"),
    path(f"{_run}/pause/", judge_run.move, {"action": "pause"}, name="judge-run-pause"),
    path(f"{_run}/resume/", judge_run.resume, name="judge-run-resume"),
    path(f"{_run}/stop/", judge_run.move, {"action": "stop"}, name="judge-run-stop"),
    # One's own texts
    path(f"{_project}/judge-templates/", judge_template.templates, name="judge-templates"),
    path(
        f"{_project}/judge-templates/new/",
        judge_template.new_template,
        name="new-judge-template",
    ),
    path(
        f"{_project}/judge-templates/check/",
        judge_template.check,
        name="judge-template-check",
    ),
    path(
        f"{_project}/judge-templates/try/",
        judge_template.try_template,
        name="judge-template-try",
    ),
    path(
        f"{_project}/judge-templates/<int:template_id>/",
        judge_template.template,
        name="judge-template",
    ),
]
