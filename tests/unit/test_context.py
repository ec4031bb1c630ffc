"""What the context holds and what would make it smaller; BuildKit's verdict is an engine test."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.context import (
    ContextEntry,
    ContextListing,
    Suggestion,
    list_context,
    read_dockerignore,
    suggest,
)
from dockyard.errors import ProjectError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    sizes = {
        "pyproject.toml": 30,
        "uv.lock": 400,
        ".env": 5,
        ".git/objects/pack": 9000,
        "docs/index.md": 70,
        "docs/images/logo.png": 700,
        "models/large.bin": 5000,
        "src/app/__init__.py": 10,
        "src/app/main.py": 20,
        "src/app/__pycache__/main.cpython-313.pyc": 90,
        "src/app/old.pyc": 8,
    }
    for name, size in sizes.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return root


def paths(listing: ContextListing) -> list[str]:
    return [entry.path for entry in listing.entries]


def test_everything_without_patterns(tree: Path) -> None:
    listing = list_context(tree, "")
    assert paths(listing) == sorted(paths(listing))
    assert len(listing.entries) == 11
    assert sum(entry.bytes for entry in listing.entries) == 15333
    assert (listing.excluded_files, listing.excluded_bytes, listing.unreadable) == (0, 0, ())


def test_what_is_left_out_is_counted(tree: Path) -> None:
    listing = list_context(tree, ".git\n**/__pycache__\n*.lock\n")
    assert listing.excluded_files == 3
    assert listing.excluded_bytes == 9000 + 90 + 400
    assert ContextEntry("src/app/main.py", 20) in listing.entries


def test_an_allowlist(tree: Path) -> None:
    listing = list_context(tree, "*\n!src\n!pyproject.toml\n**/*.py[co]\n")
    assert paths(listing) == ["pyproject.toml", "src/app/__init__.py", "src/app/main.py"]


def test_the_last_pattern_that_matches_decides(tree: Path) -> None:
    assert "docs/index.md" in paths(list_context(tree, "docs\n!docs/index.md\n"))
    assert "docs/index.md" not in paths(list_context(tree, "!docs/index.md\ndocs\n"))


def test_links_are_not_followed(tree: Path) -> None:
    (tree / "link").symlink_to("models")
    (tree / "loop").symlink_to(".")
    (tree / "dangling").symlink_to("nowhere")
    found = {entry.path: entry.bytes for entry in list_context(tree, "").entries}
    assert {found[name] for name in ("link", "loop", "dangling")} == {0}
    assert "link/large.bin" not in found


def test_empty_folders_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    assert list_context(tmp_path, "") == ContextListing((), 0, 0, ())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="it cannot be listed: No such file") as raised:
        list_context(tmp_path / "nowhere", "")
    assert raised.value.problems[0].where == str(tmp_path / "nowhere")


@pytest.mark.parametrize(("text", "number"), [("!\n", 1), ("ok\n\na[\n", 3), ("# x\nfoo\\\n", 2)])
def test_a_malformed_pattern_names_its_line(tmp_path: Path, text: str, number: int) -> None:
    with pytest.raises(ProjectError) as raised:
        list_context(tmp_path, text)
    assert raised.value.problems[0].where == f".dockerignore, line {number}"
    assert raised.value.problems[0].hint


def test_the_dockerfiles_own_ignore_file_comes_first(tmp_path: Path) -> None:
    context, dockerfile = tmp_path / "context", tmp_path / "docker" / "Dockerfile"
    context.mkdir()
    dockerfile.parent.mkdir()
    assert read_dockerignore(context, dockerfile) == ""
    (context / ".dockerignore").write_text("of the context")
    assert read_dockerignore(context, dockerfile) == "of the context"
    (dockerfile.parent / "Dockerfile.dockerignore").write_text("of the Dockerfile")
    assert read_dockerignore(context, dockerfile) == "of the Dockerfile"


def test_an_ignore_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").mkdir()
    with pytest.raises(ProjectError, match="it cannot be read: Is a directory"):
        read_dockerignore(tmp_path, tmp_path / "Dockerfile")


def suggested(root: Path, *needed: str, ignored: str = "") -> dict[str, tuple[int, int]]:
    found = suggest(list_context(root, ignored), needed)
    return {one.pattern: (one.bytes, one.files) for one in found}


def test_what_the_image_does_not_need_is_named_by_its_topmost_folder(tree: Path) -> None:
    assert suggested(tree, "pyproject.toml", "uv.lock", "src") == {
        ".git": (9000, 1),
        "models": (5000, 1),
        "docs": (770, 2),
        "**/__pycache__": (90, 1),
        "**/*.py[co]": (8, 1),
        "**/.env": (5, 1),
    }


def test_the_largest_comes_first(tree: Path) -> None:
    sizes = [one.bytes for one in suggest(list_context(tree, ""), ["src"])]
    assert sizes == sorted(sizes, reverse=True)


def test_a_folder_with_something_needed_is_not_named_whole(tree: Path) -> None:
    found = suggested(tree, "src", "uv.lock", "docs/images", "models", ".git")
    assert found["docs/index.md"] == (70, 1)
    assert "docs" not in found


def test_needed_paths_have_wildcards(tree: Path) -> None:
    found = suggested(tree, "*.toml", "uv.lock", "src", "docs/*.md", "models/", "/.git")
    junk = {"**/.git", "**/__pycache__", "**/*.py[co]", "**/.env"}
    assert set(found) == {"docs/images", *junk}


def test_a_folder_that_a_wildcard_leads_into_is_not_named_whole(tree: Path) -> None:
    (tree / "docs/images/other.png").write_text("x")
    found = suggested(tree, "docs/*/logo.png")
    assert found["docs/images/other.png"] == (1, 1)
    assert found["docs/index.md"] == (70, 1)


def test_secrets_are_named_wherever_they_are(tree: Path) -> None:
    (tree / "src/.env").write_text("TOKEN=1")
    found = {one.pattern: one for one in suggest(list_context(tree, ""), ["."])}
    assert found["**/.env"] == Suggestion(
        "**/.env", 12, 2, "it usually holds secrets, which would become part of the image"
    )


def test_everything_is_needed_but_junk(tree: Path) -> None:
    junk = {"**/.git", "**/__pycache__", "**/*.py[co]", "**/.env"}
    assert set(suggested(tree, ".")) == junk


def test_nothing_to_suggest(tree: Path) -> None:
    ignored = "*\n!src\n**/__pycache__\n**/*.py[co]\n"
    assert suggested(tree, "src", ignored=ignored) == {}


@pytest.mark.parametrize("name", ["a b", "#a", "!a", "a[1]", "a*", "a?", "ä", "a\\b", "^a", " a "])
def test_a_suggestion_removes_what_it_says(tmp_path: Path, name: str) -> None:
    (tmp_path / "keep").write_text("x")
    (tmp_path / name).mkdir()
    (tmp_path / name / "file").write_text("xyz")
    before = list_context(tmp_path, "")
    (one,) = suggest(before, ["keep"])
    assert (one.bytes, one.files) == (3, 1)
    after = list_context(tmp_path, f"{one.pattern}\n")
    assert paths(after) == ["keep"]
    assert after.excluded_bytes == 3


def test_following_the_suggestions_leaves_none(tree: Path) -> None:
    needed = ["pyproject.toml", "uv.lock", "src"]
    before = list_context(tree, "")
    found = suggest(before, needed)
    after = list_context(tree, "".join(f"{one.pattern}\n" for one in found))
    assert suggest(after, needed) == ()
    assert after.excluded_bytes == sum(one.bytes for one in found)
    assert after.excluded_files == sum(one.files for one in found)


def test_the_examples_context_holds_what_the_image_needs_and_nothing_else(
    repository: Path,
) -> None:
    folder = repository / "examples" / "mushroom"
    text = read_dockerignore(folder, repository / "docker" / "Dockerfile")
    listing = list_context(folder, text)
    needed = ("pyproject.toml", "uv.lock", "src", "scripts", "examples")
    assert {entry.path.partition("/")[0] for entry in listing.entries} == set(needed)
    assert suggest(listing, needed) == ()
    for left_out in ("tests", "models", "README.md", ".dockerignore"):
        assert (folder / left_out).exists()
    suffixes = {Path(entry.path).suffix for entry in listing.entries}
    assert suffixes <= {".toml", ".lock", ".py", ".typed", ".json", ".http"}
    assert listing.unreadable == ()
