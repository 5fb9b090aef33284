from django.urls import include, path

from annotation.views import (
    everybody,
    import_data,
    invitation,
    item,
    labeling,
    own_work,
    people,
    project,
)

app_name = "annotation"
urlpatterns = [
    # Labeling
    path("home/work/", labeling.home_work, name="home-work"),
    path("projects/<int:project_id>/label/", labeling.label, name="label"),
    path("projects/<int:project_id>/label/submit/", labeling.submit, name="label-submit"),
    path("projects/<int:project_id>/label/skip/", labeling.skip, name="label-skip"),
    path("projects/<int:project_id>/label/last/", labeling.last, name="label-last"),
    path("projects/<int:project_id>/label/heartbeat/", labeling.heartbeat, name="label-heartbeat"),
    path("projects/<int:project_id>/label/ahead/", labeling.ahead, name="label-ahead"),
    path("projects/<int:project_id>/label/flag/", labeling.flag, name="label-flag"),
    path("projects/<int:project_id>/label/draft/", labeling.draft, name="label-draft"),
    path(
        "projects/<int:project_id>/label/guidelines/",
        labeling.guidelines,
        name="label-guidelines",
    ),
    path(
        "projects/<int:project_id>/label/<int:assignment_id>/", labeling.again, name="label-again"
    ),
    # Projects
    path("home/projects/", project.home_projects, name="home-projects"),
    path("projects/", project.projects, name="projects"),
    path("projects/new/", project.new_project, name="new-project"),
    path("guidelines/preview/", project.preview, name="preview"),
    path("projects/<int:project_id>/", project.project, name="project"),
    path("projects/<int:project_id>/settings/", project.settings, name="settings"),
    path("projects/<int:project_id>/protocol/", project.protocol, name="protocol"),
    # The queue, for its managers
    path("", include("annotation.work_urls")),
    # Judges, and the endpoints they are asked at
    path("", include("annotation.judge_urls")),
    # Items
    path("projects/<int:project_id>/items/", item.items, name="items"),
    path("projects/<int:project_id>/items/<int:item_id>/", item.item, name="item"),
    path(
        "projects/<int:project_id>/items/<int:item_id>/close/",
        item.move_item,
        {"action": "close"},
        name="item-close",
    ),
    path(
        "projects/<int:project_id>/items/<int:item_id>/reopen/",
        item.move_item,
        {"action": "reopen"},
        name="item-reopen",
    ),
    path(
        "projects/<int:project_id>/items/<int:item_id>/ask-more/",
        item.ask_more,
        name="item-ask-more",
    ),
    # Import
    path("projects/<int:project_id>/import/", import_data.import_data, name="import"),
    path(
        "projects/<int:project_id>/import/<int:job_id>/",
        import_data.import_job,
        name="import-job",
    ),
    path(
        "projects/<int:project_id>/import/<int:job_id>/confirm/",
        import_data.confirm_import,
        name="import-confirm",
    ),
    path(
        "projects/<int:project_id>/import/<int:job_id>/problems.txt",
        import_data.import_problems,
        name="import-problems",
    ),
    # People
    path("projects/<int:project_id>/people/", people.people, name="people"),
    path("projects/<int:project_id>/people/add/", people.add_person, name="person-add"),
    path(
        "projects/<int:project_id>/people/<int:user_id>/role/",
        people.change_role,
        name="person-role",
    ),
    path(
        "projects/<int:project_id>/people/<int:user_id>/pause/",
        people.pause_person,
        name="person-pause",
    ),
    path(
        "projects/<int:project_id>/people/<int:user_id>/restore/",
        people.restore_person,
        name="person-restore",
    ),
    path(
        "projects/<int:project_id>/people/<int:user_id>/remove/",
        people.remove_person,
        name="person-remove",
    ),
    path("projects/<int:project_id>/people/invite/", people.invite, name="invite"),
    path(
        "projects/<int:project_id>/people/invitations/<int:invitation_id>/withdraw/",
        people.withdraw_invitation,
        name="invitation-withdraw",
    ),
    # One's own work
    path("my-work/", own_work.own_work_everywhere, name="own-work-everywhere"),
    path("projects/<int:project_id>/my-work/", own_work.own_work, name="own-work"),
    # The people of the instance
    path("people/", everybody.people, name="everybody"),
    path("people/new/", everybody.new_person, name="new-person"),
    path("people/<int:user_id>/", everybody.person, name="person"),
    path("people/<int:user_id>/rights/", everybody.rights, name="person-rights"),
    path(
        "people/<int:user_id>/password-link/",
        everybody.password_link,
        name="person-password-link",
    ),
    path(
        "people/<int:user_id>/password-link/withdraw/",
        everybody.withdraw_link,
        name="person-withdraw-link",
    ),
    path("people/<int:user_id>/deactivate/", everybody.deactivate, name="person-deactivate"),
    path("people/<int:user_id>/reactivate/", everybody.reactivate, name="person-reactivate"),
    path("people/<int:user_id>/forget/", everybody.forget, name="person-forget"),
    path("join/", invitation.join, name="join"),
    path("join/<str:secret>/", invitation.open_invitation, name="invitation"),
]
