"""The public address of the labeling page is one that people can go to, written in one way."""

from __future__ import annotations

import pytest

from headrace.errors import ParameterError
from headrace.settings import load_settings


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://labels.example.org", "https://labels.example.org"),
        ("https://Labels.Example.org:443/", "https://labels.example.org"),
        ("http://10.0.0.7:8600/head/race/", "http://10.0.0.7:8600/head/race"),
        ("http://[2001:DB8::1]:80", "http://[2001:db8::1]"),
    ],
)
def test_an_address_is_kept_as_browsers_write_it(given: str, kept: str):
    assert load_settings(labels_url=given).labels_url == kept


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("labels.example.org", "it is no address that begins with http or https"),
        ("ftp://labels.example.org", "it is no address that begins with http or https"),
        ("https://", "it names no host"),
        ("https://b\u00fccher.example", "it names no host, but 'b\u00fccher.example'"),
        ("http://0.0.0.0:8600", "0.0.0.0 is no address that anybody could go to"),
        ("https://a:b@c.example", "it holds a name or password, which everybody would be shown"),
        ("https://c.example/?a=1", "it goes on after its path"),
        ("https://c.example:99999", "it is no address: Port out of range 0-65535"),
        (
            "https://c.example/a/../b",
            "its path is '/a/../b'; one of letters, digits, '-', '_' and '/' is understood",
        ),
        (
            "https://c.example/label",
            "its path begins with 'label', as paths of the labeling page itself do",
        ),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(given: str, problem: str):
    with pytest.raises(ParameterError) as told:
        load_settings(labels_url=given)

    assert told.value.problem == f"The setting 'labels_url' is {given!r}: {problem}."
    assert told.value.remedy == "Correct it in the call."
