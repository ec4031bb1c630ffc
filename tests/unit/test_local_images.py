"""Stand-ins: which image is made, from what, by which commands, and when none is."""

from __future__ import annotations

import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockyard import local_buildkit, local_images, local_recipes, process
from dockyard.errors import EngineError, ImageUnavailableError
from dockyard.local_images import Action, ensure_local_images, main, stand_in_for, steps_for
from dockyard.local_recipes import LocalImage, local_image
from dockyard.process import Completed
from dockyard.registries import registry_hosts

PYTHON = LocalImage(
    "docker.io/library/python:3.13-slim-trixie", "dockyard.local/python:3.13", "python", "3.13"
)
UV = LocalImage("ghcr.io/astral-sh/uv:0.13.9", "dockyard.local/uv:0.13.9", "uv", "0.13.9")
BUILDKIT = LocalImage(
    "docker.io/moby/buildkit:v0.32.2", "dockyard.local/buildkit:v0.32.2", "buildkit", "v0.32.2"
)
ALL = (PYTHON, UV, BUILDKIT)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("python:3.13", "python:3.13"),
        ("python:3.13.7-slim-bookworm", "python:3.13"),
        ("docker.io/library/python:3.11-alpine", "python:3.11"),
        ("registry.example:5000/mirror/python:3.13-slim", "python:3.13"),
        ("python:3.13-slim@sha256:" + "0" * 64, "python:3.13"),
        ("ghcr.io/astral-sh/uv:0.13.9", "uv:0.13.9"),
        ("ghcr.io/astral-sh/uv:0.13.9-debian-slim", "uv:0.13.9"),
        ("moby/buildkit:v0.32.2", "buildkit:v0.32.2"),
        ("moby/buildkit:v0.32.2-rootless", "buildkit:v0.32.2"),
        ("mirror.example/moby/buildkit:v0.32.2", "buildkit:v0.32.2"),
        ("python", None),
        ("python:latest", None),
        ("python:3", None),
        ("localhost:5000/python", None),
        ("python@sha256:" + "0" * 64, None),
        ("ghcr.io/astral-sh/uv:latest", None),
        ("moby/buildkit:master", None),
        ("acme/python-base:3.13", None),
        ("debian:trixie", None),
        ("", None),
    ],
)
def test_what_stands_in_for_what(reference: str, name: str | None) -> None:
    assert stand_in_for(reference) == (f"dockyard.local/{name}" if name else None)


@pytest.mark.parametrize("image", ALL, ids=lambda image: image.kind)
def test_a_reference_is_taken_apart(image: LocalImage) -> None:
    assert local_image(image.reference) == image


def test_nothing_is_made_of_an_unknown_image() -> None:
    assert local_image("docker.io/library/debian:trixie") is None


# -- what is done about each image


def decide(held: set[str], reachable: bool, by_local_name: bool = False) -> list[tuple[str, str]]:
    steps = steps_for(
        ALL, held=held, reachable=lambda image: reachable, by_local_name=by_local_name
    )
    return [(step.image.kind, step.action) for step in steps]


def test_without_a_registry_everything_is_made() -> None:
    assert decide(set(), reachable=False) == [(image.kind, Action.MAKE) for image in ALL]


def test_with_a_registry_only_buildkit_is_pulled() -> None:
    assert decide(set(), reachable=True) == [("buildkit", Action.PULL)]


@pytest.mark.parametrize("field", ["name", "reference"])
def test_what_the_engine_holds_is_enough(field: str) -> None:
    assert decide({getattr(image, field) for image in ALL}, reachable=False) == []


def test_no_registry_is_asked_about_what_is_held() -> None:
    def ask(image: LocalImage) -> bool:
        raise AssertionError(image)

    assert steps_for(ALL, held={image.name for image in ALL}, reachable=ask) == ()


def test_the_tests_want_local_names() -> None:
    everything = {PYTHON.reference, UV.name}
    assert decide(everything, reachable=True, by_local_name=True) == [
        ("python", Action.TAG),
        ("buildkit", Action.PULL),
    ]
    assert decide(everything, reachable=False, by_local_name=True) == [
        ("python", Action.TAG),
        ("buildkit", Action.MAKE),
    ]


