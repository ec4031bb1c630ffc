"""What a cache is called."""

from __future__ import annotations

import re

import pytest

from dockyard.caches.scope import CacheScope, branch_slug, platform_slug

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def scope(branch: str | None = "main", *platforms: str, registry: str | None = None) -> CacheScope:
    return CacheScope("team/service", registry, platforms or ("linux/amd64",), branch, "main")


@pytest.mark.parametrize(
    ("branch", "exports", "imports"),
    [
        ("main", "main", ["main", "latest"]),
        ("topic-1", "topic-1", ["topic-1", "main", "latest"]),
        (None, "latest", ["latest", "main"]),
    ],
    ids=["default branch", "branch", "no branch"],
)
def test_a_build_falls_back_to_the_default_branch_and_the_shared_cache(
    branch: str | None, exports: str, imports: list[str]
) -> None:
    made = scope(branch)
    assert made.export_tag == f"cache-linux-amd64-{exports}"
    assert made.import_tags == tuple(f"cache-linux-amd64-{one}" for one in imports)
    assert made.moves_shared is (branch in (None, "main"))
    written = {made.export_tag, made.shared_tag} if made.moves_shared else {made.export_tag}
    assert set(made.export_tags) == written


def test_names_in_the_images_own_repository() -> None:
    made = scope(registry="registry.example.com/acme")
    assert made.reference(made.export_tag) == (
        "registry.example.com/acme/team/service:cache-linux-amd64-main"
    )
    assert made.mounts_tag == "mounts-linux-amd64"
    assert scope().repository == "team/service", "as docker push reads it"
    alone = CacheScope("service", None, ("linux/amd64",), "main", "main")
    assert alone.repository is None
    with pytest.raises(ValueError, match="no registry"):
        alone.reference("x")


BRANCHES = [
    "main",
    "Main",
    "feature/login",
    "feature-login",
    "feature login",
    "feature//login",
    branch_slug("feature/login"),
    "latest",
    branch_slug("latest"),
    "größe",
    "gr-e",
    "日本",
    "中文",
    "-",
    "--",
    "v7-main",
    "a" * 64,
    "a" * 100,
    "a" * 101,
    "a" * 300,
    "b" * 300,
]


def test_names_are_legal_and_distinct() -> None:
    platforms = [
        ("linux/amd64",),
        ("linux/arm",),
        ("linux/arm/v7",),
        ("linux/arm/v6", "linux/arm/v7"),
        ("linux/amd64", "linux/arm64"),
        tuple(f"linux/{name}" for name in ("amd64", "arm64", "arm/v7", "386", "ppc64le", "s390x")),
        tuple(f"linux/{name}" for name in ("amd64", "arm64", "arm/v6", "386", "ppc64le", "s390x")),
    ]
    made = [scope(branch, *some) for branch in (*BRANCHES, None) for some in platforms]
    names = [one.export_tag for one in made] + sorted({one.mounts_tag for one in made})
    assert len(set(names)) == len(names) == len(platforms) * (len(BRANCHES) + 2)
    assert [name for name in names if not TAG.fullmatch(name)] == []


def test_the_order_of_platforms_does_not_matter() -> None:
    assert platform_slug(("linux/arm64", "linux/amd64")) == "linux-amd64_linux-arm64"
    assert platform_slug(("linux/arm/v7", "linux/arm/v7")) == "linux-arm.v7"


def test_a_plain_branch_keeps_its_name() -> None:
    assert branch_slug("release_1.2") == "release_1.2"
    assert branch_slug("feature/login").startswith("feature-login-")
