"""The forms of accounts."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.http import HttpRequest, QueryDict

from core.access import SignedInRequest
from core.errors import Conflict
from core.models import ApiToken, User
from core.services.sign_in import try_password


class SignUpForm(forms.Form):
    """An account of one's own, made by who comes with an invitation."""

    username = forms.CharField(
        max_length=150,
        validators=[UnicodeUsernameValidator()],
        help_text="You sign in with it. Letters, digits and @ . + - _",
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "autofocus": True}
        ),
    )
    name = forms.CharField(
        max_length=150,
        required=False,
        help_text="What managers of the project see. Left empty, they see the username.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = forms.CharField(
        strip=False,
        help_text="At least 12 characters; three or four words that only you would put together "
        "are good.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=False),
    )
    again = forms.CharField(
        label="Password, once more",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=False),
    )

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise ValidationError("This name is taken. Choose another, or sign in if it is yours.")
        return username

    def clean(self) -> None:
        given = self.cleaned_data
        if given.get("password") != given.get("again"):
            self.add_error("again", "The two passwords differ.")
        elif "password" in given:
            user = User(username=given.get("username", ""), name=given.get("name", ""))
            try:
                validate_password(given["password"], user)
            except ValidationError as error:
                self.add_error("password", error)


class NewPersonForm(forms.Form):
    username = forms.CharField(max_length=150, validators=[UnicodeUsernameValidator()])
    name = forms.CharField(max_length=150, required=False)
    email = forms.EmailField(
        label="E-mail", required=False, help_text="For you to reach them; nothing is sent to it."
    )
    can_create_projects = forms.BooleanField(
        required=False, label="May create projects, and manages those"
    )
    is_admin = forms.BooleanField(required=False, label="Admin of this instance: may do everything")


class SignInForm(AuthenticationForm):
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "The username or the password is wrong. Upper and lower case matter in "
        "the password.",
    }

    def clean(self) -> dict[str, Any]:
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if username and password:
            request = cast("HttpRequest", self.request)
            try:
                self.user_cache = try_password(
                    request=request, username=username, password=password
                )
            except Conflict as error:
                raise ValidationError(error.message) from error
            if self.user_cache is None:
                raise self.get_invalid_login_error()
        return self.cleaned_data


class OwnPasswordForm(PasswordChangeForm):
    """The old password is a guess like any other, when somebody else sits before the screen."""

    def __init__(self, request: SignedInRequest, data: QueryDict | None = None) -> None:
        super().__init__(request.user, data)
        self.request = request
        # Below the tokens, so it must not pull the page down to itself.
        self.fields["old_password"].widget.attrs.pop("autofocus", None)

    def clean_old_password(self) -> str:
        given: str = self.cleaned_data["old_password"]
        username = self.user.get_username()
        if try_password(request=self.request, username=username, password=given) is None:
            raise ValidationError("This is not your password. Type the one you sign in with.")
        return given


class ChoosePasswordForm(SetPasswordForm):  # type: ignore[type-arg]
    """The page says what a password must be; Django's list would say it again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password1"].help_text = ""
        self.fields["new_password2"].help_text = ""
        self.fields["new_password2"].label = "New password, once more"


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
