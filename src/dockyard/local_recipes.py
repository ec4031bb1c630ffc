"""How a stand-in image is made from Debian's packages or a wheel, without any image registry.

Each recipe leaves a tarball of a file system, which ``docker import`` makes an image of.
"""

from __future__ import annotations

import os
import re
import sys
import tarfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dockyard import process
from dockyard.engine import diagnose_disk, diagnose_engine
from dockyard.errors import DockyardError, ImageUnavailableError
from dockyard.stand_ins import stand_in_for

__all__ = [
    "LABEL_MADE",
    "LABEL_REFERENCE",
    "LocalImage",
    "add_files",
    "debian_suite",
    "import_image",
    "local_image",
    "make_debian_tree",
    "make_python",
    "make_uv",
    "run_recipe",
]

LABEL_REFERENCE = "dev.dockyard.stand-in-for"
LABEL_MADE = "dev.dockyard.made"

# The only Python that a Debian release has.
DEBIAN_PYTHONS = {"3.11": "bookworm", "3.13": "trixie"}
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What Docker's own slim images leave out as well.
LEFT_OUT = ("doc", "groff", "info", "lintian", "linda", "locale", "man")
UV_PLATFORMS = {"amd64": "x86_64-unknown-linux-musl", "arm64": "aarch64-unknown-linux-musl"}
FILE_TIME = 315532800  # 1980-01-01, so that the same files make the same layer
SHOWN_LINES = 20


@dataclass(frozen=True)
class LocalImage:
    """An image that can be made here: what for, under which name, its kind and version."""

    reference: str
    name: str
    kind: str
    version: str


def local_image(reference: str) -> LocalImage | None:
    """Describe the stand-in of a published image; None where nothing can stand in for it."""
    name = stand_in_for(reference)
    if name is None:
        return None
    kind, _, version = name.rpartition("/")[2].partition(":")
    return LocalImage(reference, name, kind, version)


def debian_suite(python: str) -> str:
    """Name the Debian release that has this Python; raises ImageUnavailableError for others."""
    try:
        return DEBIAN_PYTHONS[python]
    except KeyError:
        made = " or ".join(DEBIAN_PYTHONS)
        raise ImageUnavailableError(
            f"no Python {python} image can be made here: Debian has Python {made}",
            where="DOCKYARD_PYTHON_IMAGE",
            hint=f"use Python {made}, or set DOCKYARD_IMAGE_MIRRORS to a registry that answers",
        ) from None


def mmdebstrap_arguments(
    suite: str, packages: Sequence[str], output: Path, architecture: str
) -> tuple[str, ...]:
    """Build the command that makes a small Debian with these packages, as a tarball."""
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in LEFT_OUT]
    return (
        "mmdebstrap",
        "--variant=minbase",
        f"--architectures={architecture}",
        f"--include={','.join(packages)}",
        *left_out,
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        '--customize-hook=rm -rf "$1"/var/cache/* "$1"/var/log/*',
        suite,
        str(output),
    )


def uv_arguments(version: str, target: Path, architecture: str) -> tuple[str, ...]:
    """Build what follows ``uv`` to get uv's own wheel: the static binary, as its image has it."""
    return (
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-config",
        "--only-binary=:all:",
        f"--python-platform={UV_PLATFORMS.get(architecture, UV_PLATFORMS['amd64'])}",
        f"--target={target}",
        f"uv=={version}",
    )


def import_arguments(
    tarball: Path, image: LocalImage, architecture: str, made: str, changes: Sequence[str]
) -> tuple[str, ...]:
    """Build the ``docker import`` that makes the image of a tarball and says what it is."""
    labels = (f'LABEL {LABEL_REFERENCE}="{image.reference}"', f'LABEL {LABEL_MADE}="{made}"')
    return (
        "docker",
        "import",
        f"--platform=linux/{architecture}",
        *(f"--change={change}" for change in (*labels, *changes)),
        str(tarball),
        image.name,
    )


def uv_command() -> tuple[str, ...]:
    """Find uv: on the path, or as a module of this Python."""
    from shutil import which

    found = which("uv")
    return (found,) if found else (sys.executable, "-m", "uv")


