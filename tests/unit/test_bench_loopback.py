"""Which bytes of a file a request is answered with."""

from __future__ import annotations

import pytest

from dockyard.bench.loopback import answer_range


@pytest.mark.parametrize("header", ["", "bytes=-", "bytes=0-1,4-5", "lines=0-1"])
def test_the_whole_file_where_no_single_range_is_asked_for(header: str) -> None:
    answer = answer_range(header, 10)
    assert (answer.status, answer.sent) == (200, range(10))
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize(
    ("header", "sent", "named"),
    [
        ("bytes=0-3", range(4), "bytes 0-3/10"),
        ("bytes=4-", range(4, 10), "bytes 4-9/10"),
        ("bytes=4-99", range(4, 10), "bytes 4-9/10"),
        ("bytes=-3", range(7, 10), "bytes 7-9/10"),
        ("bytes=-99", range(10), "bytes 0-9/10"),
    ],
)
def test_a_part(header: str, sent: range, named: str) -> None:
    answer = answer_range(header, 10)
    assert (answer.status, answer.sent) == (206, sent)
    assert answer.headers["Content-Range"] == named


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=12-15", "bytes=5-4", "bytes=-0"])
def test_nothing_where_nothing_of_it_is_there(header: str) -> None:
    answer = answer_range(header, 10)
    assert answer.status == 416
    assert not answer.sent
    assert answer.headers == {"Content-Range": "bytes */10"}
