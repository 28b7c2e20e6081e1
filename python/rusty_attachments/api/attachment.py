"""Attachments: files of manifests, to S3 and back."""

from __future__ import annotations

from ._download import _attachment_download
from ._path_rules import _process_path_mapping
from ._upload import _attachment_upload

__all__ = ["_attachment_download", "_attachment_upload", "_process_path_mapping"]
