"""This module holds the certificate with which requests are received, and says what is wrong."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from headrace.clock import SystemClock
from headrace.errors import ParameterError
from headrace.settings import Settings

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""What is spoken in TLS 1.2: only what keeps past traffic secret when a key is lost later."""

_WARNED_BEFORE = timedelta(days=30)
_log = logging.getLogger("headrace.serving")


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """These are the files with which a server receives requests over TLS.

    Args:
        certificate: PEM file of the certificate, and of those above it.
        key: PEM file of its key, without a password.
        client_ca: PEM file of who signs the certificates that clients have to show; None lets
            clients in without.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def to_json(self) -> dict[str, str | None]:
        """Return the paths as JSON-like data."""
        return {name: path and str(path) for name, path in vars(self).items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        return cls(**{name: path and Path(path) for name, path in document.items()})


def tls_files(of: Settings) -> TlsFiles | None:
    """Return the files that the settings name, when a server can use them; None without any.

    A certificate that ends within 30 days is used, and warned of.

    Raises:
        ParameterError: A file is missing or cannot be read, the key is not that of the
            certificate, or the certificate is not valid now.
    """
    certificate, key = of.serving_tls_certificate, of.serving_tls_key
    if certificate is None and key is None:
        if of.serving_tls_client_ca is None:
            return None
        raise _alone("serving_tls_client_ca", "serving_tls_certificate")
    if certificate is None:
        raise _alone("serving_tls_key", "serving_tls_certificate")
    if key is None:
        raise _alone("serving_tls_certificate", "serving_tls_key")
    files = TlsFiles(certificate=certificate, key=key, client_ca=of.serving_tls_client_ca)
    for name, path in vars(files).items():
        if path is not None:
            _require_readable(f"serving_tls_{name}", path)
    server_context(files)
    _require_valid_now(files.certificate)
    return files


def lane_tls(of: Settings) -> TlsFiles | None:
    """Return with what lanes receive requests; None when a front does it, or nobody.

    Raises:
        ParameterError: As `tls_files`.
    """
    return tls_files(of) if of.serving_front == "off" else None


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return how a server of ours speaks TLS: 1.2 or later, with forward secrecy.

    Raises:
        ParameterError: The files are no certificate and its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    _load(context, files.certificate, files.key)
    if files.client_ca is not None:
        trust(context, files.client_ca, setting="serving_tls_client_ca")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def trust(context: ssl.SSLContext, path: Path, *, setting: str) -> None:
    """Make a context trust whoever signs as a file says.

    Raises:
        ParameterError: The file holds no certificate.
    """
    _require_readable(setting, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ParameterError(
            f"The file {path} of '{setting}' holds no certificate: {error.reason}.",
            remedy="give certificates in PEM, which begin with -----BEGIN CERTIFICATE-----.",
        ) from None


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    def no_password() -> str:
        raise ParameterError(
            f"The key {key} asks for a password, and nobody is there to type it.",
            remedy=f"remove it: openssl pkey -in {key} -out NEW, and keep that file to yourself.",
        )

    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ParameterError(
                f"The key {key} is not that of the certificate {certificate}.",
                remedy="give both as they were made together; `openssl pkey -pubout` and "
                "`openssl x509 -pubkey` show the same for both.",
            ) from None
        raise ParameterError(
            f"{certificate} and {key} are no certificate and key in PEM: {error.reason}.",
            remedy="give files that begin with -----BEGIN; `openssl x509 -text` reads the first.",
        ) from None


def _require_readable(setting: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ParameterError(
            f"The file {path} of '{setting}' cannot be read: {error.strerror}.",
            remedy=f"correct the setting '{setting}', or let this user read the file.",
        ) from None


def _require_valid_now(path: Path) -> None:
    from cryptography.x509 import load_pem_x509_certificate

    read = load_pem_x509_certificate(path.read_bytes())
    now = SystemClock().now()
    begins, ends = read.not_valid_before_utc, read.not_valid_after_utc
    if not begins <= now <= ends:
        raise ParameterError(
            f"The certificate {path} is valid from {begins:%Y-%m-%d %H:%M} to "
            f"{ends:%Y-%m-%d %H:%M} UTC, and not now.",
            remedy="have it renewed, or correct the machine's clock.",
        )
    if ends - now < _WARNED_BEFORE:
        _log.warning(
            "The certificate %s ends in %d days, on %s UTC: have it renewed.",
            path,
            (ends - now).days,
            f"{ends:%Y-%m-%d %H:%M}",
        )


def _alone(given: str, lacking: str) -> ParameterError:
    return ParameterError(
        f"The setting '{given}' is given without '{lacking}'.",
        remedy=f"give '{lacking}' too, or neither.",
    )
