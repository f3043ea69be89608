"""TLS, with certificates made as the guide says."""

from __future__ import annotations

import logging
import re
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import ParameterError, ServiceError
from headrace.settings import load_settings
from serving.client import Client
from serving.tls import TlsFiles, lane_tls, server_context, tls_files

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "network.md"


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the commands of the guide make, and a client's certificate."""
    folder = tmp_path_factory.mktemp("tls")
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    subprocess.run(["sh", "-e", "-c", commands], cwd=folder, check=True, capture_output=True)
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=a client", "-keyout", "client.key", "-out", "client.csr")  # fmt: skip
    openssl(folder, "x509", "-req", "-in", "client.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-days", "30", "-out", "client.crt")  # fmt: skip
    both = (folder / "client.crt").read_text() + (folder / "client.key").read_text()
    (folder / "client.pem").write_text(both)
    return folder


@pytest.fixture
def settings_of(tmp_path: Path, made: Path) -> Callable[..., Any]:
    def load(**changes: Any) -> Any:
        given: dict[str, Any] = {
            "home": tmp_path,
            "serving_tls_certificate": made / "front.pem",
            "serving_tls_key": made / "front.key",
        }
        return load_settings(**{k: v for k, v in (given | changes).items() if v is not None})

    return load


@pytest.fixture
def tls(made: Path) -> dict[str, Path]:
    return {
        "serving_tls_certificate": made / "front.pem",
        "serving_tls_key": made / "front.key",
    }


def test_the_front_receives_tls_and_whoever_trusts_the_authority_is_answered(
    start_front: Any, replicas: Any, asking: Any, made: Path, tls: Any
) -> None:
    front = start_front(**tls)
    front.apply({"flight_delay": [replicas[0].url]})
    trusting = ssl.create_default_context(cafile=made / "ca.pem")

    answer = asking(front.url, trusting)("/v1/flight_delay/decide", {"id": "1"})

    assert front.url.startswith("https://127.0.0.1:")
    assert (answer.status, answer.document["headers"]["x-forwarded-proto"]) == (200, "https")


def test_the_client_asks_over_tls_and_says_when_it_does_not_trust(
    start_front: Any, replicas: Any, made: Path, tls: Any
) -> None:
    front = start_front(**tls)
    front.apply({"flight_delay": [replicas[0].url]})

    with Client("flight_delay", url=front.url, ca=made / "ca.pem") as client:
        assert client.about()["by"] == "a"
    with Client("flight_delay", url=front.url) as client, pytest.raises(ServiceError) as raised:
        client.about()

    assert str(raised.value) == (
        f"The certificate of endpoint 'flight_delay' at {front.url} is not trusted: "
        "unable to get local issuer certificate.\n"
        "  Fix: name who signed it with `ca` or the setting 'client_ca', and ask at a name that "
        "the certificate has."
    )


@pytest.mark.parametrize(
    ("version", "cipher"), [("TLSv1_1", "ALL:@SECLEVEL=0"), ("TLSv1_2", "AES128-SHA256")]
)
def test_old_tls_is_not_spoken(
    start_front: Any, asking: Any, tls: Any, version: str, cipher: str
) -> None:
    front = start_front(**tls)
    old = ssl._create_unverified_context()  # noqa: S323
    old.set_ciphers(cipher)
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    if version == "TLSv1_1":
        old.options &= ~(ssl.OP_NO_TLSv1_1 | ssl.OP_NO_TLSv1)
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
    else:
        old.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(ssl.SSLError):
        asking(front.url, old)("/healthz")


def test_a_client_shows_its_certificate_where_one_is_asked_for(
    start_front: Any, replicas: Any, made: Path, tls: Any
) -> None:
    front = start_front(**tls, serving_tls_client_ca=made / "ca.pem")
    front.apply({"flight_delay": [replicas[0].url]})
    named = {"url": front.url, "ca": made / "ca.pem", "patience_seconds": 0}

    with Client("flight_delay", **named, certificate=made / "client.pem") as client:
        assert client.about()["by"] == "a"
    with Client("flight_delay", **named) as client, pytest.raises(ServiceError):
        client.about()


def test_a_renewed_certificate_is_taken_without_a_restart(
    start_front: Any, asking: Any, made: Path, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "front.pem", tmp_path / "front.key"
    certificate.write_bytes((made / "front.pem").read_bytes())
    key.write_bytes((made / "front.key").read_bytes())
    front = start_front(serving_tls_certificate=certificate, serving_tls_key=key)
    host, port = "127.0.0.1", int(front.url.rpartition(":")[2])
    before, process = ssl.get_server_certificate((host, port)), front._process.pid

    openssl(made, "x509", "-req", "-in", "front.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-days", "90", "-copy_extensions", "copy", "-out", str(certificate))  # fmt: skip
    front._look(10)  # the thread that watches does so every ten seconds
    after = ssl.get_server_certificate((host, port))

    assert before != after
    assert (
        after.split()
        == ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(certificate.read_text())).split()
    )
    assert front._process.pid == process


