"""The forms of the account page."""

from __future__ import annotations

from django import forms
from django.contrib.auth.forms import PasswordChangeForm

from core.models import ApiToken, User


class OwnPasswordForm(PasswordChangeForm):
    """Below the tokens, so it must not pull the page down to itself."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["old_password"].widget.attrs.pop("autofocus", None)


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=100, help_text="What will use it, so that you know which to revoke."
    )
    scopes = forms.MultipleChoiceField(
        label="It may", widget=forms.CheckboxSelectMultiple, initial=[ApiToken.Scope.READ]
    )
    days = forms.TypedChoiceField(
        label="It ends",
        coerce=int,
        initial=90,
        choices=[(30, "in 30 days"), (90, "in 90 days"), (365, "in a year"), (0, "never")],
    )

    def __init__(self, *args: object, user: User, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        scopes = [
            choice
            for choice in ApiToken.Scope.choices
            if user.is_admin or choice[0] != ApiToken.Scope.ADMIN
        ]
        self.fields["scopes"].choices = scopes  # type: ignore[attr-defined]
