"""`init` in somebody else's project: what is decided, asked and written, and what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import runpy
import select
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard.adoption.additions import (
    CannotAddError,
    noxfile_with_check,
    tasks_with_namespace,
    with_table,
)
from dockyard.adoption.place import find_place
from dockyard.adoption.plan import plan_adoption
from dockyard.adoption.proposals import SettingProposal
from dockyard.adoption.questions import ask_settings, confirm
from dockyard.errors import DockyardError, ProjectError, SettingsError
from dockyard.initialization import Action, apply_changes
from dockyard.state import write_atomically

REQUIREMENT = "dockyard[check]==1.0"

PYPROJECT = """\
# A comment that stays.
[project]
name = "shop"
version = "1.0"
requires-python = ">=3.11"
dependencies = []   # none yet

[tool.ruff]
line-length = 100
"""
LOCK = """\
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "shop"
version = "1.0"
source = { virtual = "." }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that uv manages, with one module that can be run."""
    root = tmp_path / "shop"
    (root / "src/shop").mkdir(parents=True)
    (root / "src/shop/__main__.py").write_text("raise SystemExit('never run')\n")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "uv.lock").write_text(LOCK)
    return root


def everything(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".dockyard" not in path.parts
    }


# -------------------- additions


def test_a_table_is_added_and_nothing_else_moves() -> None:
    after = with_table(PYPROJECT, {"command": ["python", "-m", "shop"], "ports": [8000]})
    assert after.startswith(PYPROJECT)
    table = tomllib.loads(after)["tool"]["dockyard"]
    assert table == {"command": ["python", "-m", "shop"], "ports": [8000]}


@pytest.mark.parametrize("values", [{}, {"image": "a"}])
def test_line_ends_stay_what_they_are(values: dict[str, Any]) -> None:
    after = with_table(PYPROJECT.replace("\n", "\r\n"), values)
    assert "\n" not in after.replace("\r\n", "")
    assert tomllib.loads(after)["tool"]["dockyard"] == values


def test_tables_out_of_order_are_left_so() -> None:
    text = "[[tool.uv.index]]\na = 1\n[tool.uv.sources]\nb = 2\n[[tool.uv.index]]\nc = 3"
    assert with_table(text, {"image": "a"}).startswith(text)


def test_a_tool_table_in_braces_is_refused() -> None:
    with pytest.raises(ValueError, match="dockyard"):
        with_table("tool = { uv = { package = false } }\n", {"image": "a"})


TASK_FILES = {
    "tasks": (
        "from invoke import task\n\n\n@task\ndef own(context):\n    pass\n",
        {"own", "dockyard.build"},
    ),
    "namespace": (
        "from invoke import Collection, task\n\n\n@task\ndef own(context):\n    pass\n\n\n"
        "namespace = Collection(own)",
        {"own", "dockyard.build"},
    ),
    "annotated": ("from invoke import Collection\n\nns: Collection = Collection()\n", set()),
    "docstring": ('"""Nothing yet."""\n', {"build", "cache.push"}),
    "empty": ("", {"build", "cache.push"}),
}


@pytest.mark.parametrize(("text", "names"), TASK_FILES.values(), ids=TASK_FILES)
def test_tasks_of_both_are_there_afterwards(tmp_path: Path, text: str, names: set[str]) -> None:
    from invoke.collection import Collection

    after = tasks_with_namespace(text)
    assert after.startswith(text)
    assert tasks_with_namespace(after) == after
    path = tmp_path / "tasks.py"
    path.write_text(after)
    # As Invoke does: the module is imported, and its collection made of what it has.
    import importlib.util

    specification = importlib.util.spec_from_file_location("tasks", path)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    kept = sys.modules.get("tasks")
    sys.modules["tasks"] = module
    try:
        specification.loader.exec_module(module)
        found = set(Collection.from_module(module).task_names)
    finally:
        sys.modules.pop("tasks")
        if kept:
            sys.modules["tasks"] = kept
    assert (names or {"dockyard.build"}) <= found


NOXFILES = {
    "sessions": "import nox\n\n\n@nox.session\ndef tests(session):\n    session.run('pytest')\n",
    "without sessions": '"""Nothing yet."""\n\nimport nox\n',
    "alias": '"""Doc."""\nfrom __future__ import annotations\n\nimport nox as n\n',
    "from": "from nox import session\n",
    "without end": "import nox",
    "empty": "",
}


@pytest.mark.parametrize("text", NOXFILES.values(), ids=NOXFILES)
def test_the_session_is_added_once(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry: dict[str, Any] = {}
    monkeypatch.setattr("nox.registry._REGISTRY", registry)
    after = noxfile_with_check(text, REQUIREMENT)
    assert noxfile_with_check(after, REQUIREMENT) == after
    assert [line for line in text.splitlines() if line not in after.splitlines()] == []
    path = tmp_path / "noxfile.py"
    path.write_text(after)
    runpy.run_path(str(path))
    assert "build-check" in registry
    assert REQUIREMENT in after


@pytest.mark.parametrize("name", ["build_check", "check"])
def test_a_session_of_that_name_is_the_users(name: str) -> None:
    text = f'import nox\n\n\n@nox.session(name="build-check")\ndef {name}(session):\n    pass\n'
    assert noxfile_with_check(text, REQUIREMENT) == text


@pytest.mark.parametrize("add", [tasks_with_namespace, lambda t: noxfile_with_check(t, "a")])
def test_what_is_no_python_is_not_touched(add: Callable[[str], str]) -> None:
    with pytest.raises(CannotAddError, match="no valid Python"):
        add("def broken(:\n")


# -------------------- what is decided and written


@pytest.mark.spawns
def test_init_writes_what_is_missing_and_is_done(project: Path) -> None:
    before = everything(project)
    found = plan_adoption(project, {})
    assert everything(project) == before
    assert [one.key for one in found.proposals] == ["command"]
    [backup] = apply_changes(found.changes)
    assert backup.name == "pyproject.toml.backup"
    assert backup.read_text() == PYPROJECT
    after = everything(project)
    assert after.keys() - before.keys() == {
        ".dockerignore",
        ".env.example",
        "docker/Dockerfile",
        "noxfile.py",
        "pyproject.toml.backup",
        "tasks.py",
    }
    assert after["pyproject.toml"].decode().startswith(PYPROJECT)
    again = plan_adoption(project, {})
    assert not any(one.writes for one in again.changes)
    assert again.proposals == ()


@pytest.mark.spawns
def test_what_the_environment_settles_is_not_proposed(project: Path) -> None:
    environment = {"DOCKYARD_COMMAND": "sleep 1", "DOCKYARD_IMAGE": "other"}
    found = plan_adoption(project, environment)
    assert found.proposals == ()
    assert tomllib.loads(found.changes[0].after)["tool"]["dockyard"] == {}
    assert 'CMD ["sleep", "1"]' in found.changes[1].after


@pytest.mark.spawns
def test_a_subfolder_stands_for_its_project(project: Path) -> None:
    assert plan_adoption(project / "src/shop", {}).root == project


@pytest.mark.spawns
def test_answers_take_the_place_of_proposals(project: Path) -> None:
    found = plan_adoption(project, {}, answers={"command": [], "image": "store"})
    assert tomllib.loads(found.changes[0].after)["tool"]["dockyard"] == {"image": "store"}
    with pytest.raises(SettingsError, match="image name"):
        plan_adoption(project, {}, answers={"image": "Not A Name"})


@pytest.mark.spawns
def test_workflows_are_written_where_they_are_asked_for(project: Path) -> None:
    found = plan_adoption(project, {}, ci=["github", "gitlab"])
    apply_changes(found.changes)
    assert "build-check" in (project / ".github/workflows/image.yml").read_text()
    assert "build-check" in (project / ".gitlab-ci.yml").read_text()
    again = plan_adoption(project, {}, ci=["github"])
    assert not any(one.writes for one in again.changes)
    with pytest.raises(SettingsError, match="jenkins"):
        plan_adoption(project, {}, ci=["jenkins"])


@pytest.mark.spawns
def test_the_users_own_files_stay(project: Path) -> None:
    (project / "Dockerfile").write_text("FROM scratch\n")
    (project / "docker").mkdir()
    (project / "docker/Dockerfile").write_text("FROM scratch\n")
    (project / ".dockerignore").write_text("secrets\n")
    (project / "tasks.py").write_text("def broken(:\n")
    before = everything(project)
    found = plan_adoption(project, {})
    apply_changes(found.changes)
    after = everything(project)
    changed = [name for name in before if after[name] != before[name]]
    assert changed == ["pyproject.toml"]
    assert "docker/Dockerfile.dockyard" in after
    ignored = after["docker/Dockerfile.dockyard.dockerignore"].decode()
    assert ignored.splitlines()[1] == "*"
    assert b'dockerfile = "docker/Dockerfile.dockyard"' in after["pyproject.toml"]
    notes = "\n".join(found.notes)
    assert "Dockerfile is yours" in notes
    assert "tasks.py is left alone: it is no valid Python" in notes
    assert not any(one.writes for one in plan_adoption(project, {}).changes)


@pytest.mark.spawns
def test_a_project_outside_of_git_is_told_so(project: Path) -> None:
    assert any("no git repository" in note for note in plan_adoption(project, {}).notes)
    (project.parent / ".git").mkdir()
    assert not any("no git" in note for note in plan_adoption(project, {}).notes)
    inner = plan_adoption(project, {}, ci=["gitlab"]).notes
    assert any("let their steps run in shop" in note for note in inner)


@pytest.mark.spawns
def test_links_are_followed_and_not_replaced(project: Path) -> None:
    real = project.parent / "shared.toml"
    (project / "pyproject.toml").rename(real)
    (project / "pyproject.toml").symlink_to(real)
    real.chmod(0o640)
    apply_changes(plan_adoption(project, {}).changes)
    assert (project / "pyproject.toml").is_symlink()
    assert "[tool.dockyard]" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.spawns
@pytest.mark.parametrize("obstacle", ["file", "link", "folder"])
def test_odd_layouts_are_refused_and_left_alone(project: Path, obstacle: str) -> None:
    if obstacle == "file":
        (project / "docker").write_text("a file where a folder should be\n")
    elif obstacle == "link":
        (project / "noxfile.py").symlink_to("nowhere.py")
    else:
        (project / "tasks.py").mkdir()
    before = everything(project)
    with pytest.raises(DockyardError) as caught:
        apply_changes(plan_adoption(project, {}).changes)
    assert caught.value.problems[0].hint
    assert everything(project) == before


@pytest.mark.spawns
def test_a_tree_that_cannot_be_written_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = plan_adoption(project, {}).changes
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    before = everything(project)
    with pytest.raises(DockyardError, match="cannot be written to; nothing was changed"):
        apply_changes(changes)
    assert everything(project) == before


@pytest.mark.spawns
@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("successes", range(7))
def test_what_fails_half_way_is_undone(
    project: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, successes: int
) -> None:
    """There are seven files to write, with the backup; each of them fails in turn."""
    changes = plan_adoption(project, {}).changes
    before = everything(project)
    written: list[Path] = []

    def failing(path: Path, text: str, mode: int = 0o644) -> None:
        written.append(path)
        if len(written) == successes + 1:
            raise fault
        write_atomically(path, text, mode)

    monkeypatch.setattr("dockyard.initialization.write_atomically", failing)
    expected = DockyardError if isinstance(fault, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        apply_changes(changes)
    assert len(written) > successes
    assert everything(project) == before
    assert not (project / "docker").exists()


# -------------------- questions


def answers(*lines: str) -> tuple[Callable[[str], str], list[str]]:
    left, prompts = list(lines), []

    def read(prompt: str) -> str:
        prompts.append(prompt)
        if not left:
            raise EOFError
        return left.pop(0)

    return read, prompts


def test_enter_takes_the_proposal_and_a_dash_nothing() -> None:
    proposals = (
        SettingProposal("image", "shop", ""),
        SettingProposal("copy-paths", ["src"], "it is there"),
        SettingProposal("command", ["python", "-m", "shop"], "it is there"),
        SettingProposal("ports", [8000], ""),
        SettingProposal("install", "copy", ""),
    )
    read, prompts = answers("", "src, data", "-", "80 443", "wheel")
    said: list[str] = []
    found = ask_settings(proposals, read, said.append)
    assert found == {
        "copy-paths": ["src", "data"],
        "command": [],
        "ports": [80, 443],
        "install": "wheel",
    }
    assert prompts[0] == "The image's name [shop]: "
    assert "Ctrl-C" in said[0]


def test_an_answer_that_is_not_valid_is_asked_for_again() -> None:
    read, prompts = answers("Not Valid", "store")
    said: list[str] = []
    found = ask_settings((SettingProposal("image", "shop", ""),), read, said.append)
    assert found == {"image": "store"}
    assert len(prompts) == 2
    assert "is not an image name" in said[-1]


def test_words_of_a_command_keep_their_blanks() -> None:
    read, _ = answers('["python", "-c", "print(1, 2)"]')
    found = ask_settings((SettingProposal("command", [], ""),), read, lambda text: None)
    assert found == {"command": ["python", "-c", "print(1, 2)"]}


def test_only_a_yes_is_a_yes() -> None:
    assert confirm("Write?", answers("")[0])
    assert confirm("Write?", answers("what", "y")[0])
    assert not confirm("Write?", answers("n")[0])


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._own, other = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("CI", "DOCKYARD_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dockyard", *arguments],
            cwd=folder,
            env=environment,
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        self.shown = ""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._own], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._own, 4096).decode()
                except OSError:
                    assert text in self.shown, self.shown

    def type(self, text: str) -> None:
        self.shown = ""
        os.write(self._own, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C; again where it came just before the read that it should end."""
        deadline = time.monotonic() + 30
        while self._process.poll() is None and time.monotonic() < deadline:
            os.killpg(self._process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=3)

    def end(self) -> int:
        try:
            return self._process.wait(timeout=30)
        finally:
            os.close(self._own)