def run_recipe(
    arguments: Sequence[str],
    *,
    failure: str,
    hint: str,
    missing: str | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> None:
    """Run a long step to its end; if that is bad, raise ``failure`` with the step's last lines.

    ``missing`` is the hint where there is no such program. An interrupt stops it and its children.
    """
    try:
        following = process.follow(arguments, environment=environment, directory=directory)
    except FileNotFoundError:
        raise ImageUnavailableError(
            f"{failure}: there is no {arguments[0]} here", hint=missing or hint
        ) from None
    with following:
        last = deque(following.lines(), maxlen=SHOWN_LINES)
        status = following.wait()
    if status:
        raise _failed(failure, b"\n".join(last).decode(errors="replace"), hint)


def _failed(failure: str, text: str, hint: str) -> DockyardError:
    shown = "".join(f"\n    {line}" for line in re.split(r"[\r\n]+", text) if line.strip())
    return (
        diagnose_disk(text)
        or diagnose_engine(text)
        or ImageUnavailableError(f"{failure}:{shown}", hint=hint)
    )


def make_debian_tree(
    image: LocalImage, suite: str, packages: Sequence[str], output: Path, architecture: str
) -> None:
    """Make a tarball of a small Debian with these packages."""
    environment = dict(os.environ)
    if os.geteuid() == 0:
        # What an interrupted run leaves then goes with our own folder. Without root the folder
        # has to be one that other users can enter.
        environment["TMPDIR"] = str(output.parent)
    run_recipe(
        mmdebstrap_arguments(suite, packages, output, architecture),
        failure=f"{image.name} cannot be made from Debian {suite}",
        missing="`apt-get install mmdebstrap` on Debian or Ubuntu (`./bootstrap` does that as "
        "root); elsewhere set DOCKYARD_IMAGE_MIRRORS to a registry that answers",
        hint="check that this machine reaches http://deb.debian.org; as another user than root, "
        "mmdebstrap also needs user namespaces and newuidmap (`apt-get install uidmap`)",
        environment=environment,
    )


def add_files(tarball: Path, files: Mapping[str, Path]) -> None:
    """Append executables to a tarball, or begin one with them: the name in it → the file."""
    with tarfile.open(tarball, "a", format=tarfile.GNU_FORMAT) as archive:
        for name, path in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime, entry.size = 0o755, FILE_TIME, path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(entry, content)


def import_image(
    tarball: Path, image: LocalImage, architecture: str, made: str, changes: Sequence[str]
) -> None:
    """Make the engine's image of a tarball, in one step: it is there wholly or not at all."""
    run_recipe(
        import_arguments(tarball, image, architecture, made, changes),
        failure=f"the engine does not import {image.name}",
        hint="`docker info` shows whether the engine is well",
    )


def make_python(image: LocalImage, folder: Path, architecture: str) -> None:
    """Make a stand-in for Docker Hub's Python: Debian's own, with its certificates."""
    suite = debian_suite(image.version)
    tarball = folder / "python.tar"
    make_debian_tree(image, suite, ("python3", "ca-certificates"), tarball, architecture)
    made = f"Debian {suite} packages by mmdebstrap"
    import_image(tarball, image, architecture, made, (f"ENV {DEFAULT_PATH}", 'CMD ["python3"]'))


def make_uv(image: LocalImage, folder: Path, architecture: str) -> None:
    """Make a stand-in for uv's own image: the static binary of its wheel, and nothing else."""
    target = folder / "uv"
    run_recipe(
        (*uv_command(), *uv_arguments(image.version, target, architecture)),
        failure=f"{image.name} cannot be made from uv's wheel",
        hint="check that this machine reaches the package index (UV_DEFAULT_INDEX)",
    )
    tarball = folder / "uv.tar"
    add_files(tarball, {"uv": target / "bin" / "uv"})
    import_image(
        tarball, image, architecture, f"PyPI wheel uv {image.version}", ('ENTRYPOINT ["/uv"]',)
    )
