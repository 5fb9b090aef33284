from django.apps import AppConfig


class AnnotationConfig(AppConfig):
    name = "annotation"
    label = "annotation"

    def ready(self) -> None:
        from annotation import tasks  # noqa: F401 -- fills the registries
        from annotation.services import forget_user  # noqa: F401 -- and so does this
