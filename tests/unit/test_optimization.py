"""The files that `invoke optimize --apply` changes, on a disk; no engine is asked."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from dockyard.errors import DockyardError, SettingsError
from dockyard.optimization import Optimization, optimize
from dockyard.optimization_facts import Facts
from dockyard.optimize import ByHand, Safety, SetSetting
from dockyard.records import write_record
from dockyard.settings import load_settings
from support.records import make_record

PYPROJECT = """\
[project]
name = "service"
version = "1.0"
scripts = { serve = "service:main" }

[build-system]
requires = ["hatchling"]

[tool.dockyard]
copy-paths = ["src"]
command = ["serve"]
"""
DOCKERFILE = """\
FROM base
COPY --link src /app/src
"""
TOPICS = ("context", "order", "install", "compression")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a fat context and a command that copy mode does not have."""
    (tmp_path / "src/service").mkdir(parents=True)
    (tmp_path / "src/service/__init__.py").write_text("")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / ".dockerignore").write_text("*.log\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/one.bin").write_bytes(bytes(40_000))
    return tmp_path


def run(
    root: Path,
    only: tuple[str, ...] = TOPICS,
    environment: Mapping[str, str] | None = None,
    *,
    apply: bool = False,
) -> Optimization:
    given = environment or {}
    return optimize(load_settings(root, given, {}), given, only, apply_changes=apply)


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".dockyard" not in path.parts
    }


def test_nothing_is_written_unless_asked(root: Path) -> None:
    before = files(root)
    found = run(root)
    assert {one.topic for one in found.proposals} == {"context", "install"}
    models = next(one for one in found.proposals if "models" in one.what)
    assert models.gain_bytes == 40_000
    assert "+models" in found.diff
    assert files(root) == before


def test_applied_files_keep_mode_and_old_text_and_a_second_run_proposes_nothing(root: Path) -> None:
    (root / ".dockerignore").chmod(0o664)
    before = files(root)
    applied = run(root, apply=True)
    assert {one.topic for one in applied.applied} == {"context", "install"}
    assert applied.proposals == ()
    after = files(root)
    assert {path for path in after if after[path] != before[path]} == {
        ".dockerignore",
        "pyproject.toml",
    }
    assert b'install = "wheel"' in after["pyproject.toml"]
    assert stat.S_IMODE((root / ".dockerignore").stat().st_mode) == 0o664
    kept = {(root / path).read_bytes() for path in applied.backups}
    assert kept == {before[".dockerignore"], before["pyproject.toml"]}
    again = run(root)
    assert (again.proposals, again.diff) == ((), "")


def test_what_needs_asking_is_not_applied_by_itself(root: Path) -> None:
    found = optimize(load_settings(root, {}, {}), {}, ("context",), apply_changes=True)
    assert all(one.topic == "context" for one in found.applied)
    assert "install =" not in (root / "pyproject.toml").read_text()


def test_two_backups_of_one_file(root: Path) -> None:
    first = run(root, ("context",), apply=True)
    (root / "more.bin").write_bytes(bytes(20_000))
    second = run(root, ("context",), apply=True)
    assert set(first.backups).isdisjoint(second.backups)
    assert all((root / path).is_file() for path in (*first.backups, *second.backups))


def test_a_setting_that_the_environment_decides_is_left_to_it(root: Path) -> None:
    found = run(root, ("install",), {"DOCKYARD_INSTALL": "copy"}, apply=True)
    (one,) = found.proposals
    assert one.safe is Safety.BY_HAND
    assert isinstance(one.change, ByHand)
    assert "DOCKYARD_INSTALL=wheel" in one.change.advice
    assert found.applied == ()


def test_a_pyproject_that_cannot_be_kept_is_left_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(text: str, changes: object) -> str:
        raise ValueError("its tables are laid out in a way that cannot be kept")

    monkeypatch.setattr("dockyard.optimize.setting_written", refuse)
    before = files(root)
    found = run(root, ("install",), apply=True)
    assert files(root) == before
    assert not any(isinstance(one.change, SetSetting) for one in found.proposals)
    assert 'install = "wheel"' in str(found.proposals[0].change)
    assert any("cannot be kept" in note for note in found.notes)


def test_topics_that_cannot_be_looked_at_are_one_note(root: Path) -> None:
    (root / "docker/Dockerfile").unlink()
    found = run(root)
    assert any(
        note.startswith("not looked at: context, order: there is no") for note in found.notes
    )
    assert {one.topic for one in found.proposals} == {"install"}


def test_an_unknown_topic_is_refused(root: Path) -> None:
    with pytest.raises(SettingsError, match="there is no topic speed"):
        run(root, ("speed",))


def test_a_file_that_cannot_be_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, text: str, mode: int = 0o644) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dockyard.optimization.write_atomically", refuse)
    with pytest.raises(DockyardError, match="cannot be written"):
        run(root, ("context",), apply=True)


def test_the_image_that_is_weighed_is_the_one_that_the_settings_name(root: Path) -> None:
    def built(number: int, tag: str, outcome: str = "succeeded") -> None:
        image = {**make_record().image, "tags": [tag]}
        record = make_record(id=f"2026010{number}T000000.000Z-1", image=image, outcome=outcome)
        write_record(root, record, 10)

    built(1, "registry.example.com:5000/acme/service:latest")
    built(2, "service:latest", "failed")
    built(3, "another:latest")
    facts = Facts(load_settings(root, {}, {}), {}, asked=(), note=print)
    assert facts.newest is not None
    assert facts.newest.id.startswith("20260101")
