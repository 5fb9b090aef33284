"""Snapshots, and the files exported from them."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import FileResponse, Http404
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Capability
from annotation.api.base import found, project_of, visible
from annotation.models import Project
from core.api.endpoint import Endpoint, ListEndpoint
from core.api.schema import operation
from core.errors import Conflict, PrefloopError
from core.models import ApiToken
from core.serializers import JobOut
from feedback.models import Export, Snapshot
from feedback.selectors.agreement import unfinished_job
from feedback.serializers import ExportIn, ExportOut, FreezeIn, ManifestOut, SnapshotOut
from feedback.services.export import path_of, request_export
from feedback.services.freeze_snapshot import request_freeze
from feedback.snapshot_files import verify

READ, WRITE = ApiToken.Scope.READ, ApiToken.Scope.WRITE
TYPES = {"jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}


class Snapshots(ListEndpoint[Snapshot]):
    scope = {"GET": READ, "POST": WRITE}
    serializer_class = SnapshotOut

    @operation("Snapshots", response=SnapshotOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Snapshot]:
        project = project_of(self, Capability.RESEARCH)
        self.chosen()
        return Snapshot.objects.filter(project=project)

    @operation(
        "Freeze a snapshot",
        request=FreezeIn,
        response=JobOut,
        code=202,
        description="The job's result names the snapshot; when nothing has changed, the one "
        "before. Refused when the training or the held-out side would be empty: at once, or by the "
        "job where judgments wait to be decided about.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        given = self.given(FreezeIn)
        job = unfinished_job(project, "freeze_snapshot") or request_freeze(
            project=project, created_by=self.user, **given
        )
        return self.rendered(JobOut, job, code=202)


class _OneSnapshot(Endpoint):
    scope = READ

    def snapshot(self) -> Snapshot:
        rows = Snapshot.objects.visible_to(self.user)
        return found(rows, self, self.kwargs["snapshot_id"], Capability.RESEARCH)[0]


class OneSnapshot(_OneSnapshot):
    @operation("A snapshot with its manifest", response=ManifestOut)
    def get(self, request: Request, snapshot_id: int) -> Response:
        return self.rendered(ManifestOut, self.snapshot())


class VerifySnapshot(_OneSnapshot):
    @operation(
        "Check that a snapshot's files are what was frozen",
        response=ManifestOut,
        description="An error says what is wrong with them.",
    )
    def post(self, request: Request, snapshot_id: int) -> Response:
        snapshot = self.snapshot()
        verify(snapshot)
        return self.rendered(ManifestOut, snapshot)


class Exports(ListEndpoint[Export]):
    scope = {"GET": READ, "POST": WRITE}
    serializer_class = ExportOut

    @operation("Exports", response=ExportOut(many=True))
    def get(self, request: Request, project_id: int) -> Response:
        return self.list(request)

    def get_queryset(self) -> QuerySet[Export]:
        project = project_of(self, Capability.RESEARCH)
        self.chosen()
        return Export.objects.filter(project=project).select_related("job")

    @operation(
        "Export a snapshot, or the raw judgments",
        request=ExportIn,
        response=ExportOut,
        code=202,
        description="Download it when `is_ready`.",
    )
    def post(self, request: Request, project_id: int) -> Response:
        project = project_of(self, Capability.RESEARCH)
        given = self.given(ExportIn)
        given["snapshot"] = self._snapshot(project, given["snapshot"])
        export = request_export(project=project, created_by=self.user, **given)
        return self.rendered(ExportOut, export, code=202)

    def _snapshot(self, project: Project, key: int | None) -> Snapshot | None:
        if key is None:
            return None
        snapshot = visible(Snapshot.objects.filter(project=project), self).filter(pk=key).first()
        if snapshot is None:
            raise PrefloopError(f"This project has no snapshot {key}.", field="snapshot")
        return snapshot


class OneExport(Endpoint):
    scope = READ

    def export(self) -> Export:
        rows = Export.objects.visible_to(self.user).select_related("job")
        return found(rows, self, self.kwargs["export_id"], Capability.RESEARCH)[0]

    @operation("An export", response=ExportOut)
    def get(self, request: Request, export_id: int) -> Response:
        return self.rendered(ExportOut, self.export())


class DownloadExport(OneExport):
    @operation(
        "The file of an export",
        response={(200, kind): OpenApiTypes.BINARY for kind in TYPES.values()},
    )
    def get(self, request: Request, export_id: int) -> HttpResponseBase:
        export = self.export()
        if not export.file_name:
            raise Conflict("This export is not ready yet. Ask for it again until `is_ready`.")
        path = path_of(export)
        if path is None:
            raise Http404
        return FileResponse(
            path.open("rb"),
            as_attachment=True,
            filename=path.name,
            content_type=TYPES[export.format],
            headers={"X-Content-Type-Options": "nosniff"},
        )
