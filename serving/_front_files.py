"""This module writes the files that HAProxy starts from, which nobody else can read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from serving._front_answers import files
from serving._front_configuration import MAP
from serving.tls import TlsFiles


def write_files(
    folder: Path, configuration: str, map_lines: Sequence[str], tls: TlsFiles | None
) -> None:
    """Write them into a folder, which is made.

    Args:
        folder: Where HAProxy starts.
        configuration: What `_front_configuration` wrote.
        map_lines: Lines of the map of endpoints.
        tls: With what requests are received; None for plain HTTP.
    """
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    content = {
        **files(),
        "haproxy.cfg": configuration.encode(),
        MAP: "\n".join([*map_lines, ""]).encode(),
    }
    for name, body in content.items():
        (folder / name).write_bytes(body)
    # links, so that no second copy of a key lies about
    links: dict[str, Path | None] = {
        "front.pem": None if tls is None else tls.certificate,
        "front.pem.key": None if tls is None else tls.key,
        "client-ca.pem": None if tls is None else tls.client_ca,
    }
    for name, path in links.items():
        (folder / name).unlink(missing_ok=True)
        if path is not None:
            (folder / name).symlink_to(path)


def changed_at(tls: TlsFiles | None) -> tuple[int, ...]:
    """Return when the certificate and its key were last written; empty while one is not there."""
    try:
        paths: tuple[Path, ...] = () if tls is None else (tls.certificate, tls.key)
        return tuple(path.stat().st_mtime_ns for path in paths)
    except OSError:
        return ()
