"""Providers by REST: for admins of the instance, with a token of the scope `admin`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.models import Price, Provider, ProviderModel
from annotation.serializers.providers import (
    KeyIn,
    ModelIn,
    ModelOut,
    OfferedOut,
    PriceIn,
    PriceOut,
    ProviderChange,
    ProviderIn,
    ProviderOut,
)
from annotation.services.offered_models import offered_models
from annotation.services.provider import (
    add_model,
    change_provider,
    create_provider,
    probe_model,
    restore_provider,
    retire_provider,
    set_price,
    set_provider_key,
)
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.errors import NotAllowed
from core.models import ApiToken

ADMIN = ApiToken.Scope.ADMIN


class _ForAdmins(Endpoint):
    scope = ADMIN

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not self.user.is_admin:
            raise NotAllowed("Only an admin of this instance may do this. Ask one.")

    def provider(self) -> Provider:
        return get_object_or_404(_rows(), pk=self.kwargs["provider_id"])

    def model(self) -> ProviderModel:
        models = ProviderModel.objects.select_related("provider__secret")
        return get_object_or_404(models, pk=self.kwargs["provider_model_id"])


def _rows() -> QuerySet[Provider]:
    return Provider.objects.select_related("secret", "state").prefetch_related("models__provider")


class Providers(_ForAdmins, ListEndpoint[Provider]):
    serializer_class = ProviderOut

    @operation("Providers", response=ProviderOut(many=True))
    def get(self, request: Request) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Provider]:
        self.chosen()
        return _rows()

    @operation(
        "Add a provider",
        request=ProviderIn,
        response=ProviderOut,
        code=201,
        description="Nothing is asked of it. Add models next, and probe them.",
    )
    def post(self, request: Request) -> Response:
        made = create_provider(actor=self.user, **self.given(ProviderIn))
        return self.rendered(ProviderOut, _rows().get(pk=made.pk), code=201)


class OneProvider(_ForAdmins):
    @operation("A provider", response=ProviderOut)
    def get(self, request: Request, provider_id: int) -> Response:
        return self.rendered(ProviderOut, self.provider())

    @operation("Change a provider", request=ProviderChange, response=ProviderOut)
    def patch(self, request: Request, provider_id: int) -> Response:
        found, given = self.provider(), self.given(ProviderChange)
        change_provider(provider=found, actor=self.user, **given)
        return self.rendered(ProviderOut, self.provider())


class ProviderKey(_ForAdmins):
    @operation("Replace a provider's key", request=KeyIn, response=ProviderOut)
    def put(self, request: Request, provider_id: int) -> Response:
        found, given = self.provider(), self.given(KeyIn)
        set_provider_key(provider=found, actor=self.user, **given)
        return self.rendered(ProviderOut, self.provider())


class RetireProvider(_ForAdmins):
    @operation(
        "Retire a provider",
        response=ProviderOut,
        description="It is asked no more and its key is erased; judges and calls stay.",
    )
    def post(self, request: Request, provider_id: int) -> Response:
        retire_provider(provider=self.provider(), actor=self.user)
        return self.rendered(ProviderOut, self.provider())


class RestoreProvider(_ForAdmins):
    @operation(
        "Take a retired provider into use again",
        response=ProviderOut,
        description="Its key was erased when it was retired: store it anew.",
    )
    def post(self, request: Request, provider_id: int) -> Response:
        restore_provider(provider=self.provider(), actor=self.user)
        return self.rendered(ProviderOut, self.provider())


class OfferedModels(_ForAdmins):
    @operation("What the endpoint says that it serves", response=OfferedOut)
    def get(self, request: Request, provider_id: int) -> Response:
        return self.rendered(OfferedOut, {"names": offered_models(self.provider())})


class ProviderModels(_ForAdmins):
    @operation(
        "Add a model", request=ModelIn, response=ModelOut, code=201,
        description="One that is there already is returned.",
    )  # fmt: skip
    def post(self, request: Request, provider_id: int) -> Response:
        made = add_model(provider=self.provider(), actor=self.user, **self.given(ModelIn))
        return self.rendered(ModelOut, made, code=201)


class ProbeModel(_ForAdmins):
    @operation(
        "Find out what a model can do",
        response=ModelOut,
        description="About ten small calls. `probe_error` says why it could not be asked.",
    )
    def post(self, request: Request, provider_model_id: int) -> Response:
        return self.rendered(ModelOut, probe_model(model=self.model(), actor=self.user))


class Prices(_ForAdmins, ListEndpoint[Price]):
    serializer_class = PriceOut

    @operation("The prices of a model", response=PriceOut(many=True))
    def get(self, request: Request, provider_model_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Price]:
        self.chosen()
        return Price.objects.filter(model=self.model())

    @operation(
        "Add a price",
        request=PriceIn,
        response=PriceOut,
        code=201,
        description="From a day on. A second price of one day corrects the first; calls that were "
        "made keep what they were booked at.",
    )
    def post(self, request: Request, provider_model_id: int) -> Response:
        given = self.given(PriceIn)
        for name in ("input_per_million", "output_per_million"):
            given[name] = round(Decimal(str(given[name])), 6)
        price = set_price(model=self.model(), actor=self.user, **given)
        return self.rendered(PriceOut, price, code=201)
