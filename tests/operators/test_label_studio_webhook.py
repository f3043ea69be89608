"""When Label Studio is told to call, and what is kept of it."""

from __future__ import annotations

import pytest

from headrace.labels.hooks import Hook
from headrace.secret_keys import digest_of
from headrace.settings import load_settings
from operators._label_studio_webhook import is_arranged, wanted_url

URL = "https://labels.example.org/hooks/label-studio/b1"
TOLD = Hook(url=URL, digest=digest_of("secret"))


def test_label_studio_is_to_call_the_public_address_where_settings_say_so():
    off = load_settings(labels_url="https://labels.example.org")
    on = load_settings(labels_url="https://labels.example.org", label_studio_webhook=True)
    here = load_settings(labels_port=8611, label_studio_webhook=True)

    assert wanted_url(off, "b1") is None
    assert wanted_url(on, "b1") == URL
    assert wanted_url(here, "b1") == "http://127.0.0.1:8611/hooks/label-studio/b1"


@pytest.mark.parametrize(
    ("known", "wanted", "arranged"),
    [
        pytest.param(None, None, True, id="off, and never told"),
        pytest.param(TOLD, URL, True, id="told"),
        pytest.param(None, URL, False, id="switched on"),
        pytest.param(TOLD, None, False, id="switched off"),
        pytest.param(TOLD, URL.replace("labels", "other"), False, id="another address"),
        pytest.param(Hook(url=URL, refused="It may not."), URL, False, id="refused: tried again"),
    ],
)
def test_it_is_told_again_what_is_not_as_settings_say(
    known: Hook | None, wanted: str | None, arranged: bool
):
    assert is_arranged(known, wanted) == arranged
