"""`invoke check` on a small service: all is well, and each sabotage is named, and nothing else.

A service is sabotaged in one way after the other, so that its packages are installed once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dockyard.checks import CHECKS
from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.service import Ran, Service
from support.wheels import make_wheel

# A small budget each, so that small files go beyond them.
BUDGETS = {
    "DOCKYARD_CONTEXT_BUDGET": "1MB",
    "DOCKYARD_WASTE_BUDGET": "1MB",
}
# How many services are sabotaged at the same time.
# One check builds a stage without its cache, which other tests' projects share.
pytestmark = pytest.mark.alone

LANES = 2
LINKED = "COPY --link --from=environment /environment/ /\n"
FROM_BUILDER = "FROM ${PYTHON_IMAGE} AS dependency-builder\n"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n"


class Lane:
    """A service to sabotage, as ``invoke init`` leaves it, with two packages of its own."""

    def __init__(self, root: Path, index: PackageIndex, bases: Any, cleanup: Cleanup) -> None:
        names = sorted(random_name() for _ in range(2))
        for name, size in zip(names, (2_000_000, 20_000), strict=True):
            index.add(make_wheel(root, name, "1.0", size=size))
        self.service = Service(
            root / "service",
            cleanup.repository(random_name()),
            dict.fromkeys(names, "==1.0"),
            index_url=index.url,
            python_image=bases.python,
            uv_image=bases.uv,
            settings={"command": '["python", "--version"]'},
        )
        self.service.assign(*([name] for name in names))
        self.service.environment |= BUDGETS
        self._environment = dict(self.service.environment)

    def restore(self) -> Service:
        """Take back what a test did to the service."""
        self.service.environment = dict(self._environment)
        self.service.git("reset", "--quiet", "--hard")
        self.service.git("clean", "--quiet", "-d", "--force")
        return self.service


@pytest.fixture(scope="module")
def lanes(
    tmp_path_factory: pytest.TempPathFactory, package_index_server: PackageIndex, base_images: Any
) -> Iterator[list[Lane]]:
    """As many services as are checked at the same time."""
    with Cleanup() as cleanup:
        yield [
            Lane(tmp_path_factory.mktemp("lane"), package_index_server, base_images, cleanup)
            for _ in range(LANES)
        ]


@pytest.fixture
def service(lanes: list[Lane]) -> Service:
    return lanes[0].restore()


def checked(service: Service, *arguments: str, **changes: str) -> tuple[Ran, dict[str, Any]]:
    """Run the checks: how the command ended, and the verdicts by name."""
    done = service.invoke("check", "--json", *arguments, **changes)
    assert done.stdout, done.stderr
    return done, {one["name"]: one for one in json.loads(done.stdout)["checks"]}


def named(verdicts: dict[str, Any], outcome: str) -> list[str]:
    return [name for name, one in verdicts.items() if one["outcome"] == outcome]


def told(verdicts: dict[str, Any]) -> str:
    """What did not pass, to be read where a test fails."""
    left = [one for one in verdicts.values() if one["outcome"] != "passed"]
    return json.dumps(left, indent=1)


def edit(service: Service, old: str, new: str) -> None:
    text = service.dockerfile.read_text()
    assert text.count(old) == 1, old
    service.dockerfile.write_text(text.replace(old, new))


def line_of(service: Service, start: str) -> int:
    lines = service.dockerfile.read_text().splitlines()
    return 1 + next(n for n, line in enumerate(lines) if line.startswith(start))


# -------------------- all is well


def test_a_service_that_is_well_passes_every_check(service: Service, tmp_path: Path) -> None:
    files = [path for path in service.root.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files if ".dockyard" not in path.parts}
    records = len(service.records())
    report, summary = tmp_path / "reports/junit.xml", tmp_path / "summary.md"
    done, verdicts = checked(
        service,
        "--junit",
        str(report),
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert done.status == 0, done.stderr
    assert list(verdicts) == [name for name, one in CHECKS.items() if not one.optional]
    assert named(verdicts, "passed") == list(verdicts), told(verdicts)
    assert verdicts["code-change"]["figure"].endswith("touched: 1 step run")
    assert "layer 2 of 2 run" in verdicts["dependency-change"]["figure"]
    assert verdicts["secrets"]["figure"].endswith(", 1 attestation, planted in dependencies-2")
    suite = ElementTree.fromstring(report.read_bytes())[0]
    assert [case.get("name") for case in suite.findall("testcase")] == list(verdicts)
    assert f"{len(verdicts)} of {len(verdicts)} passed" in summary.read_text()
    assert "::error" not in done.stderr
    after = {path: path.read_bytes() for path in before}
    assert after == before, "checks change nothing of the user's"
    assert len(service.records()) == records + 1, (
        "of a check's builds, the image's own alone is recorded"
    )
    assert not docker("ps", "--all", "--quiet", "--filter", "name=dockyard-check-")


def test_without_an_engine_nothing_is_said_to_have_failed(service: Service) -> None:
    nowhere = {"DOCKER_HOST": "tcp://127.0.0.1:9"}
    done, verdicts = checked(service, "--only", "lock", "--only", "build", **nowhere)
    assert done.status == 15
    assert named(verdicts, "passed") == ["lock"]
    assert named(verdicts, "could not check") == ["build"]


# -------------------- the sabotages


def copy_before_install(service: Service) -> None:
    edit(service, FROM_BUILDER, f"{FROM_BUILDER}COPY . /context\n")


def timestamp_in_a_layer(service: Service) -> None:
    edit(service, "WORKDIR /app\n", "RUN date > /built-at\nWORKDIR /app\n")


def secret_as_argument(service: Service) -> None:
    edit(service, "WORKDIR /app\n", "ARG API_TOKEN=not-for-all-to-read\nWORKDIR /app\n")


def secret_kept_by_a_step(service: Service) -> None:
    """Only the planted secret tells: the name of the file and its owner say nothing."""
    edit(
        service,
        "WORKDIR /app\n",
        "RUN --mount=type=secret,id=uv-environment cat /run/secrets/* > /var/settings\n"
        "WORKDIR /app\n",
    )


def secret_file_copied(service: Service) -> None:
    service.module.with_name("deploy.txt").write_text(KEY)


def root_user(service: Service) -> None:
    edit(service, "USER 10001:10001\n", "USER root\n")


def run_after_a_linked_copy(service: Service) -> None:
    edit(service, "USER 10001:10001\n", "RUN true\nUSER 10001:10001\n")


def fat_context(service: Service) -> None:
    service.module.with_name("model.bin").write_bytes(bytes(1_500_000))


def junk_in_the_context(service: Service) -> None:
    (service.root / "src/.pytest_cache").mkdir()
    (service.root / "src/.pytest_cache/README").write_text("left over\n")


def unpinned_base(service: Service) -> None:
    service.environment["DOCKYARD_CHECK_ALSO"] = "base-pinned"


def uv_left_in_the_image(service: Service) -> None:
    edit(service, LINKED, f"COPY --link --from=uv-tool /uv /usr/local/bin/uv\n{LINKED}")


def compiler_left_in_the_image(service: Service) -> None:
    edit(
        service,
        "WORKDIR /app\n",
        "RUN echo '#!/bin/sh' > /usr/local/bin/gcc && chmod 755 /usr/local/bin/gcc\nWORKDIR /app\n",
    )


def stale_lock(service: Service) -> None:
    path = service.root / "pyproject.toml"
    path.write_text(path.read_text().replace("==1.0", ">=1.0"))


def wasted_bytes(service: Service) -> None:
    edit(
        service,
        "WORKDIR /app\n",
        "RUN head -c 2000000 /dev/zero > /archive\nRUN rm /archive\nWORKDIR /app\n",
    )


def broken_smoke_command(service: Service) -> None:
    service.module.write_text("raise SystemExit(3)\n")


def build_that_fails(service: Service) -> None:
    edit(service, "WORKDIR /app\n", "RUN exit 7\nWORKDIR /app\n")


def context_that_builds_change(service: Service) -> None:
    """Dockyard's own state is in the context, and every build writes it."""
    (service.root / ".dockerignore").write_text("**/__pycache__\n.git\n")
    edit(service, "COPY --link src /app/src\n", "COPY --link . /app\n")


