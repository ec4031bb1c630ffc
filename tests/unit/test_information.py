"""What `info`, `context` and `settings` show, as text and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dockyard import information
from dockyard.context import ContextEntry, ContextListing, Suggestion
from dockyard.display.tables import columns, join_names
from dockyard.engine import ImageFacts
from dockyard.errors import EngineError
from dockyard.information import (
    ContextInformation,
    Information,
    context_json,
    gather,
    gather_context,
    needed_paths,
)
from dockyard.presentation import context_lines, information_lines, settings_lines
from dockyard.records import (
    BuildRecord,
    LayerRecord,
    TrafficRecord,
    UnreadableRecord,
    write_record,
)
from dockyard.settings import load_settings
from dockyard.settings_fields import FIELDS
from support.projects import folder_of
from support.records import make_record
from support.settings import make_settings

IMAGE = ImageFacts("sha256:" + "ab" * 32, 169_000_000, 550_000_000, ())


def found(*builds: BuildRecord, **more: Any) -> Information:
    values = {"builds": builds, "unreadable": (), "image": IMAGE, "image_note": None, **more}
    return Information(**values)


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


# info


def test_info_before_the_first_build() -> None:
    lines = information_lines(found(image=None), None)
    assert lines == ["no build is recorded yet: `invoke build` makes the first"]


def test_info_of_a_build() -> None:
    lines = information_lines(found(make_record()), None)
    start = lines.index(next(line for line in lines if line.startswith("start (UTC)")))
    assert dict(zip(cells(lines[start]), cells(lines[start + 1]), strict=True)) == {
        "start (UTC)": "2026-01-01 00:00",
        "outcome": "succeeded",
        "commit": "0123456*",
        "time": "1.25 s",
        "deps": "100%",
        "app": "75%",
        "all": "90%",
        "sent": "41.2 kB",
        "down": "–",
        "up": "–",
        "image": "169 MB",
    }
    assert lines[start + 2] == "* with changes that are not committed"
    engine = "service:latest in the engine: 169 MB compressed, 550 MB unpacked"
    assert engine in lines
    start = lines.index("layers of service:1.2.0, unpacked")
    assert lines[start + 1 :] == [
        "holds              size  packages",
        "base             178 MB",
        "dependencies-1   116 MB  scipy",
        "src             61.4 kB",
        "total            294 MB",
    ]


def test_info_of_a_failed_build() -> None:
    failed = make_record(
        outcome="failed",
        error="uv: no such package\nmore\n",
        hit_rates={"dependency": None, "application": None, "overall": None},
        context_bytes=None,
        image={"tags": ["service:latest"], "digest": None, "content_bytes": None},
        layers=(),
        revision={"commit": None, "branch": None, "dirty": False},
    )
    lines = information_lines(found(failed, make_record()), None)
    row = next(line for line in lines if " failed " in line)
    assert cells(row)[2:] == ["–", "1.25 s", *["–"] * 7]
    assert "the newest failed: uv: no such package" in lines
    assert "layers of service:1.2.0, unpacked" in lines


def test_info_adds_up_what_moved_as_far_as_it_is_known() -> None:
    known = TrafficRecord(
        base_read=1_000_000,
        cache_read=200_000,
        packages_downloaded=34_000,
        layers_pushed=5_000,
        cache_written=600,
    )
    partly = replace(known, cache_read=None, unknown={"cache_read": "nobody tells"})
    lines = information_lines(found(make_record(traffic=known), make_record(traffic=partly)), None)
    table = [cells(line) for line in lines if line.startswith(("start", "2026-"))]
    down, up = (table[0].index(name) for name in ("down", "up"))
    assert [(row[down], row[up]) for row in table[1:]] == [("1.2 MB", "5.6 kB"), ("–", "5.6 kB")]


def test_a_narrow_terminal_keeps_what_moved() -> None:
    traffic = TrafficRecord(base_read=999_000_000, cache_read=0, packages_downloaded=0)
    lines = information_lines(found(make_record(outcome="interrupted", traffic=traffic)), 80)
    table = [line for line in lines if line.startswith(("start", "2026-"))]
    assert max(map(len, table)) <= 80
    assert {"down", "up", "image", "all", "app"} < set(cells(table[0]))
    assert "sent" not in cells(table[0])
    assert "999 MB" in cells(table[1])


def test_info_aligns_its_columns() -> None:
    builds = [make_record(), make_record(outcome="interrupted", seconds=754, context_bytes=5)]
    lines = information_lines(found(*builds), None)
    table = [line for line in lines if line.startswith(("start", "2026-"))]
    assert len({len(line) for line in table}) == 1


def test_info_fits_a_terminal_of_80_columns() -> None:
    names = tuple(f"package-{number}" for number in range(40))
    build = make_record(layers=(LayerRecord("dependencies-1", 1000, names),))
    lines = information_lines(found(build, build), 80)
    table = [line for line in lines if line.startswith(("start", "2026-", "holds", "depend"))]
    assert max(map(len, table)) <= 80
    (packages,) = (line for line in lines if line.startswith("dependencies-1"))
    match = re.search(r" and (\d+) more$", packages)
    assert match
    assert packages.count("package-") + int(match[1]) == 40


def test_info_without_a_terminal_names_every_package() -> None:
    names = tuple(f"package-{number}" for number in range(40))
    build = make_record(layers=(LayerRecord("dependencies-1", 1000, names),))
    lines = information_lines(found(build), None)
    assert any(line.endswith(", ".join(names)) for line in lines)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (160_000_000, ", 9.0 MB more than the build before"),
        (170_000_000, ", 1.0 MB less than the build before"),
        (169_000_000, ", as the build before"),
        (None, ""),
    ],
)
def test_info_compares_the_image_with_the_one_before(before: int | None, said: str) -> None:
    image = make_record().image
    older = make_record(image={**image, "content_bytes": before})
    lines = information_lines(found(make_record(), older), None)
    (line,) = (one for one in lines if "in the engine" in one)
    assert line.partition("unpacked")[2] == said


def test_info_names_what_it_cannot_show() -> None:
    bad = UnreadableRecord(Path("x.json"), "it is no JSON\x1b[31m")
    lines = information_lines(found(image=None, unreadable=(bad,), image_note="gone"), None)
    assert lines == ["not shown: x.json: it is no JSON", "note: gone"]


def image_of(answer: ImageFacts | Exception | None) -> Callable[..., ImageFacts | None]:
    def image_facts(*_: object) -> ImageFacts | None:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return image_facts


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (IMAGE, None),
        (None, "service:latest is not in the engine"),
        (
            ImageFacts("sha256:" + "cd" * 32, 1, 1, ()),
            "service:latest in the engine is not what the last build made",
        ),
        (EngineError("it does not answer"), "the engine was not asked: it does not answer"),
    ],
)
def test_info_is_gathered_from_records_and_engine(
    answer: ImageFacts | Exception | None,
    note: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(information, "image_facts", image_of(answer))
    for number in range(3):
        identifier = f"2026010{number + 1}T000000.000Z-1"
        write_record(tmp_path, make_record(id=identifier), keep=10)
    gathered = gather(make_settings(tmp_path), 2)
    assert [one.id[:8] for one in gathered.builds] == ["20260103", "20260102"]
    assert gathered.image_note == note
    text = json.dumps(gathered.as_json())
    first = json.loads(text)["builds"][0]
    assert first["outcome"] == "succeeded"
    assert not first.keys() & {"steps", "settings"}


def test_info_without_records_does_not_ask_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(information, "image_facts", image_of(AssertionError("it was asked")))
    gathered = gather(make_settings(tmp_path), 10)
    assert gathered == Information((), (), None, None)
    assert gathered.as_json() == {
        "builds": [],
        "unreadable": [],
        "image": None,
        "image_note": None,
    }


# context

FILES = (ContextEntry("a/one.py", 750), ContextEntry("b.txt", 250), ContextEntry("c", 0))
LISTING = ContextListing(FILES, 1_234_567, 8, ())


def test_context_shows_the_largest_first() -> None:
    lines = context_lines(ContextInformation("service", LISTING, ()), 0)
    assert lines == [
        "bytes  share  file",
        "  750  75.0%  a/one.py",
        "  250  25.0%  b.txt",
        "    0   0.0%  c",
        "",
        "the context of service holds 3 files, 1,000 bytes",
        ".dockerignore leaves out 8 files, 1,234,567 bytes",
        "there is nothing in it that the image does not need",
    ]


def test_context_sums_up_what_it_does_not_show() -> None:
    lines = context_lines(ContextInformation("service", LISTING, ()), 1)
    assert lines[1:3] == [
        "  750  75.0%  a/one.py",
        "  250  25.0%  in 2 files more; `--last 0` shows all",
    ]


def test_an_empty_context() -> None:
    empty = ContextListing((), 10, 1, ("secret",))
    assert context_lines(ContextInformation("service", empty, ()), 20) == [
        "the context of service is empty",
        ".dockerignore leaves out 1 file, 10 bytes",
        "cannot be listed: secret",
    ]


def test_context_says_what_could_go() -> None:
    suggestions = (Suggestion("models", 5000, 1, "not needed"), Suggestion("**/.env", 5, 12, "why"))
    lines = context_lines(ContextInformation("service", LISTING, suggestions), 20)
    assert lines[-4:] == [
        "lines for .dockerignore, each with what it alone would leave out",
        "bytes  files  pattern  what it is",
        "5,000      1  models   not needed",
        "    5     12  **/.env  why",
    ]
    assert not any("nothing in it" in line for line in lines)


def test_file_names_cannot_write_to_the_terminal() -> None:
    listing = ContextListing((ContextEntry("a\x1b[2Jb", 1),), 0, 0, ("c\x1b[2Jd",))
    text = "\n".join(context_lines(ContextInformation("service", listing, ()), 20))
    assert "\x1b" not in text
    assert "ab" in text


def test_context_as_json() -> None:
    suggestion = Suggestion("b.txt", 250, 1, "why")
    shown = context_json(ContextInformation("service", LISTING, (suggestion,)))
    assert json.loads(json.dumps(shown)) == {
        "folder": "service",
        "entries": [
            {"path": "a/one.py", "bytes": 750},
            {"path": "b.txt", "bytes": 250},
            {"path": "c", "bytes": 0},
        ],
        "excluded_bytes": 1_234_567,
        "excluded_files": 8,
        "unreadable": [],
        "suggestions": [{"pattern": "b.txt", "bytes": 250, "files": 1, "reason": "why"}],
    }


def test_the_examples_context_is_gathered(repository: Path) -> None:
    settings = load_settings(repository, {}, {})
    gathered = gather_context(settings)
    assert gathered.folder == "examples/mushroom"
    assert gathered.suggestions == ()
    assert {one.path.partition("/")[0] for one in gathered.listing.entries} == set(
        needed_paths(settings)
    )


def test_local_packages_are_needed() -> None:
    folder = folder_of("paths")
    settings = make_settings(folder.parent, project="paths", copy_paths=())
    assert set(needed_paths(settings)) == {
        "pyproject.toml",
        "uv.lock",
        "library",
        "editable",
        "archive-1.0.tar.gz",
        "wheel_file-2.0-py3-none-any.whl",
    }


def test_what_a_broken_project_needs_is_still_said(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, copy_paths=("src",), install="wheel")
    assert needed_paths(settings) == (
        "pyproject.toml",
        "uv.lock",
        "src",
        "src",
        "README*",
        "LICEN[CS]E*",
    )


# settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.dockyard]\nimage = "one"\n')
    return tmp_path


def rows(lines: list[str]) -> dict[str, tuple[str, str]]:
    found = [re.split(r" {2,}", line) for line in lines[1:]]
    return {row[0]: (row[1], row[2]) for row in found if len(row) == 3}


def test_settings_show_every_setting_once() -> None:
    lines = settings_lines(make_settings())
    assert re.split(r" {2,}", lines[0]) == ["setting", "value", "from"]
    shown = rows(lines)
    expected = {one.environment for one in FIELDS if not one.stands_in_for}
    assert set(shown) == expected | {"UV_INDEX_<NAME>_…"}
    assert shown["DOCKYARD_LAYERS"] == ("24", "default")
    assert shown["DOCKYARD_REGISTRY"] == ("–", "default")
    sections = [
        line for line in lines if line and not line.startswith(tuple(shown)) and line != lines[0]
    ]
    assert sections == list(dict.fromkeys(one.section for one in FIELDS))


def test_settings_align_their_columns() -> None:
    lines = settings_lines(make_settings())
    starts = {line.rindex("  default") for line in lines if line.endswith("  default")}
    assert len(starts) == 1


def test_settings_are_shown_as_one_would_write_them(root: Path) -> None:
    environment = {
        "DOCKYARD_CACHE_BUDGET": "2500MB",
        "DOCKYARD_COMMAND": "python -c 'print(1)'",
        "DOCKYARD_BYTE_COMPILE": "yes",
        "DOCKYARD_COPY_PATHS": "src,scripts",
        "DOCKYARD_CACHE_BACKENDS": "local inline",
        "DOCKYARD_DRIVER_OPTIONS": "namespace=builds,replicas=2",
        "DOCKYARD_CACHE_DIR": "/outside/cache",
        "DOCKYARD_CA_FILE": "certificates/ca.pem",
        "DOCKYARD_PORTS": "80,8000",
    }
    (root / "certificates").mkdir()
    (root / "certificates" / "ca.pem").touch()
    shown = rows(settings_lines(load_settings(root, environment, {})))
    assert {name: shown[name][0] for name in environment} == {
        **environment,
        "DOCKYARD_BYTE_COMPILE": "true",
        "DOCKYARD_COPY_PATHS": "src, scripts",
        "DOCKYARD_DRIVER_OPTIONS": "namespace=builds, replicas=2",
        "DOCKYARD_PORTS": "80, 8000",
    }
    assert {shown[name][1] for name in environment} == {
        f"environment {name}" for name in environment
    }


def test_settings_name_file_and_key(root: Path) -> None:
    (root / ".env").write_text("DOCKYARD_REGISTRY=registry.example\n")
    shown = rows(settings_lines(load_settings(root, {}, {})))
    assert shown["DOCKYARD_IMAGE"] == ("one", "pyproject.toml [tool.dockyard] image")
    value, source = shown["DOCKYARD_REGISTRY"]
    assert value == "registry.example"
    assert ".env" in source


def test_settings_never_show_a_secret(root: Path) -> None:
    environment = {
        "UV_INDEX_INTERNAL_USERNAME": "builder-secret",
        "UV_INDEX_INTERNAL_PASSWORD": "hidden-secret",
        "UV_INDEX": "internal=https://packages.example/simple",
        "UV_DEFAULT_INDEX": "https://user-secret:word-secret@pypi.example/simple",
        "DOCKYARD_UV_MIRRORS": "https://user-secret:word-secret@mirror.example/simple",
    }
    text = "\n".join(settings_lines(load_settings(root, environment, {})))
    assert "secret" not in text
    assert "pypi.example/simple" in text
    assert "mirror.example/simple" in text
    assert "***" in text


def test_notes_of_the_settings_are_shown(root: Path) -> None:
    environment = {"UV_INDEX_URL": "https://pypi.example/simple"}
    lines = settings_lines(load_settings(root, environment, {}))
    assert any(line.startswith("note: ") and "UV_DEFAULT_INDEX" in line for line in lines)


# columns


def test_columns_of_wide_characters() -> None:
    assert columns(("a", "b"), [("漢字", "1"), ("x", "22")], right=(1,)) == [
        "a      b",
        "漢字   1",
        "x     22",
    ]


def test_columns_end_without_blanks() -> None:
    assert columns(("a", "b"), [("x", ""), ("", "long")]) == ["a  b", "x", "   long"]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (None, "alpha, beta, gamma"),
        (18, "alpha, beta, gamma"),
        (17, "alpha and 2 more"),
        (16, "alpha and 2 more"),
        (15, "3 packages"),
    ],
)
def test_names_are_joined_as_far_as_they_fit(width: int | None, expected: str) -> None:
    assert join_names(("alpha", "beta", "gamma"), width) == expected
