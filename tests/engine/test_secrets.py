"""The hunt: secrets planted in every place that takes one, and every command; none comes out.

What is planted where, and what a world is, is in ``support.hunted_worlds``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dockyard.collection import namespace
from support.base import buildkit_image
from support.engine import Cleanup, docker, random_name
from support.hunted import Runner
from support.hunted_lanes import Hunt, Lane
from support.hunted_worlds import (
    CLOSED,
    Kind,
    World,
    all_secrets,
    hunted_servers,
    make_world,
    world_project,
)
from support.hunting import Find, Hunter, ProcessSampler
from support.planted import basic, malformed, plant
from support.registry import Login

# Every command, and with which arguments it is run where all goes well, in this order. Each is run
# with --json, --print and --dry-run as well, if it has them. A command without a line is an error.
LINES: Mapping[str, tuple[str, ...]] = {
    "init": ("--yes --ci github", "--diff"),
    "cache.init": ("",),
    "build": ("--push", ""),
    "push": ("",),
    "pull": ("",),
    "cache.push": ("--mounts",),
    "cache.pull": ("--mounts",),
    "cache.info": ("",),
    "cache.prune": ("--registry --images",),
    "info": ("",),
    "explain": ("",),
    "report": ("",),
    "layers": ("",),
    "settings": ("",),
    "context": ("",),
    "machines": ("--kubernetes", "--endpoint"),
    "optimize": ("--only layers --only context --only order --only mirrors --apply",),
    "cache.optimize": ("--only builder --only compression",),
    "check": ("--only secrets --only lock --only context",),
    "doctor": ("",),
    "bench": ("--dry-run",),
    "cache.clean": ("--dry-run",),
}
SHOWING = ("json", "print", "dry-run")
# Where that takes long, what else is run: with the options above, and where all goes wrong.
SHOWN = {"build": "--no-load", "check": "--only lock --only context"}
WRONG = {"check": "--only lock --only context"}
FURTHER = ("history", "s3", "azblob", "driver option")


def flags_of(command: str) -> set[str]:
    """The options that a command has."""
    task: Any = namespace()[command]
    return {name for one in task.get_arguments() for name in one.names}


def all_goes_well(lane: Lane, world: World) -> None:
    builder = {"DOCKYARD_BUILDER": world.environment["DOCKYARD_BUILDER_NAME"]}
    more: dict[str, str] = {}
    for command, lines in LINES.items():
        if command == "build":
            # By itself each command takes what is fastest, and some the engine's own builder.
            more = builder
        for line in lines:
            lane.run(Kind.ACCEPTED, world, f"{command} {line}", **more)
        for flag in SHOWING:
            if flag in flags_of(command) and f"--{flag}" not in lines[0]:
                shown = SHOWN.get(command, lines[0].replace("--apply", ""))
                lane.run(Kind.ACCEPTED, world, f"{command} {shown} --{flag}", **more)


def other_logins(lane: Lane, world: World) -> None:
    """Log in to registries in all ways that there are, and to caches that are not there."""
    servers, planted = lane.hunt.servers, world.planted
    builder = {"DOCKYARD_BUILDER": world.environment["DOCKYARD_BUILDER_NAME"]}
    lines = ("build --push --json", "cache.push --mounts", "push --json", "pull")
    name = lane.hunt.image.rpartition("/")[2]
    for case, host in (("identity token", servers.tokens.host), ("helper", servers.helped)):
        docker("tag", f"{lane.hunt.image}:latest", f"{host}/team/{name}:latest")
        for line in lines:
            lane.run(case, world, line, DOCKYARD_REGISTRY=f"{host}/team", **builder)
    variable = planted["DOCKER_AUTH_CONFIG"]
    servers.tokens.login = Login(variable.user, variable.secret)
    auth = '{"auths": {"%s": {"auth": "%s"}}}'
    for line in lines[1:]:
        lane.run(
            "DOCKER_AUTH_CONFIG",
            world,
            line,
            DOCKYARD_REGISTRY=f"{servers.helped}/team",
            DOCKER_AUTH_CONFIG=auth % (servers.helped, basic(variable.user, variable.secret)),
            **builder,
        )
    secrets = {one.place: one.secret for one in lane.hunt.hunter.planted if one.place in FURTHER}
    s3 = f"s3:bucket=b,region=r,endpoint_url=http://{CLOSED},secret_access_key={secrets['s3']}"
    azblob = f"azblob:account_url=https://{CLOSED},secret_access_key={secrets['azblob']}"
    for backend in (s3, azblob, "gha"):
        for line in ("build --print", "cache.info --json", "doctor --only caches"):
            results = {"ACTIONS_RESULTS_URL": f"http://{CLOSED}/"}
            lane.run("caches", world, line, DOCKYARD_CACHE_BACKENDS=backend, **results)
    lane.run("caches", world, "build --no-load", DOCKYARD_CACHE_BACKENDS="gha", **builder)
    lane.run("attested", world, "build --push", DOCKYARD_PROVENANCE="max", **builder)
    # Without the proxy that would be told, it is attested; what is searched holds the attestation.
    config = world.home / ".docker/config.json"
    bare = world.home / "without-proxies"
    bare.mkdir()
    shutil.copytree(config.parent / "buildx", bare / "buildx", dirs_exist_ok=True)
    (bare / "config.json").write_text(config.read_text().replace('"proxies"', '"ignored"'))
    attested = {"DOCKYARD_PROVENANCE": "max", "DOCKER_CONFIG": str(bare)}
    assert lane.run("attested", world, "build --push --json", **attested, **builder) == 0
    (bare / "config.json").unlink()
    summary = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(world.home / "summary.md")}
    lane.run("GitHub", world, "build --no-load", **summary, **builder)
    lane.run("GitHub", world, "check --only lock", **summary, **builder)


def all_goes_wrong(lane: Lane, worlds: Mapping[str, World]) -> None:
    refused, unreachable = worlds[Kind.REFUSED], worlds[Kind.UNREACHABLE]
    for command, (first, *_) in LINES.items():
        line = f"{command} {WRONG.get(command, first.replace('--apply', ''))}"
        quick = line.replace("--mounts", "")
        json = " --json" if "json" in flags_of(command) else ""
        lane.run(Kind.REFUSED, refused, line)
        lane.run(Kind.UNREACHABLE, unreachable, line + json)
        lane.run("no lock", worlds["no lock"], quick)
        lane.run("malformed", worlds["malformed"], line)
        lane.run_into_bug("a bug", refused, line)
        if command != "build":
            lane.run("debugging", refused, f"--debug {quick}{json}")
    lane.run("debugging", refused, "--debug build --no-load --json")
    secrets = {one.place: one for one in lane.hunt.hunter.planted if one.place in FURTHER}
    option = {"DOCKYARD_DRIVER_OPTIONS": f"env.TOKEN={secrets['driver option'].secret}"}
    for line in ("cache.init", "cache.init --dry-run --json", "init --ci github --dry-run"):
        lane.run("driver option", refused, line, DOCKYARD_BUILDER="auto", **option)
    lane.run("history", refused, "bench --history .")
    for kind in ("", " --json"):
        url = f"http://{secrets['history'].pair}@{CLOSED}/repository.git"
        lane.run("history", unreachable, f"bench --history {url}{kind}")
    remote = {
        "DOCKYARD_BUILDER": "auto",
        "DOCKYARD_DRIVER": "remote",
        "DOCKYARD_BUILDER_ENDPOINT": f"tcp://{CLOSED}",
        "DOCKYARD_BUILDER_CA_FILE": str(unreachable.home / "client-key.pem"),
        "DOCKYARD_BUILDER_CERT_FILE": str(unreachable.home / "client-key.pem"),
        "DOCKYARD_BUILDER_KEY_FILE": str(unreachable.home / "client-key.pem"),
    }
    for line in ("cache.init", "cache.info", "build --no-load", "doctor --only builder"):
        lane.run("remote", unreachable, line, **remote)


def known_to_the_builder(find: Find) -> bool:
    """Tell what a builder cannot but have, and has nowhere else: see SECURITY.md.

    That is the build context as it is, which pyproject.toml is in, and in what BuildKit notes of
    past builds the proxy that buildx takes from Docker's configuration.
    """
    context = re.fullmatch(r"\./[^/]+/snapshots/snapshots/\d+/fs/pyproject\.toml", find.where)
    if context:
        return find.place in (f"{Kind.ACCEPTED}, pyproject", f"{Kind.ACCEPTED}, git dependency")
    notes = re.fullmatch(r"\./(history\.db|[^/]+/content/blobs/sha256/[0-9a-f]{64})", find.where)
    return notes is not None and find.place == f"{Kind.ACCEPTED}, proxy of config.json"


def search_everything(hunt: Hunt, folder: Path, container: str) -> None:
    """Search all that is left: projects, homes, registries, image, the builder's whole state."""
    hunter = hunt.hunter
    for name, world in hunt.worlds.items():
        hunter.search_folder(f"project, {name}", world.root)
        hunter.search_folder(f"home, {name}", world.home)
    hunter.search_folder("registry", folder / "servers/registry")
    hunter.search_folder("registry", folder / "servers/tokens")
    for tag in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", hunt.image).split():
        hunter.search("history", tag, docker("history", "--no-trunc", tag))
        hunter.search("inspection", tag, docker("image", "inspect", tag))
    saved = folder / "saved.tar"
    docker("save", "--output", str(saved), f"{hunt.image}:latest")
    hunter.search("saved image", "docker save", saved.read_bytes())
    inside = ["docker", "exec", container, "tar", "--create", "--directory", "/var/lib/buildkit"]
    with subprocess.Popen(
        [*inside, "."], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as reading:
        assert reading.stdout
        hunter.search_tar("builder's state", reading.stdout)
    hunter.found = {one for one in hunter.found if not known_to_the_builder(one)}


@pytest.fixture(scope="module")
def hunt(tmp_path_factory: pytest.TempPathFactory, base_images: Any) -> Iterator[Hunt]:
    folder = tmp_path_factory.mktemp("hunt")
    with Cleanup() as made, hunted_servers(folder / "servers") as servers:
        image, builder = random_name(), random_name()
        container = made.name("container", f"buildx_buildkit_{builder}0")
        made.name("volume", f"{container}_state")
        for host in (servers.registry.host, servers.tokens.host, servers.helped):
            made.repository(f"{host}/team/{image}")
        pushed = {}
        for role, local in base_images._asdict().items():
            target = made.name("image", f"{servers.registry.host}/base/{role}:1")
            docker("tag", local, target)
            docker("push", "--quiet", target)
            pushed[f"DOCKYARD_{role.upper()}_IMAGE"] = target
        here = {f"DOCKYARD_{k.upper()}_IMAGE": v for k, v in base_images._asdict().items()}
        secrets = {
            kind: all_secrets(kind) for kind in (Kind.ACCEPTED, Kind.REFUSED, Kind.UNREACHABLE)
        }
        project = world_project(folder / "made", servers, image, secrets[Kind.ACCEPTED])
        common = {
            "DOCKYARD_NETWORK": "host",
            "DOCKYARD_BUILDER_NAME": builder,
            "DOCKYARD_BUILDKIT_IMAGE": buildkit_image(),
            "DOCKYARD_CACHE_MOUNTS": "all",
            "DOCKYARD_REGISTRY": f"{servers.registry.host}/team",
        }
        failing = {**common, **here, "DOCKYARD_BUILDER": "default"}
        variables = {
            Kind.ACCEPTED: {**common, **pushed},
            Kind.REFUSED: {**failing, "DOCKYARD_BUILDER_NAME": random_name()},
            Kind.UNREACHABLE: {
                **failing,
                "DOCKYARD_BUILDER_NAME": random_name(),
                "DOCKYARD_REGISTRY": f"{CLOSED}/team",
            },
        }
        worlds: dict[str, World] = {
            kind: make_world(
                folder / kind, project, secrets[kind], servers, kind, given, secrets["accepted"]
            )
            for kind, given in variables.items()
        }
        for name in ("no lock", "malformed"):
            worlds[name] = worlds[Kind.REFUSED].copied(folder / name)
        (worlds["no lock"].root / "uv.lock").unlink()
        wrong, further = malformed()
        worlds["malformed"] = replace(
            worlds["malformed"], environment={**worlds["malformed"].environment, **wrong}
        )
        planted = [one for kind in secrets.values() for one in kind.values()]
        planted += [*further.values(), *plant(FURTHER).values()]
        own = frozenset(one for world in worlds.values() for one in world.own)
        found = Hunt(
            Hunter(tuple(planted), own),
            worlds,
            servers,
            f"{servers.registry.host}/team/{image}",
        )
        with (
            ProcessSampler() as sampler,
            Runner(folder / "well") as well,
            Runner(folder / "wrong") as wrongly,
            ThreadPoolExecutor(1) as beside,
        ):
            failures = beside.submit(all_goes_wrong, Lane(found, wrongly), worlds)
            all_goes_well(Lane(found, well), worlds[Kind.ACCEPTED])
            other_logins(Lane(found, well), worlds[Kind.ACCEPTED])
            failures.result()
        for one in sampler.arguments:
            found.hunter.search("sampled arguments", f"a process: {one[:80]!r}", one)
        search_everything(found, folder, container)
        yield found


def test_every_command_has_a_line() -> None:
    assert sorted(LINES) == sorted(namespace().task_names)


def test_an_image_that_was_given_a_secret_is_found(
    tmp_path: Path, base_images: Any, cleanup: Cleanup
) -> None:
    """As an argument it is in the history; a step wrote it into a layer."""
    planted = plant(["argument"])
    image = cleanup.name("image")
    (tmp_path / "Dockerfile").write_text(
        f'FROM {base_images.python}\nARG TOKEN\nRUN echo "$TOKEN" | base64 > /kept\n'
    )
    argument = f"TOKEN={planted['argument'].secret}"
    docker(
        "build", "--tag", image, "--build-arg", argument, "--label", cleanup.label, str(tmp_path)
    )
    docker("save", "--output", str(tmp_path / "saved.tar"), image)
    found = {}
    for kind, content in (
        ("history", docker("history", "--no-trunc", image).encode()),
        ("image", (tmp_path / "saved.tar").read_bytes()),
    ):
        hunter = Hunter(tuple(planted.values()))
        hunter.search(kind, kind, content)
        found[kind] = {one.form for one in hunter.found}
    assert found == {"history": {"plain"}, "image": {"plain", "base64"}}


def test_nothing_is_found(hunt: Hunt) -> None:
    assert not hunt.hunter.found, hunt.hunter.report()
    assert not hunt.unneeded, "\n".join(sorted(hunt.unneeded))


def test_the_secrets_were_used(hunt: Hunt) -> None:
    """Each login was needed, and worked: what nobody reads cannot come out."""
    served = {place: index.bytes_served() for place, index in hunt.servers.indexes.items()}
    assert all(served.values()), served
    ended = {(case, run.line): run.status for case, run in hunt.runs}
    well = {line: status for (case, line), status in ended.items() if case == Kind.ACCEPTED}
    wrong = {line: status for line, status in well.items() if status}
    # With 16 doctor answers that something could be better.
    assert [line for line in wrong if not (line.startswith("doctor") and wrong[line] == 16)] == []
    for case in ("identity token", "helper", "DOCKER_AUTH_CONFIG"):
        assert {status for (of, _), status in ended.items() if of == case} == {0}, case
    assert ended[Kind.REFUSED, "build --push"] not in (0, 70)
    assert ended[Kind.UNREACHABLE, "build --push --json"] not in (0, 70)
    assert {status for (of, _), status in ended.items() if of == "a bug"} == {70}


def test_everything_was_searched(hunt: Hunt) -> None:
    cases = (Kind.ACCEPTED, Kind.REFUSED, Kind.UNREACHABLE, "no lock", "malformed", "a bug")
    for case in (*cases, "debugging"):
        words = {
            run.line.removeprefix("--debug ").split()[0] for of, run in hunt.runs if of == case
        }
        assert words == set(LINES), case
    kinds = hunt.hunter.kinds
    assert min(kinds.values()) > 0
    assert kinds["outputs"] == 2 * len(hunt.runs) >= 2 * 7 * len(LINES)
    for kind in ("arguments", "sampled arguments", "registry", "builder's state", "saved image"):
        assert kinds[kind] > 0
