"""The layers' requirements as a build context: exported here, so that no step of a build does it.

An empty builder then needs no base image to learn which packages a layer has: after a lock change
that no layer feels, such as the project's own version, it reads nothing. The Dockerfile stays whole
without this. Where its stage would write anything else, or uv is not here, the stage does it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.dockerfile import recipe, render
from dockyard.known_project import Facts, fingerprint_of
from dockyard.plan_files import EXPORT_OPTIONS, exact_version, plan_files, writes_the_plan
from dockyard.scratch import ScratchFolder
from dockyard.state import STATE_FOLDER, State, prepare_state_folder
from dockyard.unfinished import is_abandoned, unfinished_path

if TYPE_CHECKING:
    from dockyard.layers import LayerPlan
    from dockyard.settings import Settings

__all__ = ["plan_context"]

FOLDER = "plans"
# A team's branches go back and forth between a few locks.
_KEPT = 8
_SECONDS_OF_EXPORT = 20


def plan_context(
    settings: Settings,
    plan: LayerPlan | None,
    facts: Facts,
    state: State,
    environment: Mapping[str, str],
    *,
    write: bool = True,
) -> str | None:
    """Return the folder with the plan's files, relative to the root; None where the stage runs.

    uv has to be here in the very version that the image of the settings has: another may export
    the same lock in other words, and then every layer would be installed again. Without ``write``
    only a folder that is there already is returned. Errors are left for the stage to tell.
    """
    version = exact_version(settings.uv_image)
    uv = _find_uv(environment) if plan and version else None
    if plan is None or version is None or uv is None:
        return None
    project = settings.root / settings.project
    try:
        text = (settings.root / settings.dockerfile).read_text(encoding="utf-8")
        inputs = [(project / name).read_bytes() for name in ("pyproject.toml", "uv.lock")]
        status = uv.stat()
    except (OSError, UnicodeDecodeError):
        return None
    binary = [str(uv), status.st_size, status.st_mtime_ns]
    what = recipe(settings, settings.image or facts.known.name, facts.known.local)
    fingerprint = fingerprint_of(text, repr(what), version, binary, *inputs)
    remembered = state.recall("plan", fingerprint)
    if isinstance(remembered, dict):
        name = remembered.get("folder")
        if not isinstance(name, str):
            return None
        if _is_whole(settings.root / STATE_FOLDER / FOLDER / name):
            return f"{STATE_FOLDER}/{FOLDER}/{name}"
    if not write:
        return None
    name = None
    if writes_the_plan(text, render(what, plan)):
        exported = _export(uv, version, *inputs, extras=settings.extras, groups=settings.groups)
        if exported is not None:
            texts = (one.decode("utf-8") for one in inputs)
            name = _write(settings.root, plan_files(plan, exported, *texts))
            if name is None:
                return None
    state.remember("plan", fingerprint, {"folder": name})
    return f"{STATE_FOLDER}/{FOLDER}/{name}" if name else None


def _find_uv(environment: Mapping[str, str]) -> Path | None:
    """Find uv on the path, or beside this Python, where its wheel puts it."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("uv", path=os.pathsep.join([environment.get("PATH", ""), beside]))
    return Path(found).resolve() if found else None


def _export(
    uv: Path,
    version: str,
    project: bytes,
    lock: bytes,
    *,
    extras: tuple[str, ...],
    groups: tuple[str, ...],
) -> str | None:
    """Run ``uv export`` as the stage does: on the two files alone, and with no configuration.

    Returns None where that fails, or uv is not of the version.
    """
    command = ["export", *EXPORT_OPTIONS]
    for extra in extras:
        command += ["--extra", extra]
    for group in groups:
        command += ["--group", group]
    try:
        with ScratchFolder() as folder:
            (folder / "pyproject.toml").write_bytes(project)
            (folder / "uv.lock").write_bytes(lock)
            own = {
                "HOME": str(folder),
                "PATH": os.defpath,
                "UV_OFFLINE": "1",
                "UV_PYTHON_DOWNLOADS": "never",
                "XDG_CONFIG_DIRS": str(folder),
                "XDG_CONFIG_HOME": str(folder),
            }
            told, done = (
                process.run(
                    [str(uv), *arguments],
                    environment=own,
                    directory=folder,
                    timeout=_SECONDS_OF_EXPORT,
                )
                for arguments in (["--version"], [*command, "--project", str(folder)])
            )
    except OSError:
        return None
    right = told.succeeded and told.stdout.split()[1:2] == [version]
    return done.stdout if right and done.succeeded else None


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _is_whole(folder: Path) -> bool:
    """Whether a folder holds what it is named for; it is then kept longer than others."""
    found: dict[str, bytes] = {}
    try:
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if not path.is_dir():
                found[name] = path.read_bytes()
            elif path.parent != folder and not any(path.iterdir()):
                found[f"{name}/"] = b""
        if _digest(found) != folder.name:
            return False
        os.utime(folder)
    except OSError:
        return False
    return True


def _write(root: Path, files: Mapping[str, str]) -> str | None:
    """Write the files below a folder named for them, and drop those that were long not used.

    Owner and modes are part of a mount's cache key (BuildKit, ``cache/contenthash``): buildx sends
    root as the owner, the modes are set here whatever the umask. Returns None where nothing can be
    written.
    """
    content = {path: text.encode() for path, text in files.items()}
    name = _digest(content)
    try:
        parent = prepare_state_folder(root) / FOLDER
        parent.mkdir(exist_ok=True)
        place = parent / name
        if _is_whole(place):
            return name
        _clear_unfinished(parent)
        made = unfinished_path(place)
        shutil.rmtree(made, ignore_errors=True)
        try:
            made.mkdir()
            for path, data in content.items():
                target = made / path
                folder = target if path.endswith("/") else target.parent
                folder.mkdir(parents=True, exist_ok=True)
                if folder != target:
                    target.write_bytes(data)
                    target.chmod(0o644)
            for one in (made, *(one for one in made.rglob("*") if one.is_dir())):
                one.chmod(0o755)
            shutil.rmtree(place, ignore_errors=True)
            made.rename(place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        _drop_old(parent)
    except OSError:
        return None
    return name


def _clear_unfinished(parent: Path) -> None:
    """Remove what killed processes were writing."""
    for one in parent.iterdir():
        match = re.fullmatch(r"\.[0-9a-f]+\.(\d+)", one.name)
        if match and is_abandoned(one, int(match[1])):
            shutil.rmtree(one, ignore_errors=True)


def _drop_old(parent: Path) -> None:
    """Keep the folders that were used last."""
    with contextlib.suppress(OSError):
        used = sorted(parent.iterdir(), key=lambda one: -one.stat().st_mtime)
        for one in used[_KEPT:]:
            shutil.rmtree(one, ignore_errors=True)
