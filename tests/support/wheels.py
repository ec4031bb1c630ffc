"""Small packages made on the spot: wheels, sdists and projects, the same bytes every time.

Their content is random bytes of a seed, so a package's size is what travels: nothing compresses it.
"""

from __future__ import annotations

import gzip
import inspect
import io
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["make_project", "make_sdist", "make_wheel", "normalized", "run_uv"]


def normalized(name: str) -> str:
    """A project's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


# The sources of these two are also the build backend of sdists and projects, so what they need
# beyond its imports they import themselves.
def core_metadata(name: str, version: str, requires: Sequence[str]) -> bytes:
    """Return the METADATA or PKG-INFO file; ``requires`` are its ``Requires-Dist`` lines."""
    lines = ["Metadata-Version: 2.3", f"Name: {name}", f"Version: {version}"]
    lines += ["Requires-Python: >=3.11", *(f"Requires-Dist: {each}" for each in requires), ""]
    return "\n".join(lines).encode()


def write_wheel(
    directory: Path, name: str, version: str, files: Mapping[str, bytes], requires: Sequence[str]
) -> Path:
    """Write a pure-Python wheel of ``files`` (path in the wheel → content); return its path."""
    import base64
    import hashlib
    import zipfile

    distribution = re.sub(r"[-_.]+", "_", name).lower()
    info = f"{distribution}-{version}.dist-info"
    tags = ["Wheel-Version: 1.0", "Generator: dockyard-tests", "Root-Is-Purelib: true"]
    members = {
        **files,
        f"{info}/METADATA": core_metadata(name, version, requires),
        f"{info}/WHEEL": "\n".join([*tags, "Tag: py3-none-any", ""]).encode(),
    }
    record = []
    for member, content in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.append(f"{member},sha256={digest},{len(content)}\n")
    members[f"{info}/RECORD"] = "".join([*record, f"{info}/RECORD,,\n"]).encode()
    path = directory / f"{distribution}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in members.items():
            # Stored, not deflated: zlib's output differs between its versions.
            entry = zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            wheel.writestr(entry, content)
    return path


BACKEND = '''"""A PEP 517 backend that needs nothing but Python."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    source = Path("src")
    found = [path for path in sorted(source.rglob("*")) if path.is_file()]
    files = {path.relative_to(source).as_posix(): path.read_bytes() for path in found}
    return _wheel(wheel_directory, {k: v for k, v in files.items() if "__pycache__" not in k})


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory, {"_in_tree.pth": str(Path("src").resolve()).encode()})


def _wheel(directory, files):
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    requires = list(project["dependencies"])
    for extra, members in project.get("optional-dependencies", {}).items():
        requires += [f"{member} ; extra == '{extra}'" for member in members]
    return write_wheel(Path(directory), project["name"], project["version"], files, requires).name


'''

PYPROJECT = """\
[build-system]
requires = []
build-backend = "in_tree"
backend-path = ["build_backend"]

[project]
name = "{name}"
version = "{version}"
requires-python = ">=3.11"
dependencies = [{dependencies}]
"""


def make_wheel(
    directory: Path,
    name: str,
    version: str,
    *,
    size: int,
    requires: Sequence[str] = (),
    seed: int | str = 0,
) -> Path:
    """Make a wheel whose import package holds ``size`` incompressible bytes in ``payload.bin``.

    ``requires`` are its ``Requires-Dist`` lines. Equal arguments give equal bytes.
    """
    files = _package_files(name, version, size, seed)
    return write_wheel(directory, name, version, files, requires)


def make_sdist(
    directory: Path,
    name: str,
    version: str,
    *,
    size: int,
    requires: Sequence[str] = (),
    seed: int | str = 0,
) -> Path:
    """Make an sdist of the same content as :func:`make_wheel`'s; building it downloads nothing."""
    root = f"{normalized(name).replace('-', '_')}-{version}"
    package = {f"src/{k}": v for k, v in _package_files(name, version, size, seed).items()}
    built = _build_files(name, version, requires)
    members = {**built, **package, "PKG-INFO": core_metadata(name, version, requires)}
    path = directory / f"{root}.tar.gz"
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=0, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for member, content in sorted(members.items()):
            entry = tarfile.TarInfo(f"{root}/{member}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def make_project(
    directory: Path,
    *,
    name: str,
    dependencies: Mapping[str, str],
    index_url: str,
    extras: Mapping[str, Mapping[str, str]] | None = None,
    version: str = "0.1.0",
) -> Path:
    """Write a project of ``dependencies`` (name → specifier, such as ``==1.0``) and lock it.

    ``extras`` are further such mappings by the extra's name. Calling it again on the same
    directory rewrites and relocks; uv keeps what still fits. Returns ``directory``.
    """
    module = normalized(name).replace("-", "_")
    text = _build_files(name, version, _requirements(dependencies))
    if extras:
        lines = [f"{key} = [{_quoted(_requirements(value))}]\n" for key, value in extras.items()]
        text["pyproject.toml"] += "".join(["\n[project.optional-dependencies]\n", *lines]).encode()
    kept = ["*", "!build_backend", "!pyproject.toml", "!src", "!uv.lock", "**/__pycache__", ""]
    text[".dockerignore"] = "\n".join(kept).encode()
    text[f"src/{module}/__init__.py"] = f'__version__ = "{version}"\n'.encode()
    for member, content in text.items():
        target = directory / member
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    run_uv("lock", "--no-cache", "--default-index", index_url, cwd=directory)
    return directory


def run_uv(*arguments: str, cwd: Path | None = None, timeout_s: float = 300) -> str:
    """Run uv without any configuration of the user's; return standard output.

    It reaches this machine and private networks only. RuntimeError with its standard error when it
    fails.
    """
    found = shutil.which("uv")
    command = [found] if found else [sys.executable, "-m", "uv"]
    foreign = ("UV_", "PIP_", "XDG_", "VIRTUAL_ENV", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    environment = {k: v for k, v in os.environ.items() if not k.upper().startswith(foreign)}
    environment |= {
        "ALL_PROXY": "http://127.0.0.1:9",  # nothing listens there
        "NO_PROXY": "localhost,127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        "XDG_CONFIG_HOME": os.devnull,
        "XDG_CONFIG_DIRS": os.devnull,
    }
    done = subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    if done.returncode:
        raise RuntimeError(f"uv {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def _package_files(name: str, version: str, size: int, seed: int | str) -> dict[str, bytes]:
    module = normalized(name).replace("-", "_")
    return {
        f"{module}/__init__.py": f'__version__ = "{version}"\n'.encode(),
        f"{module}/payload.bin": random.Random(f"{name} {version} {seed}").randbytes(size),
    }


def _build_files(name: str, version: str, requires: Sequence[str]) -> dict[str, bytes]:
    backend = BACKEND + inspect.getsource(core_metadata) + "\n\n" + inspect.getsource(write_wheel)
    pyproject = PYPROJECT.format(name=name, version=version, dependencies=_quoted(requires))
    return {
        "build_backend/in_tree.py": backend.encode(),
        "pyproject.toml": pyproject.encode(),
    }


def _requirements(dependencies: Mapping[str, str]) -> list[str]:
    return [f"{name}{specifier}" for name, specifier in dependencies.items()]


def _quoted(requirements: Sequence[str]) -> str:
    return ", ".join(f'"{each}"' for each in requirements)