SABOTAGES: list[tuple[Callable[[Service], None], str, str]] = [
    (copy_before_install, "code-change", "ran because src/"),
    (timestamp_in_a_layer, "timestamps", "RUN uses date"),
    (secret_as_argument, "secrets", "ARG API_TOKEN"),
    (secret_kept_by_a_step, "secrets", "/var/settings is or holds a secret of the build"),
    (secret_file_copied, "secrets", "deploy.txt is or holds a private key"),
    (root_user, "non-root", "runs as root"),
    (run_after_a_linked_copy, "linked-copies", "RUN executes after a linked COPY"),
    (fat_context, "context", "more than DOCKYARD_CONTEXT_BUDGET"),
    (junk_in_the_context, "context", "should name **/.pytest_cache"),
    (unpinned_base, "base-pinned", "has no digest"),
    (uv_left_in_the_image, "no-uv", "/usr/local/bin/uv is in the image"),
    (compiler_left_in_the_image, "no-compiler", "/usr/local/bin/gcc is in the image"),
    (stale_lock, "lock", "was made for"),
    (wasted_bytes, "wasted-bytes", "/archive (2.0 MB) is overwritten or removed"),
    (broken_smoke_command, "smoke", "ended with 3"),
    (build_that_fails, "build", "exit code: 7"),
]
# What could not tell what it found once another check has failed.
RESTING = {
    "code-change": {"dependency-change"},
    "linked-copies": {"code-change", "dependency-change"},
    "lock": {name for name, one in CHECKS.items() if {"lock", "build"} & {*one.needs}}
    | {"code-change", "dependency-change"},
    "build": {name for name, one in CHECKS.items() if "build" in one.needs}
    | {"code-change", "dependency-change"},
}


