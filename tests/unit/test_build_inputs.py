"""What a build was made of: files by their content, instructions, packages, images, the builder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard import process
from dockyard.base_images import BaseImage, ImageOrigin
from dockyard.build_inputs import (
    InputsReader,
    ReadInputs,
    base_digests,
    instruction_records,
    record_inputs,
)
from dockyard.builders import BuilderChoice
from dockyard.context_digests import digest_files, digest_of, remembered_path
from dockyard.definition import BuildDefinition
from dockyard.engine import EngineFacts
from dockyard.known_project import KnownProject, LockedPackage
from dockyard.preparation import Prepared
from dockyard.process import Completed
from dockyard.records import FileRecord, PackageRecord
from dockyard.revision import Revision
from dockyard.trace import BuildTrace
from support.settings import make_settings
from support.transcripts import trace_of, vertex

DIGEST = "sha256:" + "ab" * 32
LONG_AGO = (1_000_000_000, 1_000_000_000)


def prepared(root: Path = Path("/repository"), **changes: Any) -> Prepared:
    values: dict[str, Any] = {
        "settings": make_settings(root),
        "project": KnownProject(
            "service",
            "1.0",
            ("numpy", "six"),
            locked=(
                LockedPackage("numpy", "2.0", "n2", None, 5, wheel=True),
                LockedPackage("six", "1.0", "s1", "https://git.example/six@abc", None, wheel=False),
            ),
        ),
        "revision": Revision("0123456789abcdef", "main", False, None, None),
        "engine": EngineFacts("28.5.2", "0.29.1", "default", True, "amd64", "the-engine"),
        "builder": BuilderChoice("default", "docker", "loads"),
        "base_images": (
            BaseImage("PYTHON_IMAGE", "python:3.13", "python:3.13", ImageOrigin.UPSTREAM),
        ),
        "layer_packages": (("six",), ("numpy",)),
        "definition": BuildDefinition(
            ".", "docker/Dockerfile", ("a:latest",), "x", build_arguments=(("EXTRAS", "gpu"),)
        ),
        "notes": (),
    }
    return Prepared(**{**values, **changes})


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "src").mkdir(parents=True)
    (folder / "src/a.py").write_text("one\n")
    (folder / "large.bin").write_bytes(b"x" * 100)
    (folder / "link").symlink_to("src/a.py")
    for path in (folder / "src/a.py", folder / "large.bin"):
        path.chmod(0o644)
        os.utime(path, LONG_AGO)
    return folder


SIZES = [("large.bin", 100), ("link", 0), ("src/a.py", 4)]


# files


def test_a_digest_is_of_mode_and_content_and_not_of_times(context: Path) -> None:
    path = context / "src/a.py"
    first = digest_of(path, 0o100644)
    os.utime(path, (5, 5))
    assert digest_of(path, 0o100644) == first
    assert digest_of(path, 0o100755) != first
    path.write_text("two\n")
    assert digest_of(path, 0o100644) != first


def test_a_links_digest_is_of_its_target(context: Path) -> None:
    link = context / "link"
    first = digest_of(link, link.lstat().st_mode)
    link.unlink()
    link.symlink_to("elsewhere")
    assert digest_of(link, link.lstat().st_mode) != first


def test_files_are_read_once_as_long_as_they_stay(context: Path, tmp_path: Path) -> None:
    read: list[str] = []

    def digest(path: Path, mode: int) -> str:
        read.append(path.name)
        return digest_of(path, mode)

    def found() -> tuple[FileRecord, ...]:
        read.clear()
        return digest_files(context, SIZES, tmp_path, digest=digest, now=2 * 10**18)[0]

    first = found()
    assert [one.path for one in first] == ["large.bin", "link", "src/a.py"]
    assert sorted(read) == ["a.py", "large.bin", "link"]
    assert found() == first
    assert read == []
    (context / "src/a.py").write_text("two\n")
    os.utime(context / "src/a.py", LONG_AGO)
    second = found()
    assert read == ["a.py"]
    assert [one.path for one in second if one not in first] == ["src/a.py"]
    (context / "large.bin").chmod(0o755)
    assert found() != second
    assert read == ["large.bin"]


def test_a_file_that_may_change_within_the_same_tick_is_read_again(
    context: Path, tmp_path: Path
) -> None:
    digest_files(context, SIZES, tmp_path, now=(context / "link").lstat().st_mtime_ns)
    assert not remembered_path(tmp_path).exists()


def test_the_largest_are_listed_and_the_others_counted(context: Path, tmp_path: Path) -> None:
    files, left_out = digest_files(context, [*SIZES, ("gone", 50)], tmp_path, most=2)
    assert [one.path for one in files] == ["large.bin"]
    assert left_out == 3


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 1}', '{"x": []}'])
def test_what_is_remembered_may_be_damaged(context: Path, tmp_path: Path, text: str) -> None:
    remembered_path(tmp_path).parent.mkdir(parents=True)
    remembered_path(tmp_path).write_text(text)
    assert len(digest_files(context, SIZES, tmp_path)[0]) == 3


# the Dockerfile


def test_instructions_are_listed_by_the_names_that_steps_have() -> None:
    text = "ARG A=1\nFROM x AS Build\nRUN <<E\none\nE\nFROM y\nCOPY a \\\n  b /c\n"
    found = instruction_records(text)
    assert [(one.stage, one.line, one.text) for one in found] == [
        (None, 1, "ARG A=1"),
        ("build", 2, "FROM x AS Build"),
        ("build", 3, "RUN <<E"),
        ("stage-1", 6, "FROM y"),
        ("stage-1", 7, "COPY a b /c"),
    ]
    changed = instruction_records(text.replace("one", "two"))
    assert [a == b for a, b in zip(found, changed, strict=True)] == [True, True, False, True, True]


def test_a_lone_stage_has_no_name_and_a_long_instruction_is_cut() -> None:
    found = instruction_records(f"FROM x\nRUN {'a' * 500}\n")
    assert [one.stage for one in found] == [None, None]
    assert len(found[1].text) == 200
    other = instruction_records(f"FROM x\nRUN {'a' * 501}\n")
    assert found[1].text == other[1].text
    assert found[1].digest != other[1].digest


# all of it


def test_inputs_on_record() -> None:
    trace = trace_of(vertex(f"[a 1/2] FROM docker.io/library/python:3.13@{DIGEST}", 0, 1))
    files = (FileRecord("a", 1, "x"),)
    read = ReadInputs(files=files, files_left_out=2, builder_id="the-engine")
    found = record_inputs(prepared(), trace, read)
    assert found.packages == (
        PackageRecord("numpy", "2.0", "n2", 2, None, 5),
        PackageRecord("six", "1.0", "s1", 1, "https://git.example/six@abc", None),
    )
    assert (found.files, found.files_left_out, found.builder_id) == (files, 2, "the-engine")
    assert found.arguments == {"EXTRAS": "gpu"}
    assert found.base_digests == {"PYTHON_IMAGE": DIGEST}
    assert found.platforms == ("linux/amd64",)
    assert found.cache_scope is None
    assert found.unknown is None


def test_a_base_image_that_no_step_names_is_unknown_unless_it_is_pinned() -> None:
    nothing = BuildTrace((), (), ())
    assert base_digests(prepared(), nothing) == {}
    found = record_inputs(prepared(), nothing, ReadInputs())
    assert "PYTHON_IMAGE" in (found.unknown or {})["base_digests"]
    pinned = BaseImage("PYTHON_IMAGE", "x", f"python:3.13@{DIGEST}", ImageOrigin.UPSTREAM)
    assert base_digests(prepared(base_images=(pinned,)), nothing) == {"PYTHON_IMAGE": DIGEST}


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    reader = InputsReader(prepared(tmp_path))
    reader.begin()
    found = reader.result(30)
    assert set(found.unknown) == {"dockerfile"}
    assert found.builder_id == "the-engine"
    unread = InputsReader(prepared(tmp_path)).result()
    assert set(unread.unknown) == {"dockerfile", "files", "builder_id"}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"volume": "v 2026"}, "v 2026"),
        ({"container": "0123"}, "0123"),
        ({}, None),
    ],
)
def test_a_builder_is_told_apart_by_its_state(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, str],
    expected: str | None,
) -> None:
    def run(arguments: list[str], **_: object) -> Completed:
        answer = answers.get(arguments[1], "")
        return Completed(tuple(arguments), 0 if answer else 1, answer, "")

    fake: Callable[..., Completed] = run
    monkeypatch.setattr(process, "run", fake)
    choice = BuilderChoice("mine", "docker-container", "pushes")
    reader = InputsReader(prepared(tmp_path, builder=choice))
    reader.begin()
    found = reader.result(30)
    assert found.builder_id == expected
    assert ("builder_id" in found.unknown) is (expected is None)
