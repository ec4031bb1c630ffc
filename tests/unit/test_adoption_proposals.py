"""What is proposed for a project, from its metadata, its lock and the names of its files."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from dockyard.adoption.commands import propose_start
from dockyard.adoption.debian import DebianPackages, debian_packages, debian_table
from dockyard.adoption.proposals import (
    choose_extras,
    choose_groups,
    choose_python,
    differing,
    propose_settings,
    with_choices,
)
from dockyard.adoption.shape import ProjectShape, look_at
from dockyard.lock import Package
from dockyard.settings import parse_setting
from support.locks import make_package

PACKAGE = ("src/shop/__init__.py",)


def shape(*files: str, direct: Collection[str] = (), **more: Any) -> ProjectShape:
    return ProjectShape("shop", frozenset(files), direct=frozenset(direct), **more)


@pytest.mark.parametrize(
    ("files", "direct", "locked", "command"),
    [
        (["src/shop/main.py"], ["fastapi"], ["uvicorn"], "uvicorn shop.main:app --host 0.0.0.0"),
        (["src/shop/asgi.py"], ["starlette"], ["uvicorn"], "uvicorn shop.asgi:application --host"),
        (
            ["main.py"],
            ["litestar"],
            ["granian"],
            "granian --interface asgi --host 0.0.0.0 main",
        ),
        (["main.py"], ["quart"], ["hypercorn"], "hypercorn --bind 0.0.0.0:8000 main:app"),
        (["src/shop/__main__.py", "src/shop/main.py"], ["fastapi"], [], "python -m shop"),
        (["src/shop/main.py"], ["fastapi"], [], "python -m shop.main"),
        (["src/manage.py", "src/shop/wsgi.py"], ["django"], ["gunicorn"], "gunicorn shop.wsgi:app"),
        (["manage.py", "shop/asgi.py"], ["django"], ["uvicorn"], "uvicorn shop.asgi:application"),
        (
            ["manage.py", "shop/wsgi.py"],
            ["django"],
            ["waitress"],
            "waitress-serve --listen=0.0.0.0",
        ),
        (["manage.py", "shop/wsgi.py"], ["django"], [], "python manage.py runserver --noreload"),
        (["app.py"], ["flask"], ["gunicorn"], "gunicorn app:app --bind 0.0.0.0:8000"),
        (
            ["src/shop/wsgi.py"],
            ["flask"],
            ["waitress"],
            "waitress-serve --listen=0.0.0.0:8000",
        ),
        (["shop/__init__.py"], ["flask"], ["gunicorn"], "python -m flask --app shop run --host"),
        (["app.py"], ["flask"], [], "python -m flask --app app run --host 0.0.0.0 --port 5000"),
        (["streamlit_app.py"], ["streamlit"], ["streamlit"], "streamlit run streamlit_app.py"),
        (["src/shop/app.py"], ["streamlit"], ["streamlit"], "streamlit run src/shop/app.py"),
        (["src/shop/celery.py"], ["celery"], ["celery"], "celery -A shop worker --loglevel=INFO"),
        (["src/shop/tasks.py"], ["celery"], ["celery"], "celery -A shop.tasks worker"),
        (["src/shop/jobs.py"], ["rq"], ["rq"], "rq worker"),
        (["src/shop/tasks.py"], ["dramatiq"], ["dramatiq"], "dramatiq shop.tasks"),
        (["src/shop/worker.py"], ["arq"], ["arq"], "arq shop.worker.WorkerSettings"),
        (["src/shop/__main__.py"], [], [], "python -m shop"),
        (["main.py"], [], [], "python -m main"),
        (["job.py"], [], [], "python -m job"),
        (["src/shop/__init__.py", "src/shop/only.py"], [], [], "python -m shop.only"),
        (["src/other/__main__.py", "src/shop/x.py"], [], [], "python -m other"),
        # What serves is asked for before what works in the background.
        (["src/shop/main.py", "src/shop/tasks.py"], ["celery", "fastapi"], ["uvicorn"], "uvicorn"),
        # Locked, but only because something else asks for it.
        (["src/shop/main.py"], [], ["fastapi", "uvicorn"], "uvicorn shop.main:app"),
        # Nobody runs a project by its tests, its tools or the documents' configuration.
        (["tests/main.py", "noxfile.py", "docs/conf.py", "shop.py"], [], [], "python -m shop"),
    ],
)
def test_the_command_is_told_from_names(
    files: list[str], direct: list[str], locked: list[str], command: str
) -> None:
    start = propose_start(shape(*files, direct=direct), {*direct, *locked})
    assert " ".join(start.command).startswith(command)


def test_no_command_is_proposed_where_none_is_to_be_seen() -> None:
    assert propose_start(shape("src/shop/__init__.py"), ()).command == ()
    start = propose_start(shape("src/shop/first.py", "src/shop/second.py"), ())
    assert start.command == ()
    assert any("no command was found" in note for note in start.notes)


@pytest.mark.parametrize(
    ("builds", "command", "wheel"),
    [
        (True, ("shop",), True),
        (False, ("python", "-c", "import sys; from shop.cli import run; sys.exit(run())"), False),
    ],
)
def test_a_script_is_installed_where_the_project_can_be_built(
    builds: bool, command: tuple[str, ...], wheel: bool
) -> None:
    scripts = {"admin": "shop.admin:run", "shop": "shop.cli:run"}
    found = shape("src/shop/cli.py", "src/shop/admin.py", scripts=scripts, builds=builds)
    start = propose_start(found, ())
    assert (start.command, start.wheel) == (command, wheel)
    settings = {one.key: one.value for one in settings_of(found, start)}
    assert settings["install"] == ("wheel" if wheel else "copy")


def test_fastapis_own_entrypoint_goes_first() -> None:
    found = shape("src/shop/main.py", direct=["fastapi"], entrypoint="shop.web:api")
    assert propose_start(found, {"uvicorn"}).command[1] == "shop.web:api"


def test_services_get_a_port_and_a_health_check_and_jobs_get_neither() -> None:
    web = propose_start(shape("main.py", direct=["fastapi"]), {"uvicorn"})
    assert web.port == 8000
    assert "8000" in web.health_check[-1]
    page = propose_start(shape("app.py", direct=["streamlit"]), {"streamlit"})
    assert page.port == 8501
    assert "/_stcore/health" in page.health_check[-1]
    job = propose_start(shape("src/shop/__main__.py"), ())
    assert (job.port, job.health_check) == (None, ())


def settings_of(
    found: ProjectShape, start: Any = None, debian: DebianPackages | None = None, **more: Any
) -> tuple[Any, ...]:
    start = start or propose_start(found, found.direct)
    options = {"dockerfile": "docker/Dockerfile", **more}
    return propose_settings(found, start, debian or DebianPackages(), **options)


@pytest.mark.parametrize(
    ("files", "members", "paths"),
    [
        (["src/shop/main.py", "tests/test_main.py", "README.md"], (), ["src"]),
        (["src/shop/main.py", "migrations/1.py", "alembic.ini"], (), None),
        (["app.py", "noxfile.py", "shop/__init__.py", "tests/test_a.py"], (), ["app.py", "shop"]),
        (["app.py", "templates/a.html", "static/a.css", "docs/conf.py"], (), None),
        (["packages/a/src/a/b.py", "packages/c/src/c/d.py"], ("packages/a/src",), None),
        (["src/shop/x.py", "libs/c/src/c/d.py"], ("libs/c/src",), ["src", "libs/c/src"]),
    ],
)
def test_what_is_copied_is_the_application(
    files: list[str], members: tuple[str, ...], paths: list[str] | None
) -> None:
    expected = {
        "migrations/1.py": ["src", "migrations", "alembic.ini"],
        "templates/a.html": ["app.py", "templates", "static"],
        "packages/c/src/c/d.py": ["packages/a/src"],
    }
    [copied] = [
        one.value for one in settings_of(shape(*files, members=members)) if one.key == "copy-paths"
    ]
    assert copied == (paths or expected[files[1]])


def test_defaults_are_not_written() -> None:
    found = settings_of(shape("src/shop/__main__.py"))
    assert [one.key for one in differing(found, image="shop")] == ["command"]
    assert [one.key for one in differing(found, image="other")] == ["image", "command"]


def test_a_folders_name_becomes_an_images() -> None:
    found = ProjectShape("my shop (new)", frozenset())
    assert settings_of(found)[0].value == "my-shop-new"


def test_every_proposal_is_a_valid_setting() -> None:
    found = shape("src/shop/main.py", direct=["fastapi"], native=True, builds=True)
    start = propose_start(found, {"uvicorn"})
    debian = DebianPackages(("libpq-dev",), "psycopg2", ("libpq5",), "psycopg2")
    more = {
        "extras": (("web", "so called"),),
        "groups": (("prod", "so called"),),
        "python": ("docker.io/library/python:3.12-slim-trixie", "pinned"),
        "dockerfile": "docker/Dockerfile.dockyard",
    }
    for one in settings_of(found, start, debian, **more):
        assert parse_setting(one.key, one.value) == one.value, one.key
    values = {one.key: one.value for one in settings_of(found, start, debian, **more)}
    assert values["install"] == "wheel"
    assert values["build-packages"] == ["build-essential", "libpq-dev"]


def test_extras_for_production_for_servers_and_for_the_cpu_are_chosen() -> None:
    found = shape(
        direct=["fastapi"],
        extras={
            "cpu": frozenset({"torch"}),
            "gpu": frozenset({"torch"}),
            "dev": frozenset({"pytest"}),
            "production": frozenset({"sentry-sdk"}),
            "standalone": frozenset({"uvicorn"}),
        },
        conflicts=(frozenset({"cpu", "gpu"}),),
        groups={"dev": frozenset({"ruff"}), "deploy": frozenset({"boto3"})},
    )
    chosen = choose_extras(found)
    assert [name for name, _ in chosen] == ["cpu", "production", "standalone"]
    assert [name for name, _ in choose_groups(found)] == ["deploy"]
    asked = with_choices(found, ["standalone"], ["deploy"]).direct
    assert asked == {"fastapi", "uvicorn", "boto3"}


def test_of_extras_that_exclude_each_other_one_is_chosen() -> None:
    found = shape(
        extras={"server": frozenset(), "web": frozenset()},
        conflicts=(frozenset({"server", "web"}),),
    )
    assert [name for name, _ in choose_extras(found)] == ["server"]


DEFAULT_IMAGE = "docker.io/library/python:3.13-slim-trixie"


@pytest.mark.parametrize(
    ("requires", "pinned", "tag"),
    [
        (">=3.11", None, None),
        (">=3.11,<3.13", None, "3.12-slim-trixie"),
        (">=3.14", None, "3.14-slim-trixie"),
        (">=3.11", "3.12", "3.12-slim-trixie"),
        (">=3.13", "3.12", None),
        (">=3.20", None, None),
        ("nonsense", "3.12", None),
    ],
)
def test_the_python_image_is_one_that_the_project_allows(
    requires: str, pinned: str | None, tag: str | None
) -> None:
    chosen = choose_python(shape(requires_python=requires, python_version=pinned), DEFAULT_IMAGE)
    assert (chosen and chosen[0].rpartition(":")[2]) == tag


def test_another_image_than_dockers_python_is_the_users_affair() -> None:
    found = shape(requires_python=">=3.11,<3.13")
    assert choose_python(found, "registry.example.com/base:stable") is None


def packages(*names: str, wheel: bool = False) -> list[Package]:
    return [make_package(name, wheel=wheel) for name in names]


def test_debian_packages_are_proposed_for_what_has_no_wheel() -> None:
    found = debian_packages(packages("psycopg2", "mysqlclient"))
    assert found.build == (
        "default-libmysqlclient-dev",
        "gcc",
        "libc6-dev",
        "libpq-dev",
        "pkg-config",
    )
    assert found.runtime == ("libmariadb3", "libpq5")
    assert "psycopg2" in found.build_reason
    assert debian_packages(packages("psycopg2", wheel=True)) == DebianPackages()


def test_what_a_wheel_lacks_is_proposed_whether_or_not_it_is_compiled() -> None:
    assert debian_packages(packages("lightgbm", wheel=True)).runtime == ("libgomp1",)
    assert debian_packages(packages("psycopg", wheel=True)).runtime == ("libpq5",)
    binary = packages("psycopg", "psycopg-binary", wheel=True)
    assert debian_packages(binary).runtime == ()


def test_what_is_not_known_is_told_apart_by_the_wheels_for_others() -> None:
    found = debian_packages(packages("pure", "compiled"), {"pure": False, "compiled": True})
    assert found.build == ("build-essential",)
    assert found.unknown == ("pure",)


def test_a_debian_python_has_its_headers_in_a_package() -> None:
    assert "python3-dev" in debian_packages(packages("uwsgi"), headers=False).build
    assert "python3-dev" not in debian_packages(packages("uwsgi")).build


def test_the_table_is_whole() -> None:
    names = list(debian_table())
    assert names == sorted(names)
    for name, entry in debian_table().items():
        assert entry["source"].startswith(("https://", "http://")), name
        assert entry.keys() <= {"name", "build", "runtime", "always", "unless", "source"}
        assert entry.get("build") or entry.get("always"), name
        for key, setting in (("build", "build-packages"), ("runtime", "runtime-packages")):
            parse_setting(setting, [*entry.get(key, []), *entry.get("always", [])])


@pytest.fixture(scope="module")
def opened() -> list[str]:
    """Every file that is opened from now on; an audit hook sees all of them, and stays."""
    found: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            found.append(str(arguments[0]))

    sys.addaudithook(hook)
    return found


def test_a_project_is_looked_at_without_its_code_being_opened(
    tmp_path: Path, opened: list[str]
) -> None:
    for name in (
        "src/shop/main.py",
        "src/.hidden/a.py",
        "node_modules/a/b.py",
        "deep/a/b/c/d/e/f.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise SystemExit")
    (tmp_path / "src/loop").symlink_to(tmp_path)
    (tmp_path / ".python-version").write_text("cpython-3.12.4\n")
    pyproject = {
        "project": {
            "name": "My_Shop",
            "dependencies": ["Flask[async]>=3; python_version > '3'", "not a requirement !"],
            "optional-dependencies": {"Web_Server": ["uvicorn"]},
        },
        "build-system": {"build-backend": "hatchling.build"},
        "tool": {
            "uv": {
                "index": [
                    {"name": "company", "url": "https://packages.example.com/simple"},
                    {"name": "torch", "url": "https://download.pytorch.org/whl/cpu"},
                ]
            }
        },
    }
    opened.clear()
    found = look_at(tmp_path, pyproject)
    inside = [name for name in opened if name.startswith(str(tmp_path))]
    assert inside == [str(tmp_path / ".python-version")]
    assert found.name == "my-shop"
    assert found.files == {"src/shop/main.py"}
    assert found.direct == {"flask"}
    assert found.extras == {"web-server": {"uvicorn"}}
    assert found.python_version == "3.12"
    assert found.protected == ("company",)


@pytest.mark.parametrize(
    ("backend", "files", "packages", "copied"),
    [
        ("maturin", ["Cargo.toml"], ["build-essential", "cargo"], ["src", "Cargo.toml"]),
        ("scikit_build_core.build", ["csrc/a.cpp"], ["build-essential"], ["src", "csrc"]),
        ("setuptools.build_meta", ["src/shop/a.pyx", "setup.py"], ["build-essential"], None),
        ("setuptools.build_meta", ["src/shop/slow.py"], [], ["src"]),
        ("hatchling.build", ["vendor/a.c"], [], ["src"]),
    ],
)
def test_projects_with_compiled_parts_are_installed(
    tmp_path: Path, backend: str, files: list[str], packages: list[str], copied: list[str] | None
) -> None:
    for name in (*files, "src/shop/__main__.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = look_at(
        tmp_path, {"project": {"name": "shop"}, "build-system": {"build-backend": backend}}
    )
    values = {one.key: one.value for one in settings_of(found)}
    assert values["install"] == ("wheel" if packages else "copy")
    assert values["build-packages"] == packages
    assert values["copy-paths"] == (copied or ["src", "setup.py"])
