"""What git says of the working tree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dockyard.caches.scope import CacheScope
from dockyard.revision import Revision, branch_of_ci, parse_status, without_credentials


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# branch.oid abc\n# branch.head main\n", ("abc", "main", False)),
        ("# branch.oid abc\n# branch.head (detached)\n? new\n", ("abc", None, True)),
        (
            "# branch.oid abc\n# branch.head main\n# branch.upstream origin/main\n"
            "# branch.ab +0 -0\n1 .M N... 100644 100644 100644 a b file\n",
            ("abc", "main", True),
        ),
        ("# branch.oid (initial)\n# branch.head main\n", (None, "main", False)),
        ("", (None, None, False)),
    ],
    ids=["clean", "detached with an untracked file", "changed", "no commit yet", "nothing"],
)
def test_status(text: str, expected: tuple[str | None, str | None, bool]) -> None:
    assert parse_status(text) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:secret@example.com/a.git\n", "https://example.com/a.git"),
        ("https://token@example.com/a.git", "https://example.com/a.git"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("git@example.com:a/b.git", "git@example.com:a/b.git"),
        ("ssh://git@example.com/a", "ssh://example.com/a"),
        ("", ""),
    ],
)
def test_credentials_leave_the_origin(url: str, expected: str) -> None:
    assert without_credentials(url) == expected


def test_short_revision() -> None:
    assert Revision().short is None
    assert Revision("0123456789abcdef").short == "0123456789ab"
    assert Revision("0123456789abcdef", dirty=True).short == "0123456789ab-dirty"


@pytest.mark.parametrize(
    ("environment", "branch"),
    [
        ({}, None),
        ({"GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch", "GITHUB_HEAD_REF": ""}, "main"),
        ({"GITHUB_REF_NAME": "12/merge", "GITHUB_HEAD_REF": "topic"}, "topic"),
        ({"GITHUB_REF_NAME": "v1.0", "GITHUB_REF_TYPE": "tag"}, None),
        ({"CI_COMMIT_REF_NAME": "main"}, "main"),
        ({"CI_COMMIT_REF_NAME": "x", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic"}, "topic"),
        ({"CI_COMMIT_REF_NAME": "v1.0", "CI_COMMIT_TAG": "v1.0"}, None),
    ],
    ids=["no CI", "push", "pull request", "tag", "GitLab", "merge request", "GitLab's tag"],
)
def test_branch_of_a_checkout_without_one(environment: dict[str, str], branch: str | None) -> None:
    assert branch_of_ci(environment) == branch


@pytest.mark.parametrize(
    ("payload", "branch"),
    [
        ('{"pull_request": {"head": {"repo": {"full_name": "acme/shop"}}}}', "main"),
        ('{"pull_request": {"head": {"repo": {"full_name": "evil/shop"}}}}', "evil/shop:main"),
        ('{"pull_request": {"head": {"repo": null}}}', "unknown:main"),
        ('{"pull_request": []}', "unknown:main"),
        ("damaged", "unknown:main"),
        (None, "unknown:main"),
    ],
    ids=["own", "fork", "deleted fork", "odd", "damaged", "missing"],
)
def test_a_forks_branch_is_never_one_of_ours(
    payload: str | None, branch: str, tmp_path: Path
) -> None:
    event = tmp_path / "event.json"
    if payload is not None:
        event.write_text(payload)
    environment = {
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_HEAD_REF": "main",
        "GITHUB_REF_NAME": "12/merge",
        "GITHUB_REPOSITORY": "acme/shop",
    }
    assert branch_of_ci(environment) == branch
    pushed = {**environment, "GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main"}
    assert branch_of_ci(pushed) == "main"


def test_a_merge_request_from_a_fork() -> None:
    own = {
        "CI_COMMIT_REF_NAME": "main",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_PROJECT_PATH": "acme/shop",
        "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "acme/shop",
    }
    assert branch_of_ci(own) == "main"
    fork = {**own, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "evil/shop"}
    assert branch_of_ci(fork) == "evil/shop:main"


def test_a_fork_reads_our_caches_and_writes_its_own() -> None:
    scope = CacheScope("shop", "r.example.com", ("linux/amd64",), "evil/shop:main", "main")
    ours = replace(scope, branch="main")
    assert not set(scope.export_tags) & set(ours.export_tags)
    assert set(ours.export_tags) < set(scope.import_tags)
    assert scope.mounts_tag != ours.mounts_tag == replace(scope, branch="topic").mounts_tag
