"""Which packages have no hash, and where that is a fault."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.checks.catalogue import choose, required
from dockyard.checks.supply import judge_hashes, unhashed
from dockyard.checks.verdicts import Outcome
from dockyard.lock import Package, PackageSource
from support.settings import make_settings


def package(name: str, kind: Any, *, hashed: bool, revision: str | None = None) -> Package:
    source = PackageSource(kind, "https://example.com/x", revision)
    return Package(name, "1.0", source, None, name, has_wheel=True, hashed=hashed)


PACKAGES = (
    package("alpha", "registry", hashed=True),
    package("beta", "git", hashed=False, revision="0123456789abcdef"),
    package("gamma", "url", hashed=False),
    package("delta", "path", hashed=False),
    package("epsilon", "registry", hashed=False),
    package("zeta", "url", hashed=True),
    package("own", "editable", hashed=False),
)
WITHOUT = ["beta", "gamma", "delta", "epsilon"]


def test_what_has_no_hash_is_named_except_the_repositorys_own() -> None:
    assert [one.name for one in unhashed(PACKAGES)] == WITHOUT


def test_without_the_setting_it_is_a_note() -> None:
    verdict = judge_hashes(PACKAGES, forbidden=False)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.figure == "2 of 6 packages have hashes"
    assert [note.partition(" ")[0] for note in verdict.notes] == WITHOUT


def test_with_the_setting_each_is_a_fault() -> None:
    verdict = judge_hashes(PACKAGES, forbidden=True)
    assert verdict.outcome is Outcome.FAILED
    assert [one.message.partition(" ")[0] for one in verdict.findings] == WITHOUT
    assert "commit 0123456789ab" in verdict.findings[0].message
    assert judge_hashes(PACKAGES[:1], forbidden=True).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, ()),
        ({"require_pinned": True}, ("base-pinned",)),
        ({"require_pinned": True, "require_hashes": True}, ("base-pinned", "hashes")),
    ],
)
def test_settings_make_checks_mandatory(changes: dict[str, Any], asked: tuple[str, ...]) -> None:
    assert required(make_settings(**changes)) == asked


def test_a_required_check_is_made_without_being_named() -> None:
    assert "base-pinned" not in {one.name for one in choose()}
    assert "base-pinned" in {one.name for one in choose(also=("base-pinned",))}
    assert "hashes" in {one.name for one in choose()}
