"""Which side a new prompt is on: decided once, from its near-duplicates in all projects.

Two prompts are near-duplicates when they share a MinHash band. Bands belong to clusters, and a
cluster has one side for ever, so a prompt and its twin never stand on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils import timezone

from annotation.messages import text_for_comparison
from annotation.models import Project, Prompt, PromptBand, PromptCluster, Side
from annotation.near_duplicates import bands_of_many, side_of
from core.bulk import copy_integers, copy_rows, lock, new_ids

CLUSTER_LOCK = 7_214_102
HELD_OUT_SHARE = 0.15
# With so many clusters, a project with an empty side gets one, or it could never be evaluated.
ENOUGH_CLUSTERS = 5


@dataclass
class Draft:
    """A cluster; `key` is the hash of its first prompt, and is known for new clusters only."""

    side: str
    key: str = ""
    pk: int | None = None


def assign_clusters(project: Project, prompts: Sequence[Prompt]) -> None:
    """Sets `cluster` and `side` of unsaved prompts; writes the new clusters and bands."""
    bands = bands_of_many([text_for_comparison(prompt.messages) for prompt in prompts])
    lock(CLUSTER_LOCK)
    owners = _known_owners(band for one in bands for band in one)
    known_bands = set(owners)
    touched = [_join(prompt, one, owners) for prompt, one in zip(prompts, bands, strict=True)]
    fresh = list({id(d): d for one in touched for d in one if d.pk is None}.values())
    _fill_empty_side(project, fresh, [one[0] for one in touched])
    _write_clusters(fresh)
    # In order, so that neighbours in the index are written together.
    new_bands = sorted(set(owners) - known_bands)
    copy_integers(
        PromptBand, ("band", "cluster"), ((band, owners[band].pk or 0) for band in new_bands)
    )
    for prompt, drafts in zip(prompts, touched, strict=True):
        prompt.cluster_id = drafts[0].pk  # type: ignore[assignment]
        sides = {draft.side for draft in drafts}
        prompt.side = sides.pop() if len(sides) == 1 else Side.NEITHER.value


def _known_owners(bands: Iterable[int]) -> dict[int, Draft]:
    found = PromptBand.objects.filter(band__any=set(bands)).values_list(
        "band", "cluster_id", "cluster__side"
    )
    drafts: dict[int, Draft] = {}
    return {
        band: drafts.setdefault(cluster, Draft(side=side, pk=cluster))
        for band, cluster, side in found.iterator()
    }


def _join(prompt: Prompt, bands: Sequence[int], owners: dict[int, Draft]) -> list[Draft]:
    """The clusters that the prompt is near to, first the one it joins; else a new one."""
    near = list({id(owners[band]): owners[band] for band in bands if band in owners}.values())
    if not near:
        side = side_of(prompt.content_hash, held_out_share=HELD_OUT_SHARE)
        near = [Draft(side=side, key=prompt.content_hash)]
    for band in bands:
        owners.setdefault(band, near[0])
    return near


def _fill_empty_side(project: Project, fresh: list[Draft], joined: list[Draft]) -> None:
    """Flips the new cluster of smallest hash when the project would have nothing on one side."""
    present = {draft.side for draft in joined}
    missing = [
        side
        for side in (Side.TRAIN.value, Side.HELD_OUT.value)
        if side not in present and not project.prompts.filter(side=side).exists()
    ]
    if len(missing) != 1 or not fresh:
        return
    stored = set(project.prompts.values_list("cluster_id", flat=True).distinct())
    clusters = stored | {draft.pk or id(draft) for draft in joined}
    if len(clusters) >= ENOUGH_CLUSTERS:
        min(fresh, key=lambda draft: draft.key).side = missing[0]


def _write_clusters(drafts: list[Draft]) -> None:
    now = timezone.now()
    for draft, key in zip(drafts, new_ids(PromptCluster, len(drafts)), strict=True):
        draft.pk = key
    copy_rows(PromptCluster, ("id", "side", "created_at"), ((d.pk, d.side, now) for d in drafts))
