"""This module says whom a client trusts, and what it shows of itself."""

from __future__ import annotations

import ssl
from pathlib import Path

from headrace.errors import ParameterError
from serving.tls import trust


class Trust:
    """This is how a client speaks TLS; nothing is read before it first does.

    Args:
        ca: PEM file of who signs the endpoint's certificate; None for whoever the system trusts.
        certificate: PEM file of the client's own certificate and its key, where the endpoint asks
            for one.
    """

    def __init__(self, ca: Path | None, certificate: Path | None) -> None:
        self._ca = ca
        self._certificate = certificate
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return it.

        Raises:
            ParameterError: A file cannot be read, or holds something else.
        """
        if self._context is None:
            self._context = self._made()
        return self._context

    def _made(self) -> ssl.SSLContext:
        if self._ca is None:
            context = ssl.create_default_context()
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trust(context, self._ca, setting="ca")
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._certificate is not None:
            try:
                context.load_cert_chain(self._certificate)
            except OSError as error:
                raise ParameterError(
                    f"The client's certificate {self._certificate} cannot be used: {error}.",
                    remedy="give one PEM file with the certificate and its key.",
                ) from None
        return context
