"""This module writes down where Prometheus finds the metrics of all lanes, in its own file form."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from serving.endpoints import Lane


def write_targets(path: Path, lanes: Mapping[str, Lane]) -> None:
    """Replace the file that Prometheus names in `file_sd_configs`, and reads when it changes.

    Args:
        path: The file, with the ending `.json`.
        lanes: Endpoint to its lane; those without a replica that listens are left out.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")  # Prometheus looks for `.json`
    half.write_text(json.dumps(targets(lanes), indent=1) + "\n", encoding="utf-8")
    half.replace(path)


def targets(lanes: Mapping[str, Lane]) -> list[dict[str, Any]]:
    """Return the targets of lanes as Prometheus reads them: every replica answers for itself."""
    found = []
    for endpoint, lane in sorted(lanes.items()):
        urls = [each.url for each in lane.replicas] or ([lane.url] if lane.url else [])
        if urls and lane.state != "stopped":
            first = urlsplit(urls[0])
            found.append(
                {
                    "targets": [urlsplit(url).netloc for url in urls],
                    "labels": {
                        "job": "headrace",
                        "lane": endpoint,
                        "__scheme__": first.scheme,
                        # endpoints may share a process, and so an address
                        "__metrics_path__": f"/v1/{endpoint}/metrics",
                    },
                }
            )
    return found