@pytest.mark.parametrize(
    ("reference", "mirrors", "hosts"),
    [
        ("python:3.13", (), ("registry-1.docker.io",)),
        ("ghcr.io/astral-sh/uv:0.13.9", (), ("ghcr.io",)),
        ("ghcr.io/astral-sh/uv:0.13.9", ("mirror.example",), ("ghcr.io",)),
        ("python:3.13", ("m.example:5000/hub",), ("m.example:5000", "registry-1.docker.io")),
    ],
)
def test_hosts_that_are_asked(
    reference: str, mirrors: tuple[str, ...], hosts: tuple[str, ...]
) -> None:
    assert registry_hosts(reference, mirrors) == hosts


def settings(driver: str = "auto") -> Any:
    return SimpleNamespace(
        python_image="python:3.11-slim",
        uv_image="registry.example/uv-of-ours:1",
        buildkit_image=BUILDKIT.reference,
        driver=driver,
    )


@pytest.mark.parametrize(
    ("driver", "for_tests", "only", "names"),
    [
        ("auto", False, None, ["python:3.11"]),
        ("docker-container", False, None, ["python:3.11", "buildkit:v0.32.2"]),
        ("auto", False, "buildkit", ["buildkit:v0.32.2"]),
        ("auto", False, "uv", []),
        ("auto", True, None, ["python:3.13", "uv:0.13.9", "buildkit:v0.32.2"]),
        ("auto", True, "uv", ["uv:0.13.9"]),
    ],
)
def test_images_that_are_wanted(
    driver: str, for_tests: bool, only: str | None, names: list[str]
) -> None:
    images = local_images.wanted_images(settings(driver), for_tests=for_tests, only=only)
    assert sorted(image.name for image in images) == sorted(f"dockyard.local/{n}" for n in names)


# -- the commands


@pytest.mark.parametrize(("python", "suite"), [("3.11", "bookworm"), ("3.13", "trixie")])
def test_the_debian_release_of_a_python(python: str, suite: str) -> None:
    assert local_recipes.debian_suite(python) == suite


@pytest.mark.parametrize("python", ["3.9", "3.12", "3.14"])
def test_a_python_that_debian_has_not(python: str) -> None:
    with pytest.raises(ImageUnavailableError, match=r"3\.11 or 3\.13") as raised:
        local_recipes.debian_suite(python)
    assert raised.value.problems[0].hint
    assert raised.value.exit_code == 8


def test_the_debian_command(tmp_path: Path) -> None:
    arguments = local_recipes.mmdebstrap_arguments(
        "trixie", ("python3", "ca-certificates"), tmp_path / "out.tar", "arm64"
    )
    assert arguments[0] == "mmdebstrap"
    assert {"--architectures=arm64", "--include=python3,ca-certificates"} <= set(arguments)
    assert arguments[-2:] == ("trixie", str(tmp_path / "out.tar"))


def test_the_wheel_is_the_static_one(tmp_path: Path) -> None:
    arguments = local_recipes.uv_arguments("0.13.9", tmp_path, "arm64")
    assert "--python-platform=aarch64-unknown-linux-musl" in arguments
    assert arguments[-1] == "uv==0.13.9"


def test_an_image_says_what_it_is(tmp_path: Path) -> None:
    tarball = tmp_path / "uv.tar"
    assert local_recipes.import_arguments(
        tarball, UV, "amd64", "PyPI wheel uv 0.13.9", ('ENTRYPOINT ["/uv"]',)
    ) == (
        "docker",
        "import",
        "--platform=linux/amd64",
        '--change=LABEL dev.dockyard.stand-in-for="ghcr.io/astral-sh/uv:0.13.9"',
        '--change=LABEL dev.dockyard.made="PyPI wheel uv 0.13.9"',
        '--change=ENTRYPOINT ["/uv"]',
        str(tarball),
        "dockyard.local/uv:0.13.9",
    )


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("go1.26.3", True),
        ("go1.26.8\n", True),
        ("go1.27", True),
        ("go1.26.2", False),
        ("go1.26", False),
        ("go1.19.8", False),
        ("devel go1.28-abcdef", False),
        ("", False),
    ],
)
def test_which_go_builds_buildkit(version: str, enough: bool) -> None:
    assert local_buildkit.go_is_new_enough(version) is enough


