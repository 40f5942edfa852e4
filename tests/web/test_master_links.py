"""How masters are called on pages, and where their builds are."""

from __future__ import annotations

import pytest

from buildapi.web.farm.master_links import MasterLinks, masters


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("http://master1.example.org:8101/", "master1:8101"),
        ("http://master1:8101/", "master1:8101"),
        ("http://192.0.2.7:8101/", "192.0.2.7:8101"),
        ("http://[2001:db8::7]:8101/", "2001:db8::7:8101"),
    ],
)
def test_a_master_is_called_by_its_host_and_port(url: str, label: str) -> None:
    assert MasterLinks(url).label == label


def test_the_page_of_a_build_has_the_builder_as_one_segment() -> None:
    page = MasterLinks("http://m:1/").build("a/b c?é", 7)
    assert page == "http://m:1/builders/a%2Fb%20c%3F%C3%A9/builds/7"


def test_a_master_without_pages_has_none() -> None:
    assert list(masters({"a": None, "b": "http://m:1/"})) == ["b"]
