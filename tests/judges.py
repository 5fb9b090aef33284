"""Providers, models and judges of the tests: rows, and nothing is asked."""

from __future__ import annotations

from typing import Any

from annotation.judging.protocol import default_template
from annotation.models import Judge, Project, Provider, ProviderModel
from annotation.services.judge import create_judge

CAN = {
    "logprobs": True,
    "top_logprobs": 20,
    "n": True,
    "seed": True,
    "json_schema": True,
    "choices": False,
}
# Refused before anything is sent: nobody allowed this origin.
NOWHERE = "http://127.0.0.1:9/v1"


def make_model(**fields: Any) -> ProviderModel:
    provider = Provider.objects.get_or_create(name="Nowhere", defaults={"base_url": NOWHERE})[0]
    return ProviderModel.objects.create(
        **{"provider": provider, "name": "judge-1", "family": "Llama", "can": CAN, **fields}
    )


def make_judge(
    project: Project, *, protocol: str = "mt_bench", kind: str = "pairwise", **fields: Any
) -> Judge:
    model = fields.pop("model", None) or ProviderModel.objects.first() or make_model()
    return create_judge(
        **{
            "project": project,
            "name": "Strict",
            "model": model,
            "protocol": protocol,
            "template": default_template(protocol, kind),
            "settings": {},
            "created_by": None,
            **fields,
        }
    )
