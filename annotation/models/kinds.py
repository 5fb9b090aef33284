"""The three kinds of item."""

from django.db import models


class Kind(models.TextChoices):
    THUMBS = "thumbs", "Thumbs"
    PAIRWISE = "pairwise", "Pairwise"
    LISTWISE = "listwise", "Listwise"
