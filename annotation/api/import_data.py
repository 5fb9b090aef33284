"""Importing by program: rows in, a job out; its result is the report."""

from __future__ import annotations

import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import project_of
from annotation.api.content import LARGE_BODY
from annotation.serializers.import_data import ImportIn, ImportOptions
from annotation.services.import_job import request_import
from core.api.endpoint import Endpoint
from core.api.parsers import JsonParser, LinesParser
from core.api.schema import operation
from core.errors import PrefloopError
from core.models import ApiToken
from core.serializers import JobOut


class ImportData(Endpoint):
    scope = ApiToken.Scope.WRITE
    parser_classes = [JsonParser, LinesParser]
    max_body_bytes = LARGE_BODY

    @operation(
        "Import prompts, responses and judgments",
        request={
            "application/json": ImportIn,
            LinesParser.media_type: OpenApiTypes.STR,
        },
        response=JobOut,
        code=202,
        parameters=[ImportOptions],
        description="Rows as `rows` of a JSON body, or one JSON object a line. The job's result is "
        "the report: what was added, and which rows could not be read and why. Importing twice "
        "adds nothing. Larger files: in several calls, or by `manage.py import_data`.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        options = ImportOptions(data=request.query_params.dict())
        options.is_valid(raise_exception=True)
        given = options.validated_data
        uploads: list[Any] = [SimpleUploadedFile(f"{given['label']}.jsonl", self._lines())]
        job = request_import(
            project=project,
            created_by=self.user,
            format_name=given["format"],
            uploads=uploads,
            label=given["label"],
            dry_run=given["dry_run"],
            keep_open=given["keep_open"],
            hide_gold=given["hide_gold"],
        )
        return self.rendered(JobOut, job, code=202)

    def _lines(self) -> bytes:
        if LinesParser.media_type in (self.request.content_type or ""):
            body: Any = self.request.data
            lines: bytes = body.get("lines", b"")
            if not lines.strip():
                raise PrefloopError("The body has no rows.", field="rows")
            return lines
        rows = self.given(ImportIn)["rows"]
        return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
