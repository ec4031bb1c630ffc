"""Dockyard as an installed tool: its wheel and sdist, its command, its namespace."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

import dockyard
from support.installed import Installed, run, version_of

PACKAGE = Path(dockyard.__file__).parent


def sources() -> set[str]:
    return {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_and_sdist_hold_every_file_of_the_package(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == sources()
    assert "dockyard/templates/Dockerfile.jinja" in held
    with tarfile.open(installed.sdist) as sdist:
        names = [name.partition("/")[2] for name in sdist.getnames()]
    assert {name.removeprefix("src/") for name in names if name.startswith("src/")} == sources()
    assert not any(name.startswith(("tests", "examples", "docker")) for name in names)


def test_the_sdist_installs_and_works(installed: Installed, tmp_path: Path) -> None:
    ran = run("uv", "tool", "run", "--from", str(installed.sdist), "dockyard", "-V", cwd=tmp_path)
    assert ran.stdout == f"dockyard {version_of(installed.wheel)}\n", ran.stderr


def test_the_command_lists_what_invoke_lists(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from dockyard import ns\n")
    python = str(installed.environment / "bin/python")
    listed = {}
    for name, command in {
        "invoke": (str(installed.environment / "bin/invoke"),),
        "dockyard": (installed.command,),
        "module": (python, "-m", "dockyard"),
    }.items():
        ran = run(*command, "--list", cwd=tmp_path)
        assert ran.status == 0, ran.stderr
        listed[name] = [line.strip() for line in ran.stdout.splitlines() if line.startswith("  ")]
    assert listed["dockyard"] == listed["invoke"] == listed["module"]
    assert {"build", "check", "init", "cache.push"} <= {
        line.split()[0] for line in listed["dockyard"]
    }


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -F _complete_dockyard -o default dockyard"),
        ("zsh", "compctl -K _complete_dockyard + -f dockyard"),
        ("fish", "complete --command dockyard --no-files --arguments '(__complete_dockyard)'"),
    ],
)
def test_each_shell_has_its_completion(
    installed: Installed, tmp_path: Path, shell: str, line: str
) -> None:
    ran = run(installed.command, "--print-completion-script", shell, cwd=tmp_path)
    assert ran.status == 0
    assert line in ran.stdout.splitlines()


def test_bash_completes_tasks_and_their_flags(installed: Installed, tmp_path: Path) -> None:
    script = run(installed.command, "--print-completion-script", "bash", cwd=tmp_path).stdout
    (tmp_path / "completion.bash").write_text(script)
    path = f"{installed.environment}/bin"
    for line, expected in (("dockyard cache.pu", "cache.push"), ("dockyard build --", "--push")):
        words = " ".join(f"'{word}'" for word in line.split())
        code = (
            f'PATH="{path}:$PATH"; source completion.bash; COMP_LINE="{line}"; '
            f"COMP_WORDS=({words}); COMP_CWORD=1; _complete_dockyard dockyard; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        ran = run("bash", "-c", code, cwd=tmp_path)
        assert expected in ran.stdout.split(), ran.stderr


def test_errors_and_exit_codes_are_those_of_invoke(installed: Installed, tmp_path: Path) -> None:
    unknown = run(installed.command, "nothing", cwd=tmp_path)
    assert (unknown.status, unknown.stderr) == (1, "No idea what 'nothing' is!\n")
    nowhere = run(installed.command, "build", cwd=tmp_path)
    assert nowhere.status == 4
    assert "Traceback" not in nowhere.stderr
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "a"\n[tool.dockyard]\nnone = 1\n')
    folder = tmp_path / "deeply/inside"
    folder.mkdir(parents=True)
    wrong = run(installed.command, "settings", cwd=folder)
    assert wrong.status == 3
    assert "[tool.dockyard]" in wrong.stderr


def test_advice_names_the_command_that_was_typed(installed: Installed, tmp_path: Path) -> None:
    text = '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = []\n'
    (tmp_path / "pyproject.toml").write_text(f"{text}\n[tool.dockyard]\n")
    (tmp_path / "tasks.py").write_text("from dockyard import ns\n")
    (tmp_path / "uv.lock").write_text(
        'version = 1\nrequires-python = ">=3.11"\n\n[[package]]\nname = "a"\nversion = "1"\n'
        'source = { virtual = "." }\n'
    )
    (tmp_path / "src").mkdir()
    for name in ("dockyard", "invoke"):
        ran = run(str(installed.environment / "bin" / name), "init", "--diff", cwd=tmp_path)
        assert f"→ `{name} init`" in ran.stderr


def test_modules_are_compiled_once_and_not_at_each_start(
    installed: Installed, tmp_path: Path
) -> None:
    """Neither uv, which installs without compiling, nor Invoke would write bytecode."""
    run(installed.command, "--list", cwd=tmp_path)
    [package] = installed.environment.glob("lib/*/site-packages/dockyard")
    compiled = [*(package / "__pycache__").glob("collection.*.pyc")]
    assert compiled
