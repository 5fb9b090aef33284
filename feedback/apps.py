from django.apps import AppConfig


class FeedbackConfig(AppConfig):
    name = "feedback"
    label = "feedback"

    def ready(self) -> None:
        from feedback import tasks  # noqa: F401 -- fills the registry of jobs
        from feedback.services import forgetting  # noqa: F401 -- fills that of free text
