from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"
    label = "training"

    def ready(self) -> None:
        from training import tasks  # noqa: F401 -- fills the registry of jobs
        from training.services import forgetting  # noqa: F401 -- fills that of free text
