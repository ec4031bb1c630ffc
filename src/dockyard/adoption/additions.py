"""What a pyproject.toml, tasks.py or noxfile.py lacks. Pure; code is parsed, and never run."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Mapping
from typing import Any

__all__ = [
    "TASKS",
    "CannotAddError",
    "noxfile_with_check",
    "tasks_with_namespace",
    "with_table",
]

TASKS = '''"""The image's tasks: `invoke --list` names them, `invoke build` builds it.

This needs Invoke and Dockyard where it runs: `uv add --dev dockyard`, then `uv run invoke …`.
Without either, `uvx dockyard build` does the same.
"""

from dockyard import ns

__all__ = ["ns"]
'''

_SESSION = '''\
@nox.session(name="build-check", venv_backend="none")
def build_check(session: nox.Session) -> None:
    """Check that the image builds, stays cached and is safe: `nox -s build-check -- --help`."""
    command = ("uv", "tool", "run", "--from", "{requirement}", "dockyard", "check")
    session.run(*command, *session.posargs, external=True)
'''

_NOXFILE = f'''"""What is checked: `nox -s build-check`."""

import nox


{_SESSION}'''

_TO_NAMESPACE = """

# The image's tasks, as `invoke dockyard.build` and so on.
from dockyard import ns as _dockyard  # noqa: E402

{name}.add_collection(_dockyard, name="dockyard")
"""

_TO_TASKS = """

# These tasks, and the image's as `invoke dockyard.build` and so on.
import sys  # noqa: E402

from dockyard import ns as _dockyard  # noqa: E402
from invoke import Collection  # noqa: E402

ns = Collection.from_module(sys.modules[__name__])
ns.add_collection(_dockyard, name="dockyard")
"""


class CannotAddError(ValueError):
    """The file cannot be parsed, so nobody knows where lines would go; the text says why."""


def with_table(text: str, values: Mapping[str, Any]) -> str:
    """Add ``[tool.dockyard]`` with these values at the end of a pyproject.toml that has none.

    Nothing that is there is laid out anew. Raises ValueError where it would not be valid.
    """
    import tomlkit

    table = tomlkit.dumps({"tool": {"dockyard": values}}) if values else "[tool.dockyard]\n"
    table = table.replace("[tool]\n", "").lstrip("\n")
    ending = "\r\n" if "\r\n" in text else "\n"
    after = text.rstrip() + ending * 2 + table.replace("\n", ending)
    before = tomllib.loads(text)
    wanted = {**before, "tool": {**before.get("tool", {}), "dockyard": {**values}}}
    if tomllib.loads(after) != wanted:
        raise ValueError("it would change what else is there")
    return after


def _parse(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise CannotAddError(f"it is no valid Python: {error}") from error


def _imported(tree: ast.Module) -> set[str]:
    """Name the modules at the top of what the file imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def tasks_with_namespace(text: str) -> str:
    """Add Dockyard's tasks to a tasks.py: as ``dockyard``, beside those that it has.

    A file that imports Dockyard is returned as it is. Raises CannotAddError.
    """
    tree = _parse(text)
    if "dockyard" in _imported(tree):
        return text
    if not any(not isinstance(node, ast.Expr) for node in tree.body):
        return _ended(text) + ("\n" if text.strip() else "") + "from dockyard import ns\n"
    # Invoke takes either name, in this order.
    name = next((one for one in ("ns", "namespace") if one in _assigned(tree)), None)
    return _ended(text) + (_TO_NAMESPACE.format(name=name) if name else _TO_TASKS)


def _assigned(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        found.update(one.id for one in targets if isinstance(one, ast.Name))
    return found


def noxfile_with_check(text: str | None, requirement: str) -> str:
    """Add the session ``build-check`` to a noxfile, or make one where there is none (None).

    ``requirement`` is what uv runs the checks from. A file that has such a nox session is
    returned as it is. Raises CannotAddError.
    """
    if text is None:
        return _NOXFILE.replace("{requirement}", requirement)
    tree = _parse(text)
    if _has_session(tree, "build-check"):
        return text
    session = _SESSION.replace("{requirement}", requirement)
    lines = _ended(text).splitlines(keepends=True)
    if not any(isinstance(node, ast.Import) and _names_nox(node) for node in tree.body):
        place = _after_preamble(tree)
        lead = ["\n"] if place and lines[place - 1].strip() else []
        lines[place:place] = [*lead, "import nox\n"]
        session = f"\n{session}"
    gap = "\n\n" if lines else ""
    return "".join(lines).rstrip("\n") + f"\n{gap}" + session.lstrip("\n")


def _names_nox(node: ast.Import) -> bool:
    return any(alias.name == "nox" and alias.asname in (None, "nox") for alias in node.names)


def _has_session(tree: ast.Module, name: str) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name == name:
                return True
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and any(
                    word.arg == "name"
                    and isinstance(word.value, ast.Constant)
                    and word.value.value == name
                    for word in decorator.keywords
                ):
                    return True
    return False


def _after_preamble(tree: ast.Module) -> int:
    """Return the line (from 0) after the docstring and the imports from ``__future__``."""
    end = 0
    for node in tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not (docstring or future):
            break
        end = node.end_lineno or end
    return end