@pytest.fixture
def terminal(project: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(project, *arguments))
        return opened[-1]

    yield start
    for one in opened:
        if one._process.poll() is None:
            one._process.kill()
            one._process.wait()


@pytest.mark.spawns
def test_a_terminal_is_asked(project: Path, terminal: Callable[..., Terminal]) -> None:
    asked = terminal("init")
    asked.wait_for("The image's name [shop]: ")
    asked.type("store\n")
    for _ in range(9):
        asked.wait_for("]: ")
        asked.type("\n")
    asked.wait_for("Write this? [Y/n]: ")
    assert 'image = "store"' in asked.shown
    asked.type("y\n")
    asked.wait_for("next: `dockyard build`")
    assert asked.end() == 0
    table = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["dockyard"]
    assert table == {"image": "store", "command": ["python", "-m", "shop"]}


@pytest.mark.spawns
def test_ctrl_c_and_a_no_leave_nothing(project: Path, terminal: Callable[..., Terminal]) -> None:
    before = everything(project)
    asked = terminal("init")
    asked.wait_for("]: ")
    asked.interrupt()
    assert asked.end() == 130
    assert everything(project) == before
    asked = terminal("init")
    for _ in range(10):
        asked.wait_for("]: ")
        asked.type("\n")
    asked.wait_for("[Y/n]: ")
    asked.type("n\n")
    asked.wait_for("nothing was written")
    assert asked.end() == 0
    assert everything(project) == before


