from django.urls import path

from feedback.views import (
    adjudicated,
    adjudication,
    agreement,
    export,
    funnel,
    home,
    imported,
    judge,
    policy,
    preference,
    quality,
    snapshot,
    weigh,
)

app_name = "feedback"
_project = "projects/<int:project_id>"
_review = f"{_project}/adjudication/<int:assignment_id>"
urlpatterns = [
    path("home/decisions/", home.home_decisions, name="home-decisions"),
    path(f"{_project}/funnel/feedback/", funnel.funnel, name="funnel"),
    # Agreement
    path(f"{_project}/agreement/", agreement.agreement, name="agreement"),
    path(f"{_project}/agreement/measure/", agreement.measure, name="measure"),
    path(f"{_project}/agreement.csv", agreement.agreement_csv, name="agreement-csv"),
    path(f"{_project}/agreement.json", agreement.agreement_json, name="agreement-json"),
    # Labelers
    path(f"{_project}/quality/", quality.quality, name="quality"),
    path(f"{_project}/quality/table/", quality.quality_table, name="quality-table"),
    path(f"{_project}/quality/measure/", quality.measure, name="measure-quality"),
    path(f"{_project}/quality.csv", quality.quality_csv, name="quality-csv"),
    path(f"{_project}/quality/<int:annotator_id>/", quality.labeler, name="labeler"),
    path(f"{_project}/quality/<int:annotator_id>/weight/", weigh.weigh, name="weigh"),
    path(f"{_project}/quality/<int:annotator_id>/weight/try/", weigh.try_weight, name="try-weight"),
    path(f"{_project}/quality/<int:annotator_id>/weight/set/", weigh.set_weight, name="set-weight"),
    # Judges
    path(f"{_project}/judges/board/", judge.board, name="judge-board"),
    path(f"{_project}/judges/board.csv", judge.board_csv, name="judge-board-csv"),
    path(f"{_project}/judges/board.json", judge.board_json, name="judge-board-json"),
    path(f"{_project}/judges/measure/", judge.measure, name="measure-judges"),
    path(f"{_project}/judges/gate/", judge.gate, name="judge-gate"),
    path(f"{_project}/judges/<int:judge_id>/card/", judge.card, name="judge-card"),
    path(
        f"{_project}/judges/<int:judge_id>/opposed/",
        judge.ask_more_preview,
        name="judge-ask-more-preview",
    ),
    path(f"{_project}/judges/<int:judge_id>/ask-more/", judge.ask_more, name="judge-ask-more"),
    # Decisions
    path(f"{_project}/preferences/", preference.preferences, name="preferences"),
    path(f"{_project}/adjudication/", adjudication.adjudication, name="adjudication"),
    path(f"{_project}/adjudication/decided/", adjudicated.adjudicated, name="adjudicated"),
    path(f"{_review}/", adjudication.reveal, name="reveal"),
    path(f"{_review}/answer/", adjudication.answer, name="adjudication-answer"),
    path(f"{_review}/later/", adjudication.later, name="adjudication-later"),
    path(f"{_review}/heartbeat/", adjudication.heartbeat, name="adjudication-heartbeat"),
    path(f"{_review}/decide/", adjudication.decide, name="decide"),
    path(f"{_project}/items/<int:item_id>/take-back/", adjudication.undo, name="adjudication-undo"),
    path(
        f"{_project}/items/<int:item_id>/decisions/",
        adjudicated.item_decisions,
        name="item-decisions",
    ),
    path(f"{_project}/policy/", policy.policy, name="policy"),
    path(f"{_project}/policy/resolve/", policy.resolve, name="resolve"),
    path(f"{_project}/imports/<int:job_id>/closed/", imported.closed, name="imported-closed"),
    # Snapshots
    path(f"{_project}/snapshots/", snapshot.snapshots, name="snapshots"),
    path(f"{_project}/snapshots/freeze/", snapshot.freeze, name="freeze"),
    path(f"{_project}/snapshots/freeze/<int:job_id>/", snapshot.freezing, name="freezing"),
    path(f"{_project}/snapshots/<int:snapshot_id>/", snapshot.snapshot, name="snapshot"),
    path(
        f"{_project}/snapshots/<int:snapshot_id>/verify/",
        snapshot.verify_snapshot,
        name="snapshot-verify",
    ),
    # Exports
    path(f"{_project}/exports/", export.exports, name="exports"),
    path(f"{_project}/exports/<int:export_id>/download/", export.download, name="download"),
]
