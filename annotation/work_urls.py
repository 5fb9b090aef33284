"""Routes of the pages by which managers run the queue."""

from django.urls import path

from annotation.views import gold, project, work

urlpatterns = [
    path("home/waiting/", work.home_waiting, name="home-waiting"),
    path("projects/<int:project_id>/work/", work.work, name="work"),
    path("projects/<int:project_id>/work/now/", work.work_now, name="work-now"),
    path("projects/<int:project_id>/work/pace/", work.work_pace, name="work-pace"),
    path("projects/<int:project_id>/work/ageing/", work.work_ageing, name="work-ageing"),
    path(
        "projects/<int:project_id>/work/leases/<int:assignment_id>/release/",
        work.release,
        name="work-release",
    ),
    path(
        "projects/<int:project_id>/work/items/<int:item_id>/decide/",
        work.decide,
        name="work-decide",
    ),
    path(
        "projects/<int:project_id>/work/flags/<int:flag_id>/settle/",
        work.settle,
        name="work-settle",
    ),
    path(
        "projects/<int:project_id>/work/people/<int:user_id>/restore/",
        work.restore,
        name="work-restore",
    ),
    path("projects/<int:project_id>/settings/rules/", project.pause_rules, name="pause-rules"),
    path("projects/<int:project_id>/settings/shares/", project.shares, name="shares"),
    path("projects/<int:project_id>/gold/", gold.gold, name="gold"),
    path("projects/<int:project_id>/gold/draw/", gold.draw, name="gold-draw"),
    path("projects/<int:project_id>/gold/<int:item_id>/", gold.edit, name="gold-item"),
    path("projects/<int:project_id>/gold/<int:item_id>/unset/", gold.unset, name="gold-unset"),
]
