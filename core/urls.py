from django.urls import path

from core.views import account, job, password, sign_in, site

app_name = "core"
urlpatterns = [
    path("", site.home, name="home"),
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
    path("password/<uidb64>/<token>/", password.choose_password, name="choose-password"),
    path("theme/", site.set_theme, name="theme"),
    path("account/", account.account, name="account"),
    path("account/tokens/", account.create_token, name="create-token"),
    path("account/tokens/<int:token_id>/revoke/", account.revoke_token, name="revoke-token"),
    path("account/password/", account.change_password, name="change-password"),
    path("jobs/<int:job_id>/", job.job, name="job"),
    path("jobs/<int:job_id>/cancel/", job.cancel_job, name="job-cancel"),
    path("healthz", site.healthz, name="healthz"),
    path("readyz", site.readyz, name="readyz"),
]
