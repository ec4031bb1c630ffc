"""Lock the example projects of this folder and record what `uv export` says of them.

Run by hand, with uv and git on PATH and PyPI reachable::

    .venv/bin/python tests/data/projects/regenerate.py [--lock] [shape ...]

Without ``--lock`` the stored locks are kept and only ``expected-<case>.txt`` is written: one file
for each case of ``cases.json``, the output of ``uv export --frozen`` without workspace members,
default groups and hashes. Its lines keep their markers; the tests evaluate them for a target.

Hosts that do not exist are played by this script while it locks: ``https://git.example`` (git
repositories made here, reached through git's ``insteadOf``), ``https://wheels.example`` and
``https://other.example`` (package indexes without sizes, served on the loopback interface; their
addresses are replaced in the lock). The
locks of ``revision-<n>`` are made by the uv that wrote that revision, from PyPI.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import http.server
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from support.mutations import OTHER_URL, WHEELS

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parents[2] / "examples" / "mushroom"
DATES = {"GIT_AUTHOR_DATE": "2025-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2025-01-01T00:00:00Z"}
REPOSITORIES = {
    "greeting": ("", ["six"]),
    "farewell": ("", []),
    "toolbox": ("python", ["idna"]),
}
WHEELS_HOST = "https://wheels.example"
UV_VERSIONS = {
    "revision-0": "0.5.31",
    "revision-1": "0.6.5",
    "revision-2": "0.7.22",
    "revision-3": "0.8.24",
}
PARTS = 220
MARKERS = (
    "python_version < '3.13'",
    "python_full_version >= '3.12.1'",
    "sys_platform == 'win32'",
    "platform_machine == 'x86_64'",
    "sys_platform == 'linux' and platform_machine != 'aarch64'",
    "implementation_name == 'cpython' or os_name == 'nt'",
)


def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=env or dict(os.environ), check=False, text=True, capture_output=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} in {cwd}:\n{done.stderr}")
    return done.stdout


def pyproject(name: str, version: str, dependencies: list[str]) -> str:
    return (
        f'[project]\nname = "{name}"\nversion = "{version}"\nrequires-python = ">=3.9"\n'
        f"dependencies = {json.dumps(dependencies)}\n"
    )


def make_repositories(folder: Path) -> None:
    for name, (subdirectory, dependencies) in REPOSITORIES.items():
        repository = folder / f"{name}.git"
        (repository / subdirectory).mkdir(parents=True)
        text = pyproject(name, "1.0.0", dependencies)
        (repository / subdirectory / "pyproject.toml").write_text(text)
        git = ["git", "-c", "user.name=Example", "-c", "user.email=example@git.example"]
        run("git", "init", "--quiet", "--initial-branch=main", cwd=repository)
        run("git", "add", ".", cwd=repository)
        environment = {**os.environ, **DATES}
        run(*git, "commit", "--quiet", "--message=First", cwd=repository, env=environment)
        run("git", "tag", "v1", cwd=repository)


def make_wheel(folder: Path, name: str, version: str, tag: str, more: str = "") -> Path:
    """Make a wheel without code; ``more`` are further lines of its METADATA."""
    path = folder / f"{name.replace('-', '_')}-{version}-{tag}.whl"
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    members = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member), text)
    return path


def make_archive(folder: Path) -> None:
    with tarfile.open(folder / "archive-1.0.tar.gz", "w:gz") as archive:
        files = {
            "PKG-INFO": "Metadata-Version: 2.2\nName: archive\nVersion: 1.0\n",
            "pyproject.toml": pyproject("archive", "1.0", []),
        }
        for name, text in files.items():
            member = tarfile.TarInfo(f"archive-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def make_indexes(folder: Path) -> None:
    tag = "cp311-abi3-manylinux_2_28_x86_64"
    for flavour, tags in {"cpu": (tag, "py3-none-any"), "gpu": (tag,)}.items():
        package = folder / flavour / "simple" / "tensors"
        package.mkdir(parents=True)
        links = []
        for tag in tags:
            wheel = make_wheel(package, "tensors", f"1.0+{flavour}", tag)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            links.append(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>')
        (package / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(links))
    make_large_index(folder / "large" / "simple")
    make_small_index(folder / "small" / "simple")


def make_small_index(folder: Path) -> None:
    links: dict[str, list[str]] = {}
    for name, version, requires in WHEELS:
        (folder / name).mkdir(parents=True, exist_ok=True)
        lines = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        lines += "Provides-Extra: fast\n"
        wheel = make_wheel(folder / name, name, version, "py3-none-any", lines)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        links.setdefault(name, []).append(
            f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>'
        )
        (folder / name / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(links[name]))


def make_large_index(folder: Path) -> None:
    """Make packages that need each other at random: under markers, with extras, in circles."""
    chance = random.Random(0)
    for number in range(PARTS):
        name = f"part-{number:03}"
        lines = []
        for extra in ("", "", "first", "second"):
            other = f"part-{chance.randrange(PARTS):03}" + chance.choice(["", "", "[first]"])
            conditions = [f"extra == '{extra}'"] if extra else []
            if chance.random() < 0.3:
                conditions.append(f"({chance.choice(MARKERS)})")
            condition = f" ; {' and '.join(conditions)}" if conditions else ""
            if extra or chance.random() < 0.5:
                lines.append(f"Requires-Dist: {other}{condition}\n")
        lines += [f"Provides-Extra: {extra}\n" for extra in ("first", "second")]
        package = folder / name
        package.mkdir(parents=True)
        links = []
        # A multiple of three has no wheel for every machine; of ten, more than one version.
        tag = "py3-none-any" if number % 3 else "cp311-abi3-manylinux_2_28_x86_64"
        for version in ("1.0", "2.0") if number % 10 == 0 else ("1.0",):
            wheel = make_wheel(package, name, version, tag, "".join(lines))
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            links.append(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>')
        (package / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(links))


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's
        pass


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def lock(shape: Path, workspace: Path) -> None:
    """Write the shape's ``uv.lock``, resolved anew in a copy of it."""
    project = workspace / shape.name
    shutil.copytree(shape, project, ignore=shutil.ignore_patterns("uv.lock", "expected-*"))
    if shape.name in ("paths", "flat"):
        wheels = project / "wheels" if shape.name == "flat" else project
        wheels.mkdir(exist_ok=True)
        make_archive(wheels)
        make_wheel(wheels, "wheel-file", "2.0", "py3-none-any")
    server = serve(workspace / "indexes")
    local = f"http://127.0.0.1:{server.server_port}"
    # The host's name tells two indexes of one server apart.
    other = f"http://localhost:{server.server_port}/small/simple"
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text().replace(WHEELS_HOST, local).replace(OTHER_URL, other))
    environment = {
        **os.environ,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{(workspace / 'repositories').as_uri()}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://git.example/",
        "GIT_ALLOW_PROTOCOL": "file:https",
        "UV_CACHE_DIR": str(workspace / "cache"),
    }
    version = UV_VERSIONS.get(shape.name)
    older = ("tool", "run", "--from", f"uv=={version}", "uv") if version else ()
    run("uv", *older, "lock", cwd=project, env=environment)
    server.shutdown()
    text = (project / "uv.lock").read_text().replace(other, OTHER_URL)
    text = re.sub(r"http://(127\.0\.0\.1|localhost):\d+", WHEELS_HOST, text)
    (shape / "uv.lock").write_text(text)