# --- what is wrong ---


def test_without_files_there_is_no_tls_and_behind_a_front_lanes_need_none(
    settings_of: Any, tmp_path: Path, made: Path
) -> None:
    files = TlsFiles(certificate=made / "front.pem", key=made / "front.key")

    assert tls_files(load_settings(home=tmp_path)) is None
    assert lane_tls(settings_of()) == files
    assert lane_tls(settings_of(serving_front="haproxy")) is None
    assert TlsFiles.from_json(files.to_json()) == files


def test_a_server_of_ours_speaks_what_the_front_does(made: Path) -> None:
    context = server_context(TlsFiles(certificate=made / "front.pem", key=made / "front.key"))

    names = {each["name"] for each in context.get_ciphers() if each["protocol"] == "TLSv1.2"}
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert names
    assert all(name.startswith("ECDHE-") and "CBC" not in name for name in names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"serving_tls_key": None},
            "The setting 'serving_tls_certificate' is given without 'serving_tls_key'.\n"
            "  Fix: give 'serving_tls_key' too, or neither.",
            id="no key",
        ),
        pytest.param(
            {"serving_tls_certificate": None},
            "The setting 'serving_tls_key' is given without 'serving_tls_certificate'.\n"
            "  Fix: give 'serving_tls_certificate' too, or neither.",
            id="no certificate",
        ),
        pytest.param(
            {"serving_tls_key": "{made}/lost.key"},
            "The file {made}/lost.key of 'serving_tls_key' cannot be read: "
            "No such file or directory.\n"
            "  Fix: correct the setting 'serving_tls_key', or let this user read the file.",
            id="missing",
        ),
        pytest.param(
            {"serving_tls_certificate": "{made}"},
            "The file {made} of 'serving_tls_certificate' cannot be read: Is a directory.\n"
            "  Fix: correct the setting 'serving_tls_certificate', or let this user read the file.",
            id="a folder",
        ),
        pytest.param(
            {"serving_tls_key": "{made}/ca.key"},
            "The key {made}/ca.key is not that of the certificate {made}/front.pem.\n"
            "  Fix: give both as they were made together; `openssl pkey -pubout` and "
            "`openssl x509 -pubkey` show the same for both.",
            id="another key",
        ),
        pytest.param(
            {"serving_tls_client_ca": "{made}/ca.key"},
            "The file {made}/ca.key of 'serving_tls_client_ca' holds no certificate: "
            "NO_CERTIFICATE_OR_CRL_FOUND.\n"
            "  Fix: give certificates in PEM, which begin with -----BEGIN CERTIFICATE-----.",
            id="a key for an authority",
        ),
    ],
)
def test_files_that_cannot_be_used_are_said_at_the_start(
    settings_of: Any, made: Path, changes: dict[str, str | None], message: str
) -> None:
    given = {k: v and Path(v.replace("{made}", str(made))) for k, v in changes.items()}

    with pytest.raises(ParameterError) as raised:
        tls_files(settings_of(**given))

    assert str(raised.value) == message.replace("{made}", str(made))


def test_a_key_with_a_password_is_said_instead_of_asking_for_it(
    settings_of: Any, made: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    openssl(made, "pkey", "-in", "front.key", "-aes256", "-passout", "pass:x", "-out", str(locked))

    with pytest.raises(ParameterError) as raised:
        tls_files(settings_of(serving_tls_key=locked))

    assert str(raised.value) == (
        f"The key {locked} asks for a password, and nobody is there to type it.\n"
        f"  Fix: remove it: openssl pkey -in {locked} -out NEW, and keep that file to yourself."
    )


def test_a_certificate_that_has_ended_is_refused_and_one_that_soon_will_is_warned_of(
    settings_of: Any, made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended, soon = tmp_path / "ended.pem", tmp_path / "soon.pem"
    sign = ("x509", "-req", "-in", "front.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days")
    openssl(made, *sign, "0", "-out", str(ended))
    openssl(made, *sign, "3", "-out", str(soon))
    time.sleep(1.1)  # a certificate of no days ends in the second in which it begins

    with pytest.raises(ParameterError, match=r"ended\.pem is valid from .* UTC, and not now\."):
        tls_files(settings_of(serving_tls_certificate=ended))
    with caplog.at_level(logging.WARNING):
        assert tls_files(settings_of(serving_tls_certificate=soon)) is not None

    (warned,) = caplog.messages
    assert warned.startswith(f"The certificate {soon} ends in 2 days, on ")
