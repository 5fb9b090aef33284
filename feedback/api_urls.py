from django.urls import path

from feedback.api import agreement, judges, policy, preferences, quality, snapshots

app_name = "feedback-api"
urlpatterns = [
    path("projects/<int:project_id>/agreement", agreement.Agreement.as_view(), name="agreement"),
    path("projects/<int:project_id>/quality", quality.Quality.as_view(), name="quality"),
    path("projects/<int:project_id>/judge-cards", judges.JudgeCards.as_view(), name="judge-cards"),
    path(
        "projects/<int:project_id>/judge-cards/<int:judge_id>",
        judges.JudgeCard.as_view(),
        name="judge-card",
    ),
    path(
        "projects/<int:project_id>/judge-cards/<int:judge_id>/ask-more",
        judges.AskMore.as_view(),
        name="judge-ask-more",
    ),
    path("projects/<int:project_id>/judge-gate", judges.Gate.as_view(), name="judge-gate"),
    path("projects/<int:project_id>/policy", policy.OnePolicy.as_view(), name="policy"),
    path(
        "projects/<int:project_id>/policy/preview",
        policy.PreviewPolicy.as_view(),
        name="preview-policy",
    ),
    path("projects/<int:project_id>/annotators", policy.Annotators.as_view(), name="annotators"),
    path(
        "projects/<int:project_id>/preferences",
        preferences.Preferences.as_view(),
        name="preferences",
    ),
    path(
        "projects/<int:project_id>/adjudication",
        preferences.Adjudication.as_view(),
        name="adjudication",
    ),
    path("projects/<int:project_id>/resolve", preferences.Resolve.as_view(), name="resolve"),
    path("items/<int:item_id>/adjudicate", preferences.Adjudicate.as_view(), name="adjudicate"),
    path("projects/<int:project_id>/snapshots", snapshots.Snapshots.as_view(), name="snapshots"),
    path("snapshots/<int:snapshot_id>", snapshots.OneSnapshot.as_view(), name="snapshot"),
    path("snapshots/<int:snapshot_id>/verify", snapshots.VerifySnapshot.as_view(), name="verify"),
    path("projects/<int:project_id>/exports", snapshots.Exports.as_view(), name="exports"),
    path("exports/<int:export_id>", snapshots.OneExport.as_view(), name="export"),
    path("exports/<int:export_id>/file", snapshots.DownloadExport.as_view(), name="download"),
]