def test_go_keeps_its_proxy_and_leaves_nothing_behind(tmp_path: Path) -> None:
    given = {"GOPROXY": "https://proxy.example", "GOFLAGS": "-mod=vendor", "PATH": "/bin"}
    made = local_buildkit.go_environment(given, tmp_path, "arm64")
    assert (made["GOPROXY"], made["PATH"], made["GOARCH"]) == (
        "https://proxy.example",
        "/bin",
        "arm64",
    )
    assert "-mod" not in made["GOFLAGS"].split("=")[0].split()
    assert "-modcacherw" in made["GOFLAGS"]
    for name in ("GOCACHE", "GOPATH", "GOMODCACHE", "GOTMPDIR"):
        assert Path(made[name]).is_relative_to(tmp_path)


def test_the_build_names_its_version(tmp_path: Path) -> None:
    arguments = local_buildkit.build_arguments("go", "v0.32.2", tmp_path)
    assert any(one.endswith("version.Version=v0.32.2") for one in arguments)
    assert arguments[-2:] == ("./cmd/buildkitd", "./cmd/buildctl")


def test_files_in_a_tarball_are_the_same_every_time(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"text")
    program.chmod(0o600)
    for name in ("one.tar", "two.tar"):
        local_recipes.add_files(tmp_path / name, {"uv": program})
        program.touch()
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    local_recipes.add_files(tmp_path / "one.tar", {"./usr/bin/other": program})
    with tarfile.open(tmp_path / "one.tar") as archive:
        assert [(m.name, m.mode, m.uid) for m in archive] == [
            ("uv", 0o755, 0),
            ("./usr/bin/other", 0o755, 0),
        ]


# -- what goes wrong


class Follower:
    """A program that printed lines and ended."""

    def __init__(self, status: int, *lines: bytes) -> None:
        self.status, self.printed = status, lines

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def lines(self) -> tuple[bytes, ...]:
        return self.printed

    def wait(self) -> int:
        return self.status


def run_recipe() -> None:
    local_recipes.run_recipe(
        ["tool", "argument"], failure="it cannot be made", hint="mend it", missing="install it"
    )


def test_a_missing_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def follow(*arguments: Any, **options: Any) -> Any:
        raise FileNotFoundError

    monkeypatch.setattr(process, "follow", follow)
    with pytest.raises(ImageUnavailableError, match="there is no tool here") as raised:
        run_recipe()
    assert raised.value.problems[0].hint == "install it"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"E: unable to pick chroot mode", ImageUnavailableError),
        (b"Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", EngineError),
    ],
)
def test_a_step_that_fails(
    said: bytes, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "follow", lambda *_, **__: Follower(1, b"I: begins", said))
    with pytest.raises(error) as raised:
        run_recipe()
    assert "unable to pick" in str(raised.value) or error is EngineError


def test_a_step_that_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "follow", lambda *_, **__: Follower(0, b"E: is not looked at"))
    run_recipe()


def test_all_there_takes_one_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []

    def run(arguments: Any, **options: Any) -> Completed:
        asked.append(tuple(arguments))
        return Completed(tuple(arguments), 0, "sha256:1\nsha256:2\n", "")

    (tmp_path / "pyproject.toml").write_text("[tool.dockyard]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(process, "interruptible", lambda: None)
    assert main(["--ensure"]) == 0
    assert len(asked) == 1
    assert asked[0][-2:] == ("dockyard.local/python:3.13", "dockyard.local/uv:0.13.9")
    assert capsys.readouterr() == ("", "")


def test_no_docker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: Any, **options: Any) -> Completed:
        raise FileNotFoundError

    (tmp_path / "pyproject.toml").write_text("[tool.dockyard]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(process, "interruptible", lambda: None)
    assert main(["--needs"]) == EngineError.exit_code
    assert "./bootstrap" in capsys.readouterr().err


def test_who_asks_gets_stand_ins_and_is_told_what_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(local_images, "inspect_images", lambda names: {UV.name: {}})
    monkeypatch.setattr(local_images, "_make", lambda image, cache: made.append(image.name))
    ensure_local_images(PYTHON.reference, UV.reference, "registry.example/base:1")
    assert made == [PYTHON.name]
    assert "registry.example/base:1" in capsys.readouterr().err