Checked = tuple[Ran, dict[str, Any]]


@pytest.fixture(scope="module")
def outcomes(lanes: list[Lane]) -> dict[str, Checked]:
    """What ``check`` says of each sabotage, by its name; several are made at the same time.

    Not that whose check builds a stage again without its cache: copies that all projects share
    would get a second result, and another lane would see them run.
    """
    together = [one for one, _, _ in SABOTAGES if one is not secret_kept_by_a_step]

    def work(lane: int, sabotages: list[Callable[[Service], None]]) -> dict[str, Checked]:
        found = {}
        for sabotage in sabotages:
            service = lanes[lane].restore()
            sabotage(service)
            found[sabotage.__name__] = checked(service)
        return found

    dealt = [together[number::LANES] for number in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        parts = [*pool.map(work, range(LANES), dealt)]
    parts.append(work(0, [secret_kept_by_a_step]))
    return {name: one for found in parts for name, one in found.items()}


@pytest.mark.parametrize(
    ("name", "check", "says"), [(one.__name__, check, says) for one, check, says in SABOTAGES]
)
def test_a_sabotage_is_named_and_nothing_else(
    outcomes: dict[str, Checked], name: str, check: str, says: str
) -> None:
    done, verdicts = outcomes[name]
    assert named(verdicts, "failed") == [check], told(verdicts)
    optional = {name for name, one in CHECKS.items() if one.optional}
    assert set(named(verdicts, "could not check")) == RESTING.get(check, set()) - optional
    assert all(says in one["message"] for one in verdicts[check]["findings"]), told(verdicts)
    assert verdicts[check]["fix"]
    assert done.status == 14


def test_what_a_build_itself_changes_is_found_by_building_again(service: Service) -> None:
    """A context with the state in it is junk, too: that is why the other check is left out."""
    context_that_builds_change(service)
    _, verdicts = checked(service, "--skip", "context", "--skip", "layers")
    assert named(verdicts, "failed") == ["rebuild"], told(verdicts)
    assert "COPY ." in verdicts["rebuild"]["findings"][0]["message"]


def test_annotations_are_on_the_dockerfiles_lines(service: Service) -> None:
    run_after_a_linked_copy(service)
    line = line_of(service, "RUN true")
    only = ("--only", "linked-copies")
    done, _ = checked(service, *only, GITHUB_ACTIONS="true")
    assert re.search(rf"^::error file=docker/Dockerfile,line={line},title=", done.stderr, re.M)
    shown = service.invoke("check", *only)
    assert shown.status == 14
    assert f"docker/Dockerfile, line {line}: RUN executes after a linked COPY" in shown.stdout
    assert "1 of 1 check failed: linked-copies" in shown.stderr
