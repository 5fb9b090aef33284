from django.urls import path

from annotation.api import (
    content,
    import_data,
    items,
    jobs,
    judgments,
    labeling,
    own_work,
    people,
    projects,
    work,
)

app_name = "annotation-api"
urlpatterns = [
    path("projects", projects.Projects.as_view(), name="projects"),
    path("projects/<int:project_id>", projects.OneProject.as_view(), name="project"),
    path("projects/<int:project_id>/protocols", projects.Protocols.as_view(), name="protocols"),
    path("projects/<int:project_id>/work", work.Work.as_view(), name="work"),
    path("projects/<int:project_id>/pause-rules", work.PauseRules.as_view(), name="pause-rules"),
    path("projects/<int:project_id>/memberships", people.Memberships.as_view(), name="memberships"),
    path("memberships/<int:membership_id>/pause", people.PauseMember.as_view(), name="pause"),
    path("memberships/<int:membership_id>/restore", people.RestoreMember.as_view(), name="restore"),
    path("memberships/<int:membership_id>/remove", people.RemoveMember.as_view(), name="remove"),
    path("projects/<int:project_id>/invitations", people.Invitations.as_view(), name="invitations"),
    path(
        "invitations/<int:invitation_id>/revoke",
        people.RevokeInvitation.as_view(),
        name="revoke-invitation",
    ),
    path("own-judgments", own_work.OwnJudgments.as_view(), name="own-judgments"),
    path("projects/<int:project_id>/prompts", content.Prompts.as_view(), name="prompts"),
    path("prompts/<int:prompt_id>", content.OnePrompt.as_view(), name="prompt"),
    path("projects/<int:project_id>/responses", content.Responses.as_view(), name="responses"),
    path("projects/<int:project_id>/items", items.Items.as_view(), name="items"),
    path("items/<int:item_id>", items.OneItem.as_view(), name="item"),
    path("items/<int:item_id>/close", items.CloseItem.as_view(), name="close-item"),
    path("items/<int:item_id>/reopen", items.ReopenItem.as_view(), name="reopen-item"),
    path("items/<int:item_id>/extend", items.ExtendOverlap.as_view(), name="extend-item"),
    path("items/<int:item_id>/priority", items.SetPriority.as_view(), name="item-priority"),
    path("projects/<int:project_id>/import", import_data.ImportData.as_view(), name="import"),
    path("projects/<int:project_id>/jobs", jobs.ProjectJobs.as_view(), name="jobs"),
    path("projects/<int:project_id>/claim", labeling.ClaimItem.as_view(), name="claim"),
    path("assignments", labeling.OwnAssignments.as_view(), name="assignments"),
    path("assignments/<int:assignment_id>", labeling.OneAssignment.as_view(), name="assignment"),
    path(
        "assignments/<int:assignment_id>/submit", labeling.SubmitJudgment.as_view(), name="submit"
    ),
    path("assignments/<int:assignment_id>/skip", labeling.SkipItem.as_view(), name="skip"),
    path("assignments/<int:assignment_id>/extend", labeling.ExtendLease.as_view(), name="extend"),
    path("projects/<int:project_id>/judgments", judgments.Judgments.as_view(), name="judgments"),
    path("projects/<int:project_id>/feedback", judgments.Feedback.as_view(), name="feedback"),
]
