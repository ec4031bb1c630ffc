"""What is found out about a mirror: its speed, unless what it sends is of no use."""

from __future__ import annotations

import hashlib
import io
from typing import Any, Self

import pytest

from dockyard.mirror_probe import Probe
from dockyard.mirrors import Measurement

FILE = b"wheel" * 2_000
PAGE = '<a href="../files/a-1-py3-none-any.whl{fragment}">a</a>'
FRAGMENT = f"#sha256={hashlib.sha256(FILE).hexdigest()}"


class Answer(io.BytesIO):
    """An HTTP answer whose announced length need not be that of its body."""

    def __init__(self, body: bytes, announced: int | None) -> None:
        super().__init__(body)
        self.headers = {} if announced is None else {"Content-Length": str(announced)}

    def __enter__(self) -> Self:
        return self


def measured(
    monkeypatch: pytest.MonkeyPatch,
    page: str = PAGE.format(fragment=FRAGMENT),
    file: bytes = FILE,
    *,
    page_announced: int | None = None,
    file_announced: int | None = None,
    sample: int = 1_000_000,
) -> Measurement:
    def opened(self: Probe, url: str) -> Any:
        if url.endswith(".whl"):
            return Answer(file, file_announced)
        return Answer(page.encode(), page_announced)

    monkeypatch.setattr(Probe, "_open", opened)
    probe = Probe("https://mirror.example/simple", "a", 5.0, sample, None)
    probe.run()
    return probe.measurement()


@pytest.mark.parametrize("fragment", [FRAGMENT, FRAGMENT.upper().replace("SHA", "sha"), ""])
def test_a_whole_file_is_measured(monkeypatch: pytest.MonkeyPatch, fragment: str) -> None:
    found = measured(monkeypatch, PAGE.format(fragment=fragment), file_announced=len(FILE))
    assert (found.problem, found.received) == ("", len(FILE))
    assert found.throughput


def test_a_sample_is_not_judged_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(monkeypatch, file_announced=len(FILE), sample=5_000)
    assert found.throughput
    assert found.problem == ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"page_announced": 5_000}, "its page ends before its announced length"),
        ({"file": FILE[:99], "file_announced": len(FILE)}, "a file ends before its announced"),
        ({"file": b"x" + FILE[1:]}, "it serves a file that does not match its hash"),
    ],
)
def test_what_is_of_no_use_is_no_speed(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], problem: str
) -> None:
    found = measured(monkeypatch, **changes)
    assert found.throughput is None
    assert found.problem.startswith(problem)
