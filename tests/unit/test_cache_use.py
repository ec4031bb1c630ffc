"""What a build does with its caches, as far as no engine is needed for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dockyard.caches.directory import CacheDirectory
from dockyard.caches.use import CacheUse, cache_scope, open_caches
from dockyard.errors import SettingsError
from dockyard.revision import Revision
from dockyard.settings import Settings
from dockyard.trace import BuildTrace
from dockyard.trace_reader import TraceReader
from support.settings import make_settings

CACHE = "registry.example.com/acme/service:cache-linux-amd64"


@pytest.fixture(autouse=True)
def _answering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockyard.caches.alive.is_silent", lambda host, **_: False)


def settings(root: Path, *backends: str) -> Settings:
    return make_settings(
        root,
        registry="registry.example.com/acme",
        cache_backends=backends,
        cache_dir=root / "cache",
    )


def opened(
    made: Settings, branch: str | None = "topic", *, imports: bool = True, show_only: bool = False
) -> CacheUse:
    scope = cache_scope(
        made, image="service", platform="linux/amd64", revision=Revision(branch=branch)
    )
    return open_caches(made, scope, push=True, environment={}, imports=imports, show_only=show_only)


def trace(*absent: str) -> BuildTrace:
    reader = TraceReader()
    for number, tag in enumerate(absent):
        vertex = {
            "digest": f"sha256:{number}",
            "name": f"importing cache manifest from {CACHE}-{tag}",
            "started": "2026-01-01T00:00:00Z",
            "completed": "2026-01-01T00:00:01Z",
            "error": f"failed to configure registry cache importer: {CACHE}-{tag}: not found",
        }
        reader.feed(json.dumps({"vertexes": [vertex]}).encode())
    return reader.trace()


@pytest.mark.parametrize(
    ("setting", "origin", "expected"),
    [(None, None, "main"), (None, "trunk", "trunk"), ("release", "trunk", "release")],
    ids=["neither", "origin's", "the setting"],
)
def test_the_default_branch(
    tmp_path: Path, setting: str | None, origin: str | None, expected: str
) -> None:
    made = replace(settings(tmp_path), default_branch=setting, platforms=("linux/arm64",))
    revision = Revision(default_branch=origin)
    scope = cache_scope(made, image="service", platform="linux/amd64", revision=revision)
    assert scope.default_branch == expected
    assert scope.platform == "linux-arm64"


@pytest.mark.parametrize(
    ("absent", "needed"),
    [
        ([], ["topic", "main"]),
        (["topic"], ["main"]),
        (["topic", "main"], ["latest"]),
        (["topic", "main", "latest"], []),
    ],
    ids=["all there", "new branch", "no default branch", "nothing yet"],
)
def test_a_second_run_imports_what_the_first_one_found(
    tmp_path: Path, absent: list[str], needed: list[str]
) -> None:
    use = opened(settings(tmp_path, "registry"))
    expected = tuple(f"type=registry,ref={CACHE}-{tag}" for tag in needed)
    assert use.sources_after(trace(*absent)) == expected


def test_a_build_of_every_step_imports_nothing(tmp_path: Path) -> None:
    use = opened(settings(tmp_path, "registry"), imports=False)
    assert use.arguments.cache_from == ()
    assert use.arguments.image_tags


def test_another_try_leaves_the_folder_alone_that_failed_it(tmp_path: Path) -> None:
    use = opened(settings(tmp_path, "local", "registry", "s3:bucket=b,region=r"))
    source = f"type=local,src={tmp_path},digest=sha256:abc"
    again = use.without((source,))
    assert [one.partition(",")[0] for one in again.arguments.cache_to] == [
        "type=inline",
        "type=s3",
    ]
    registries = tuple(one for one in use.arguments.cache_from if one.startswith("type=registry"))
    again = use.without(registries)
    assert {one.partition(",")[0] for one in again.arguments.cache_from} == {"type=s3"}
    assert again.arguments.cache_to == use.arguments.cache_to


def test_a_snapshot_lives_as_long_as_its_build(tmp_path: Path) -> None:
    made = settings(tmp_path, "local")
    snapshots = CacheDirectory(made.cache_dir, made.cache_budget).snapshots_folder
    with opened(made) as use:
        assert use.snapshot
        assert f"dest={use.snapshot.root}" in use.arguments.cache_to[0]
        assert list(snapshots.iterdir()) == [use.snapshot.root]
    assert list(snapshots.iterdir()) == []


def test_what_is_only_shown_leaves_no_trace(tmp_path: Path) -> None:
    made = settings(tmp_path, "local")
    use = opened(made, show_only=True)
    assert f"dest={made.cache_dir}" in use.arguments.cache_to[0]
    assert not made.cache_dir.exists()


def test_a_folder_that_cannot_be_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    use = opened(settings(tmp_path, "local"))
    assert use.arguments.cache_to == ()
    assert "local cache is not used" in use.notes[0]
    assert str(tmp_path / "cache") in use.notes[0]


def test_options_that_contradict_leave_no_snapshot(tmp_path: Path) -> None:
    made = settings(tmp_path, "local:dest=/elsewhere")
    with pytest.raises(SettingsError, match="no option"):
        opened(made)
    assert list((made.cache_dir / "snapshots").iterdir()) == []


def test_a_failed_build_keeps_nothing(tmp_path: Path) -> None:
    made = settings(tmp_path, "local")
    use = opened(made)
    assert use.settle(trace(), succeeded=False, environment={}) == ()
    assert CacheDirectory(made.cache_dir, made.cache_budget).layout.index() == {}
    assert list((made.cache_dir / "snapshots").iterdir()) == []
