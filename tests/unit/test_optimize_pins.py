"""Moving a pinned base image: which digest, and what is different in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from dockyard import process
from dockyard.optimization_pins import pin_proposals, platform_manifest
from dockyard.optimize import ByHand, SetSetting
from dockyard.optimize_pins import BaseContents, base_contents, changes, split_pin
from support.settings import make_settings

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
OLD_AMD64, NEW_AMD64 = "sha256:" + "c" * 64, "sha256:" + "d" * 64
NAMED = "docker.io/library/python:3.13-slim"
REPOSITORY = "docker.io/library/python"


def configuration(python: str, snapshot: int, created: str) -> dict[str, Any]:
    debian = f"# debian.sh --arch 'amd64' out/ 'trixie' '@{snapshot}'"
    return {
        "created": created,
        "config": {"Env": ["PATH=/usr/bin", f"PYTHON_VERSION={python}"]},
        "history": [{"created_by": debian}, {"created_by": "ENV A=b"}],
        "rootfs": {"type": "layers"},
    }


def index(digest: str, image: Mapping[str, Any], amd64: str) -> dict[str, Any]:
    return {
        "manifest": {
            "digest": digest,
            "manifests": [
                {"digest": "sha256:0", "platform": {"os": "linux", "architecture": "arm64"}},
                {"digest": amd64, "platform": {"os": "linux", "architecture": "amd64"}},
            ],
        },
        "image": {"linux/amd64": image, "linux/arm64/v8": {"created": "never"}},
    }


BEFORE = configuration("3.13.8", 1_760_000_000, "2025-10-10T01:00:00Z")
AFTER = configuration("3.13.9", 1_762_202_650, "2025-11-04T01:00:00Z")
ANSWERS = {
    ("{{print .Manifest.Digest}}", NAMED): NEW,
    ("{{json .}}", f"{REPOSITORY}@{OLD}"): json.dumps(index(OLD, BEFORE, OLD_AMD64)),
    ("{{json .}}", f"{REPOSITORY}@{NEW}"): json.dumps(index(NEW, AFTER, NEW_AMD64)),
    ("--raw", f"{REPOSITORY}@{OLD_AMD64}"): json.dumps(
        {"layers": [{"digest": "x", "size": 30_000_000}, {"digest": "y", "size": 10_000_000}]}
    ),
    ("--raw", f"{REPOSITORY}@{NEW_AMD64}"): json.dumps(
        {"layers": [{"digest": "z", "size": 31_000_000}, {"digest": "y", "size": 10_000_000}]}
    ),
}


class Answered:
    def __init__(self, text: str | None) -> None:
        self.text = text

    def wait(self, timeout: float | None = None) -> process.Completed:
        return process.Completed((), 0 if self.text is not None else 1, self.text or "", "")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    answers = dict(ANSWERS)

    def start(arguments: list[str]) -> Answered:
        assert arguments[:4] == ["docker", "buildx", "imagetools", "inspect"]
        return Answered(answers.get((arguments[-2], arguments[-1])))

    monkeypatch.setattr(process, "start", start)
    return answers


def proposed(**images: Any) -> tuple[Any, list[str]]:
    notes: list[str] = []
    return pin_proposals(make_settings(**images), "amd64", notes.append), notes


def test_a_moved_tag_is_shown_with_what_changed(registry: dict[tuple[str, str], str]) -> None:
    (one,), notes = proposed(python_image=f"{NAMED}@{OLD}")
    assert notes == []
    assert one.change == SetSetting("python-image", f"{NAMED}@{NEW}")
    assert OLD[:19] in one.what
    assert NEW[:19] in one.what
    assert "Python 3.13.8 → 3.13.9" in one.why
    assert "Debian trixie of 2025-10-09 → of 2025-11-03" in one.why
    assert "new layers: 1 of 2, 31.0 MB; 40.0 MB → 41.0 MB" in one.why
    assert "built 2025-10-10 → 2025-11-04" in one.why
    assert one.safe == "asked"


def test_a_tag_that_stayed_is_no_proposal(registry: dict[tuple[str, str], str]) -> None:
    assert proposed(python_image=f"{NAMED}@{NEW}") == ((), [])
    assert proposed(python_image=NAMED) == ((), [])


def test_a_registry_that_is_silent_is_a_note(registry: dict[tuple[str, str], str]) -> None:
    registry.clear()
    found, notes = proposed(python_image=f"{NAMED}@{OLD}", uv_image=f"ghcr.io/x/uv@{OLD}")
    assert found == ()
    assert len(notes) == 2
    assert any("does not tell what" in note and NAMED in note for note in notes)
    assert any("has no tag" in note for note in notes)


def test_a_digest_that_is_gone_can_still_be_left(registry: dict[tuple[str, str], str]) -> None:
    del registry["{{json .}}", f"{REPOSITORY}@{OLD}"]
    (one,), _ = proposed(python_image=f"{NAMED}@{OLD}")
    assert "Python unknown → 3.13.9" in one.why
    assert "no longer has it" in one.why


def test_a_pin_in_the_users_own_dockerfile_is_named_with_its_line(
    registry: dict[tuple[str, str], str],
) -> None:
    text = (
        f"# FROM {NAMED}@{OLD} is a comment\nARG PYTHON_IMAGE=ours:1@{OLD}\n"
        f"FROM {NAMED}@{OLD} AS tools\nCOPY --from=other:2@{NEW} /a /b\n"
    )
    notes: list[str] = []
    settings = make_settings(python_image=f"ours:1@{OLD}")
    registry["{{print .Manifest.Digest}}", "ours:1"] = OLD
    (one,) = pin_proposals(settings, "amd64", notes.append, text)
    assert one.safe == "by hand"
    assert one.change == ByHand("docker/Dockerfile, line 3", f"write {NAMED}@{NEW}")
    assert notes == ["pins: its registry does not tell what other:2 means now"]


def test_what_nobody_tells_is_not_invented() -> None:
    assert changes(None, None) == "its registry does not tell what it holds"
    assert base_contents({"config": {}}, None) is None
    plain = base_contents(None, {"layers": [{"digest": "x", "size": 5}]})
    assert plain == BaseContents({"x": 5})
    assert changes(plain, plain) == "new layers: 0 of 1, 0 B; 5 B → 5 B in all"


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        (f"{NAMED}@{OLD}", (NAMED, OLD)),
        (f"localhost:5000/python@{OLD}", None),
        (f"localhost:5000/python:3@{OLD}", ("localhost:5000/python:3", OLD)),
        (NAMED, None),
    ],
)
def test_a_pin_is_a_tag_and_a_digest(reference: str, parts: tuple[str, str] | None) -> None:
    assert split_pin(reference) == parts


def test_the_manifest_of_a_platform() -> None:
    document = index(NEW, AFTER, NEW_AMD64)
    assert platform_manifest(document, "linux/amd64") == NEW_AMD64
    assert platform_manifest(document, "linux/riscv64") is None
    assert platform_manifest({"manifest": {"digest": OLD}}, "linux/amd64") == OLD
    assert platform_manifest({}, "linux/amd64") is None