def export(shape: Path, case: dict[str, list[str]]) -> str:
    options = ["--frozen", "--no-emit-workspace", "--no-default-groups"]
    options += ["--no-header", "--no-annotate", "--no-hashes"]
    options += [f"--extra={extra}" for extra in case.get("extras", [])]
    options += [f"--group={group}" for group in case.get("groups", [])]
    return run("uv", "export", *options, cwd=shape)


def main() -> None:
    cases = json.loads((HERE / "cases.json").read_text())
    parser = argparse.ArgumentParser(description="Regenerate locks and expected exports.")
    parser.add_argument("--lock", action="store_true", help="resolve anew, from PyPI")
    parser.add_argument("shapes", nargs="*", metavar="shape", default=list(cases))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        make_repositories(workspace / "repositories")
        make_indexes(workspace / "indexes")
        for shape in arguments.shapes:
            # The example's lock is the example's own: only what it exports is kept here.
            if arguments.lock and shape != EXAMPLE.name:
                lock(HERE / shape, workspace)
            for case, choice in cases[shape].items():
                expected = HERE / shape / f"expected-{case}.txt"
                expected.parent.mkdir(exist_ok=True)
                folder = EXAMPLE if shape == EXAMPLE.name else HERE / shape
                expected.write_text(export(folder, choice))
                print(expected.relative_to(HERE))


if __name__ == "__main__":
    main()
