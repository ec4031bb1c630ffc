"""A small workspace, and edits of it after which uv.lock still fits or does not.

The stored lock of tests/data/projects/freshness is for the unit tests; the engine tests lock the
same project anew and ask uv what it says of each edit.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

__all__ = ["FRESHNESS", "INDEX_URL", "MUTATIONS", "OTHER_URL", "WHEELS", "Mutation", "apply"]

FRESHNESS = Path(__file__).parents[1] / "data" / "projects" / "freshness"
INDEX_URL = "https://wheels.example/small/simple"
OTHER_URL = "https://other.example/simple"
# Name, version, and what its metadata requires; regenerate.py makes the same.
WHEELS = (
    ("alpha", "1.0", ("gamma; extra == 'fast'",)),
    ("alpha", "2.0", ("gamma; extra == 'fast'",)),
    ("beta-package", "1.4", ()),
    ("gamma", "1.0", ("epsilon",)),
    ("delta", "1.0", ()),
    ("delta", "3.0", ()),
    ("epsilon", "1.0", ()),
    ("epsilon", "2.0", ()),
    ("pinned", "1.0", ()),
)


class Mutation(NamedTuple):
    """An edit of one file: every ``old`` becomes ``new``, or ``new`` is a whole file's text.

    ``stale``: what `uv lock --check` says. ``noticed``: what Dockyard says, where it cannot know.
    """

    file: str
    old: str
    new: str
    stale: bool
    noticed: bool = True


def root(old: str, new: str, stale: bool, noticed: bool = True) -> Mutation:
    return Mutation("pyproject.toml", old, new, stale, noticed)


def member(old: str, new: str, stale: bool) -> Mutation:
    return Mutation("packages/member/pyproject.toml", old, new, stale)


UV = "[tool.uv]\n"
PROJECT = "[project]\n"
EXTRAS = "[project.optional-dependencies]\n"
GROUPS = "[dependency-groups]\n"
EXCLUSIVE = "{ extra = 'one' }, { extra = 'two' }"
LINUX = "[\"sys_platform == 'linux'\"]"
METADATA = '[{ name = "delta", version = "1.0", requires-dist = [] }]'

MUTATIONS = {
    "nothing": root("", "", False),
    # What does not matter.
    "description": root(PROJECT, f'{PROJECT}description = "x"\n', False),
    "scripts": root(EXTRAS, f'[project.scripts]\nrun = "service:main"\n\n{EXTRAS}', False),
    "foreign-table": root(UV, f"[tool.ruff]\nline-length = 100\n\n{UV}", False),
    "default-groups": root(UV, f'{UV}default-groups = ["lint"]\n', True),
    "blanks": root('"alpha[fast]>=1,<3"', '"alpha [ fast ] >= 1, < 3"', False),
    "spelling": root('"beta-package', '"Beta_Package', False),
    "version-spelling": root(">=1,<3", ">=1.0,<3.0.0", False),
    "specifier-order": root(">=1,<3", "<3,>=1", False),
    "order": root('"local",\n    "member",', '"member",\n    "local",', False),
    "marker-spelling": root("sys_platform == 'linux'", "'linux' == sys_platform", False),
    "marker-parentheses": root("sys_platform == 'linux'", "(sys_platform=='linux')", False),
    "marker-of-no-python": root('    "local"', "    \"local; python_version >= '3.8'\"", False),
    "extra-spelling": root("\none =", "\nOne =", False),
    # The group would be the same, but it no longer conflicts with what lint conflicts with.
    "inlined-group": root('{ include-group = "lint" }', '"delta"', True),
    # Dependencies.
    "added": root('"local",', '"local",\n    "delta",', True),
    "removed": root('    "local",\n', "", True),
    "specifier": root(">=1,<3", ">=1,<2", True),
    "specifier-that-fits": root(">=1,<3", ">=1,<4", True),
    "specifier-removed": root(">=1,<3", "", True),
    "dependency-extra-removed": root("alpha[fast]", "alpha", True),
    "dependency-extra-added": root("alpha[fast]", "alpha[fast,other]", True),
    "marker-removed": root("; sys_platform == 'linux'", "", True),
    "marker-changed": root("sys_platform == 'linux'", "sys_platform == 'darwin'", True),
    "marker-added": root('    "local"', "    \"local; python_version < '3.13'\"", True),
    # Extras.
    "extra-added": root(EXTRAS, f'{EXTRAS}three = ["epsilon"]\n', True),
    "empty-extra-added": root(EXTRAS, f"{EXTRAS}three = []\n", True),
    "extra-removed": root('four = ["epsilon"]\n', "", True),
    "extra-renamed": root("four =", "five =", True),
    "extra-changed": root('four = ["epsilon"]', 'four = ["epsilon", "gamma"]', True),
    "extra-moved": root('four = ["epsilon"]', "four = []", True),
    # Groups.
    "group-added": root(GROUPS, f'{GROUPS}more = ["epsilon"]\n', True),
    "empty-group-added": root(GROUPS, f"{GROUPS}more = []\n", True),
    "group-removed": root(', { include-group = "lint" }]\nlint = ["delta"]', "]", True),
    "group-changed": root('lint = ["delta"]', 'lint = ["delta", "epsilon"]', True),
    "group-include-removed": root(', { include-group = "lint" }', "", True),
    "dev-dependencies": root(UV, f'{UV}dev-dependencies = ["epsilon"]\n', True),
    # The project.
    "name": root('name = "service"', 'name = "other"', True),
    "version": root('version = "0.1.0"', 'version = "0.2.0"', True),
    "python-narrowed": root('">=3.11"', '">=3.11.2"', True),
    # The other member's range is narrower.
    "python-widened": root('">=3.11"', '">=3.10"', False),
    "python-bounded": root('">=3.11"', '">=3.11,<4"', True),
    "python-spelling": root('">=3.11"', '">=3.11.0"', False),
    "python-excluded": root('">=3.11"', '">=3.11,!=3.11.1"', False),
    "becomes-a-package": root(UV, f"{UV}package = true\n", True),
    "build-system": root(UV, f'[build-system]\nrequires = ["hatchling"]\n\n{UV}', True),
    # Sources.
    "editable": root('{ path = "local" }', '{ path = "local", editable = true }', True),
    "to-git": root('{ path = "local" }', '{ git = "https://git.example/local.git" }', True),
    "from-path": root('local = { path = "local" }\n', "", True),
    "to-url": root('"delta"', '"delta @ https://files.example/delta-1.0-py3-none-any.whl"', True),
    "pinned-index": root("[tool.uv.sources]", '[tool.uv.sources]\nalpha.index = "wheels"', True),
    "slash-of-the-pin": root(f'url = "{OTHER_URL}"', f'url = "{OTHER_URL}/"', True),
    "index-of-the-pin": root(OTHER_URL, INDEX_URL, True),
    # Its index may be given by the environment as well, where Dockyard does not look.
    "index": root(INDEX_URL, f"{INDEX_URL}/other", True, noticed=False),
    # Settings of uv.
    "constraint-added": root('["gamma<9"]', '["gamma<9", "epsilon<9"]', True),
    "constraint-changed": root('["gamma<9"]', '["gamma<8"]', True),
    "constraint-removed": root('constraint-dependencies = ["gamma<9"]\n', "", True),
    "constraint-spelling": root('["gamma<9"]', '["Gamma < 9.0"]', False),
    "override-changed": root("epsilon==1.0", "epsilon==2.0", True),
    "override-removed": root('override-dependencies = ["epsilon==1.0"]\n', "", True),
    "build-constraint": root(UV, f'{UV}build-constraint-dependencies = ["delta<9"]\n', True),
    "excluded-dependency": root(UV, f'{UV}exclude-dependencies = ["epsilon"]\n', True),
    "conflict-added": root(
        EXCLUSIVE, EXCLUSIVE + "], [{ extra = 'one' }, { extra = 'four' }", True
    ),
    "conflict-removed": root(f"    [{EXCLUSIVE}],\n", "", True),
    "conflict-order": root(EXCLUSIVE, "{ extra = 'two' }, { extra = 'one' }", False),
    "environments": root(UV, f"{UV}environments = {LINUX}\n", True),
    "required-environments": root(UV, f"{UV}required-environments = {LINUX}\n", True),
    "resolution": root(UV, f'{UV}resolution = "lowest-direct"\n', True),
    "resolution-default": root(UV, f'{UV}resolution = "highest"\n', False),
    "prerelease": root(UV, f'{UV}prerelease = "allow"\n', True),
    "fork-strategy": root(UV, f'{UV}fork-strategy = "fewest"\n', True),
    "exclude-newer": root(UV, f'{UV}exclude-newer = "2030-01-01T00:00:00Z"\n', True),
    "dependency-metadata": root(UV, f"{UV}dependency-metadata = {METADATA}\n", True),
    # The workspace.
    "member-dependency": member('"gamma"', '"gamma", "delta"', True),
    "member-specifier": member('"gamma"', '"gamma<9"', True),
    "member-description": member(PROJECT, f'{PROJECT}description = "x"\n', False),
    "member-version": member('version = "0.3.0"', 'version = "0.4.0"', True),
    "member-renamed": member('name = "member"', 'name = "another"', True),
    "member-added": Mutation(
        "packages/new/pyproject.toml",
        "",
        '[project]\nname = "new"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n',
        True,
    ),
    "member-excluded": Mutation(
        "packages/left-out/pyproject.toml",
        "",
        '[project]\nname = "left-out"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n',
        False,
    ),
    # An error of uv's, unless git ignores all that is in the folder.
    "folder-without-project": Mutation("packages/notes/README.md", "", "x\n", True, False),
    "hidden-folder": Mutation("packages/.cache/README.md", "", "x\n", False),
    "hidden-project": Mutation(
        "packages/.hidden/pyproject.toml",
        "",
        '[project]\nname = "hidden"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n',
        True,
    ),
    "member-not-managed": Mutation(
        "packages/foreign/pyproject.toml",
        "",
        '[project]\nname = "foreign"\nversion = "0.1.0"\n\n[tool.uv]\nmanaged = false\n',
        False,
    ),
    "member-removed": root('members = ["packages/*"]', "members = []", True),
}


def apply(mutation: Mutation, source: Path, folder: Path) -> None:
    """Copy the project and edit it; an edit that finds nothing to change is a mistake."""
    shutil.copytree(source, folder)
    path = folder / mutation.file
    if not path.exists():
        path.parent.mkdir(parents=True)
        path.write_text(mutation.new)
        return
    text = path.read_text()
    if mutation.old not in text:
        raise ValueError(f"{mutation.file} has no {mutation.old!r}")
    path.write_text(text.replace(mutation.old, mutation.new) if mutation.old else text)
