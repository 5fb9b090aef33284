from django.urls import path

from core.api import docs, jobs, tokens

app_name = "core-api"
urlpatterns = [
    path("schema/", docs.schema, name="schema"),
    path("docs/", docs.docs, name="docs"),
    path("jobs/<int:job_id>", jobs.OneJob.as_view(), name="job"),
    path("jobs/<int:job_id>/cancel", jobs.CancelJob.as_view(), name="cancel-job"),
    path("jobs/<int:job_id>/resume", jobs.ResumeJob.as_view(), name="resume-job"),
    path("tokens", tokens.Tokens.as_view(), name="tokens"),
    path("tokens/<int:token_id>/revoke", tokens.RevokeToken.as_view(), name="revoke-token"),
]
