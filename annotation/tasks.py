"""Work of the background: sweeps and jobs of this app."""

from __future__ import annotations

from annotation.services.expire_leases import expire_leases
from core import jobs


@jobs.sweeper
def return_abandoned_items() -> None:
    expire_leases()