@pytest.mark.spawns
def test_without_a_terminal_existing_files_need_a_yes(project: Path) -> None:
    before = everything(project)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CI", "DOCKYARD_"))}

    def init(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dockyard", "init", *arguments],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    refused = init()
    assert refused.returncode == 3
    assert "existing files would change (pyproject.toml)" in refused.stderr
    assert "+[tool.dockyard]" in refused.stdout
    told = init("--json")
    assert told.returncode == 3
    assert json.loads(told.stdout)["written"] is False
    shown = json.loads(init("--json", "--dry-run").stdout)
    assert everything(project) == before
    assert shown["written"] is False
    assert [one["key"] for one in shown["proposals"]] == ["command"]
    done = json.loads(init("--json", "--yes").stdout)
    assert done["written"] is True
    assert done["backups"] == ["pyproject.toml.backup"]
    assert done["files"][0]["path"] == "pyproject.toml"
    assert done["files"][0]["action"] == Action.EDIT


# -------------------- what is no project of uv's


def refused(folder: Path) -> str:
    with pytest.raises(ProjectError) as caught:
        find_place(folder)
    assert caught.value.exit_code == 4
    [problem] = caught.value.problems
    assert problem.hint
    return str(problem)


FOREIGN: dict[str, tuple[dict[str, str], list[str]]] = {
    "nothing": ({}, ["uv init"]),
    "poetry": (
        {"pyproject.toml": '[tool.poetry]\nname = "a"\n', "poetry.lock": ""},
        ["uvx migrate-to-uv", "uv sync"],
    ),
    "poetry with a project table": (
        {"pyproject.toml": '[project]\nname = "a"\n', "poetry.lock": ""},
        ["uvx migrate-to-uv"],
    ),
    "pipenv": ({"Pipfile": "", "Pipfile.lock": "{}"}, ["uvx migrate-to-uv"]),
    "requirements": (
        {"requirements.txt": "", "requirements-dev.txt": "", "requirements-docs.txt": ""},
        [
            "uv init --bare",
            "uv add --requirements requirements.txt",
            "uv add --dev --requirements requirements-dev.txt",
            "uv add --group docs --requirements requirements-docs.txt",
        ],
    ),
    "pip-tools": (
        {"requirements.in": "", "requirements.txt": ""},
        ["uv init --bare", "uv add --requirements requirements.in --constraints requirements.txt"],
    ),
    "setup.py": (
        {"setup.py": "raise SystemExit('never run')"},
        ["uv pip compile setup.py --output-file requirements.txt", "uv init --bare"],
    ),
    "setup.py beside a pyproject.toml": (
        {"setup.py": "", "pyproject.toml": "[build-system]\nrequires = []\n"},
        ["uv add --requirements requirements.txt"],
    ),
    "script": (
        {
            "job.py": "#!/usr/bin/env python\n# /// script\n# requires-python = '>=3.12'\n"
            "# dependencies = ['httpx<1', 'rich']\n# ///\nraise SystemExit\n"
        },
        ["uv init --bare --python 3.12", "uv add 'httpx<1' rich"],
    ),
    "no lock": ({"pyproject.toml": '[project]\nname = "a"\n'}, ["`uv lock`"]),
    "pdm": ({"pyproject.toml": '[project]\nname = "a"\n', "pdm.lock": ""}, ["`uv lock`"]),
    "no project table": ({"pyproject.toml": "[tool.ruff]\n"}, ["`uv lock`"]),
}


@pytest.mark.parametrize(("files", "commands"), FOREIGN.values(), ids=FOREIGN)
def test_other_projects_are_told_the_way_to_uv(
    tmp_path: Path, files: dict[str, str], commands: list[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = everything(tmp_path)
    message = refused(tmp_path)
    for command in commands:
        assert command in message
    assert everything(tmp_path) == before


def test_a_broken_pyproject_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert "line 1" in refused(tmp_path)


def test_a_member_stands_for_its_workspace(tmp_path: Path) -> None:
    member = tmp_path / "packages/api"
    member.mkdir(parents=True)
    (member / "pyproject.toml").write_text('[project]\nname = "api"\n')
    (tmp_path / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["packages/*"]\n')
    (tmp_path / "uv.lock").write_text(LOCK)
    place = find_place(member)
    assert (place.root, place.member, place.adopted) == (tmp_path, "packages/api", False)


def test_an_adopted_project_goes_before_a_nearer_one(tmp_path: Path) -> None:
    inner = tmp_path / "service"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[project]\nname = "service"\n')
    (tmp_path / "pyproject.toml").write_text('[tool.dockyard]\nproject = "service"\n')
    place = find_place(inner)
    assert (place.root, place.adopted) == (tmp_path, True)
