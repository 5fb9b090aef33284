from django.urls import path

from core.api import docs, tokens

app_name = "core-api"
urlpatterns = [
    path("schema/", docs.schema, name="schema"),
    path("docs/", docs.docs, name="docs"),
    path("tokens", tokens.Tokens.as_view(), name="tokens"),
    path("tokens/<int:token_id>/revoke", tokens.RevokeToken.as_view(), name="revoke-token"),
]
