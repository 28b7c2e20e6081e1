"""What the worker agent needs: properties of a job's roots, and a watch on slow downloads.

The commands of its processes are `rusty_attachments.worker.download` and `rusty_attachments.worker.upload`.
"""

from __future__ import annotations

from .low_transfer_rate import LowTransferRateDetector
from .properties import WorkerManifestProperties, read_worker_properties, write_worker_properties

__all__ = [
    "LowTransferRateDetector",
    "WorkerManifestProperties",
    "read_worker_properties",
    "write_worker_properties",
]
