"""What all measurements share: servers, images, the project's variants. Removed at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.bench.bandwidth import Line
from dockyard.bench.empty_builders import empty_builder
from dockyard.bench.images import COMMAND_SECONDS, Images, docker, put_image, resolve_images
from dockyard.bench.leftovers import PREFIX, remove_leftovers
from dockyard.bench.package_index import IndexServer
from dockyard.bench.registry_server import RegistryServer
from dockyard.bench.workspace import Change, repository_copy, with_changes
from dockyard.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dockyard.settings import Settings

__all__ = [
    "Site",
    "command_environment",
    "open_site",
]

PYPI = "https://pypi.org/simple"
# Of the caller's environment, what would change a build or what it says of itself, and what lets
# Python compile its modules at each start, as it does on few machines.
_DROPPED = (
    *("BUILD", "CI", "DOCKYARD_", "GITHUB_", "SOURCE_DATE_EPOCH", "SSL_CERT_", "UV_"),
    "PYTHONDONTWRITEBYTECODE",
)


def command_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the timed commands' environment: the caller's, without what configures builds."""
    return {name: value for name, value in environment.items() if not name.startswith(_DROPPED)}


@dataclass
class Site:
    """A bench while it runs. ``run`` is its name, of everything that it makes on the engine."""

    settings: Settings
    environment: dict[str, str]
    folder: Path
    run: str
    registry: RegistryServer
    index: IndexServer
    line: Line
    images: Images
    engine_builder: str
    architecture: str
    changes: dict[str, Change]
    dockerfiles: Path
    _undo: ExitStack = field(default_factory=ExitStack)
    _builders: int = 0

    @property
    def bases(self) -> Path:
        """The storage of a registry that has the base images alone."""
        return self.folder / "storage/bases"

    @property
    def python_image(self) -> str:
        """The Python image as builders pull it from the bench's registry."""
        return f"{self.registry.host}/bench/{_named(self.images.python, 'python')}"

    @property
    def uv_image(self) -> str:
        """The uv image as builders pull it from the bench's registry."""
        return f"{self.registry.host}/bench/{_named(self.images.uv, 'uv')}"

    def at_end(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function at the bench's end, however that comes, before what came earlier."""
        self._undo.callback(function, *arguments)

    def variant(self, scenario: str) -> Path:
        """Return the repository in which a scenario's change was made."""
        changed = self.changes[scenario]
        return (
            self.folder / "variants" / (scenario if changed.file or changed.arguments else "base")
        )

    def prepare_variants(self, scenarios: Sequence[str]) -> None:
        """Make the project's copies, lock them, and fetch what their builds will download."""
        overrides = {
            "image": "dockyard",
            "registry": f"{self.registry.host}/bench",
            "network": "host",
            "python-image": self.python_image,
            "uv-image": self.uv_image,
        }
        for scenario in ("no-change", *scenarios):
            target = self.variant(scenario)
            if target.exists():
                continue
            repository_copy(self.settings, target, self.index, overrides)
            project = target / self.settings.project
            with_changes(project, self.changes[scenario], self._uv)
            self.settle(target)
            if self.changes[scenario].arguments or target.name == "base":
                extras = (word for one in self.settings.extras for word in ("--extra", one))
                self._uv(project, ("sync", "--frozen", "--no-dev", *extras))
                self._look_up(project)
        if self.index.failures:
            raise ProjectError(
                f"packages cannot be fetched: {self.index.failures[0]}",
                hint="check the network, or set UV_DEFAULT_INDEX to a mirror that answers",
            )

    def _look_up(self, project: Path) -> None:
        """Let the index hold the pages, and what describes the files, that an install asks for."""
        requirements = project / "requirements.txt"
        extras = [word for one in self.settings.extras for word in ("--extra", one)]
        export = ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-workspace", *extras]
        self._uv(project, [*export, "--output-file", requirements.name])
        install = ["pip", "install", "--target", "/tmp/target", "--no-deps", "--require-hashes"]  # noqa: S108
        self._uv(project, [*install, "--requirement", requirements.name])
        requirements.unlink()

    def settle(self, root: Path) -> None:
        """Bring a copy's Dockerfile up to date with its settings and lock, as a developer would."""
        from dockyard.dockerfile_upkeep import settle_dockerfile
        from dockyard.known_project import Facts
        from dockyard.settings import load_settings
        from dockyard.state import State

        settings = load_settings(root, self.environment, {})
        state = State(root)
        facts = Facts(settings, state, self.architecture)
        settle_dockerfile(settings, facts, state, self.environment, write=True)
        shutil.rmtree(root / ".dockyard", ignore_errors=True)

    def _uv(self, project: Path, arguments: Sequence[str]) -> None:
        """Run the uv of the builds in the Python image, on the project's folder."""
        binary = self.folder / "uv"
        name = f"{self.run}-uv"
        if not binary.exists():
            docker("create", "--name", name, self.images.uv, "/uv")
            try:
                docker("cp", f"{name}:/uv", str(binary))
            finally:
                docker("rm", "--force", name)
        variables = {
            "HOME": "/tmp",  # noqa: S108 - the container's
            "UV_CACHE_DIR": "/tmp/uv",  # noqa: S108
            "UV_PROJECT_ENVIRONMENT": "/tmp/venv",  # noqa: S108
            "UV_PYTHON_DOWNLOADS": "never",
        }
        command = ["run", "--rm", "--name", name, "--network", "host"]
        command += ["--user", f"{os.getuid()}:{os.getgid()}"]
        for key, value in variables.items():
            command += ["--env", f"{key}={value}"]
        command += ["--volume", f"{binary}:/usr/local/bin/uv:ro", "--volume", f"{project}:/project"]
        command += ["--workdir", "/project", self.images.python, "uv", *arguments]
        done = process.run(["docker", *command], timeout=COMMAND_SECONDS)
        if not done.succeeded:
            raise ProjectError(
                f"`uv {' '.join(arguments)}` failed: {done.stderr.strip()}", where=str(project)
            )

    @contextmanager
    def shaping(self) -> Iterator[None]:
        """Slow registry, index and archives down to the bandwidth for the time of a measurement."""
        self.line.shaped = True
        try:
            yield
        finally:
            self.line.shaped = False

    @contextmanager
    def fresh_builder(self) -> Iterator[str]:
        """Make a builder with an empty cache on the host's network; remove it with its cache."""
        self._builders += 1
        name = f"{self.run}-{self._builders}"
        with empty_builder(name, self.images.buildkit):
            yield name

    @contextmanager
    def local_image(self, name: str) -> Iterator[str]:
        """Remove an image of this name at the end."""
        try:
            yield name
        finally:
            process.run(["docker", "image", "rm", "--force", name], timeout=COMMAND_SECONDS)


def _named(reference: str, name: str) -> str:
    tag = reference.partition("@")[0].rpartition(":")[2]
    return f"{name}:{tag if '/' not in tag else 'latest'}"


@contextmanager
def open_site(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    folder: Path,
    bandwidth: int | None,
    changes: dict[str, Change],
    dockerfiles: Path,
) -> Iterator[Site]:
    """Start the servers, and put the base images into the registry; all of it goes at the end."""
    remove_leftovers(folder.parent)
    images, engine = resolve_images(settings, environment)
    run = f"{PREFIX}{os.getpid()}"
    line = Line(bandwidth)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        registry = stack.enter_context(RegistryServer(folder / "storage/bases", line=line))
        upstream = environment.get("UV_DEFAULT_INDEX") or PYPI
        index = stack.enter_context(IndexServer(upstream, folder.parent / "files", line=line))
        site = Site(
            settings=settings,
            environment=command_environment(environment),
            folder=folder,
            run=run,
            registry=registry,
            index=index,
            line=line,
            images=images,
            engine_builder=engine.context,
            architecture=engine.architecture,
            changes=changes,
            dockerfiles=dockerfiles,
        )
        stack.push(site._undo)
        for image, pushed in ((images.python, site.python_image), (images.uv, site.uv_image)):
            if put_image(image, pushed.replace(registry.host, registry.uncounted_host)):
                site.at_end(process.run, ["docker", "image", "rm", image])
        yield site
