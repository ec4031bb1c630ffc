"""The scripts that the Dockerfile carries: which index, which layer, what is left out."""

from __future__ import annotations

import importlib.util
import os
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dockyard.layer_reports import BuiltFromSource, IndexAttempt, parse_report

TEMPLATES = Path(__file__).parents[2] / "src/dockyard/templates"
PYPI = "https://pypi.org/simple"
COMPANY = "https://packages.example/simple"


def script(name: str) -> ModuleType:
    """Load a script as a module, without writing bytecode beside it."""
    loader = SourceFileLoader(name.replace("-", "_"), str(TEMPLATES / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    exec(compile((TEMPLATES / name).read_text(), name, "exec"), module.__dict__)
    return module


install = script("install-layer")
finish = script("finish-layer")
split = script("split-lock")


@pytest.mark.parametrize(
    ("environment", "index", "pinned", "expected"),
    [
        ({}, PYPI, False, [("default", PYPI)]),
        ({"UV_DEFAULT_INDEX": COMPANY}, PYPI, False, [("default", COMPANY)]),
        ({}, f"company={COMPANY}", False, [("default", f"company={COMPANY}")]),
        (
            {"DOCKYARD_UV_MIRRORS": "https://a/simple https://b/simple/", "UV_DEFAULT_INDEX": PYPI},
            PYPI,
            False,
            [
                ("mirror", "https://a/simple"),
                ("mirror", "https://b/simple"),
                ("default", PYPI),
            ],
        ),
        (
            {"DOCKYARD_UV_MIRRORS": "https://a/simple second=https://c/simple"},
            f"second={COMPANY}",
            True,
            [("mirror", "https://c/simple"), ("index", f"second={COMPANY}")],
        ),
        (
            {"DOCKYARD_UV_MIRRORS": f"https://a/simple {COMPANY}=https://c/simple"},
            COMPANY,
            True,
            [("mirror", "https://c/simple"), ("index", COMPANY)],
        ),
        (
            {"UV_DEFAULT_INDEX": COMPANY, "DOCKYARD_UV_MIRRORS": "https://a/simple"},
            f"pypi={PYPI}",
            True,
            [("mirror", "https://a/simple"), ("index", f"pypi={PYPI}")],
        ),
        (
            {"UV_INDEX": "second=https://d/simple other=https://e/simple"},
            f"second={COMPANY}",
            True,
            [("index", "second=https://d/simple"), ("index", f"second={COMPANY}")],
        ),
        (
            {"UV_DEFAULT_INDEX": "https://d/simple"},
            f"second={COMPANY}",
            True,
            [("index", f"second={COMPANY}")],
        ),
    ],
)
def test_mirrors_come_before_the_index_that_they_mirror(
    environment: dict[str, str], index: str, pinned: bool, expected: list[tuple[str, str]]
) -> None:
    assert install.candidates(environment, index, pinned) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Typing_Extensions==4.1 --hash=sha256:00", "typing-extensions==4.1"),
        ("a[extra]==1.0 ; python_version > '3'", "a==1.0"),
        ("a==1.0; python_version > '3'", "a==1.0"),
        ("a @ git+https://git.example/a@0123", "a"),
        ("torch==2.0+cpu", "torch==2.0+cpu"),
    ],
)
def test_requirements_are_called_as_uv_calls_them(line: str, expected: str) -> None:
    assert install.distribution(line) == expected


SAID = """\
Resolved 3 packages in 5ms
DEBUG Identified uncached distribution: one==1.0
DEBUG Registry requirement already cached: two-x==2.0
DEBUG Identified uncached distribution: hatchling==1.0
DEBUG Identified uncached distribution: four @ git+https://git.example/four@0123
DEBUG something else
 + one==1.0
"""


class Uv:
    """Stands in for uv: says what the real one does, and what it is asked next, another thing."""

    def __init__(self, *said: str, status: int = 0) -> None:
        self.said, self.returncode = list(said), status
        self.environments: list[dict[str, str]] = []

    def __call__(self, command: list[str], *, env: dict[str, str], **_: object) -> Uv:
        self.environments.append(env)
        self.stderr = self.said.pop(0).splitlines(keepends=True)
        return self

    def __enter__(self) -> Uv:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_what_uv_tells_of_its_cache_is_reported_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uv = Uv(SAID, SAID.replace("Identified uncached distribution", "Requirement already cached"))
    monkeypatch.setattr(install.subprocess, "Popen", uv)
    monkeypatch.delenv("RUST_LOG", raising=False)
    installer = install.Installer("dependencies-1")
    lines = ["one==1.0 --hash=sha256:00", "two_x==2.0", "four @ git+https://git.example/four@0123"]
    for _ in range(2):  # what uv says of a second attempt is of what the first has fetched
        installer.install(lines, PYPI, hashed=False)
    installer.note("default", PYPI, lines, [], 0, "")
    installer.note_builds()
    shown, errors = capsys.readouterr()
    assert uv.environments[0]["RUST_LOG"] == "uv_installer::plan=debug"
    assert "Identified" not in errors
    assert errors.startswith("Resolved 3 packages in 5ms\nDEBUG something else\n + one==1.0\n")
    attempt, built = (found for line in shown.splitlines() for found in parse_report(line))
    assert isinstance(attempt, IndexAttempt)
    assert attempt.served == ("one", "two-x", "four")
    assert (attempt.downloaded, attempt.cached) == (("one", "four"), ("two-x",))
    assert built == BuiltFromSource("dependencies-1", ("hatchling==1.0",))


def test_of_what_an_index_did_not_give_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install.subprocess, "Popen", Uv("", status=1))
    monkeypatch.setenv("RUST_LOG", "off")
    installer = install.Installer("dependencies-1")
    installer.install(["one==1.0"], PYPI)
    installer.note("mirror", PYPI, ["one==1.0", "two==1.0"], ["one==1.0"], 0, "")
    (found,) = parse_report(capsys.readouterr().out)
    assert isinstance(found, IndexAttempt)
    assert (found.served, found.downloaded, found.cached) == (("two",), (), ())


def test_credentials_are_not_in_what_is_told() -> None:
    told = install.without_credentials("https://me:secret@a.example/simple and https://tok@b/x")
    assert told == "https://a.example/simple and https://b/x"


def test_secrets_become_the_environment_and_one_bundle_of_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = tmp_path / "public.pem"
    public.write_text("the public ones")
    monkeypatch.setattr(install, "SECRETS", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    assert install.settings()["SSL_CERT_FILE"] == str(public)
    (tmp_path / "ca-file").write_text("the private one")
    written = "UV_INDEX_A_PASSWORD='it'\"'\"'s $x'\nexport UV_DEFAULT_INDEX=https://a/b#c\n# note\n"
    (tmp_path / "uv-environment").write_text(written)
    found = install.settings()
    assert Path(found["SSL_CERT_FILE"]).read_text() == "the public ones\nthe private one"
    assert found["GIT_SSL_CAINFO"] == found["REQUESTS_CA_BUNDLE"] == found["SSL_CERT_FILE"]
    assert found["UV_INDEX_A_PASSWORD"] == "it's $x"
    assert found["UV_DEFAULT_INDEX"] == "https://a/b#c"
    assert found["SOURCE_DATE_EPOCH"] == "315532800"


def lock(*packages: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "package": [
            {"name": name, "version": version, "source": {"registry": url}}
            for name, version, url in packages
        ]
    }


def project(*indexes: dict[str, Any]) -> dict[str, Any]:
    return {"tool": {"uv": {"index": list(indexes)}}}


LINES = [
    "one==1.0 --hash=sha256:00",
    "two==2.0 ; sys_platform == 'linux'     --hash=sha256:01     --hash=sha256:02",
    "far @ git+https://git.example/far.git@0123",
    "link @ https://files.example/link-1.0-py3-none-any.whl --hash=sha256:03",
    "-e ./packages/core",
    "./vendor/folder",
]
LAYERS = {"one": "1", "*": "2"}


def test_packages_go_to_their_layer_and_the_file_of_their_index() -> None:
    found = split.deal(
        LINES,
        LAYERS,
        lock(("one", "1.0", PYPI), ("two", "2.0", COMPANY)),
        project({"name": "second", "url": f"{COMPANY}/", "explicit": True}),
    )
    assert found == {
        ("1", "default.txt"): [LINES[0]],
        ("2", "index-second.txt"): [
            f"# second={COMPANY}",
            "two==2.0 ; sys_platform == 'linux' --hash=sha256:01 --hash=sha256:02",
        ],
        ("2", "direct.txt"): [LINES[2]],
        ("2", "default.txt"): [LINES[3]],
    }


@pytest.mark.parametrize(
    ("registry", "declared"),
    [
        (PYPI, ()),
        ("https://mirror.example/simple", ()),
        (COMPANY, ({"name": "company", "url": COMPANY, "default": True},)),
        ("https://mirror.example/simple", ({"name": "company", "url": COMPANY, "default": True},)),
    ],
    ids=["PyPI", "a mirror when locking", "a default of its own", "a mirror of that"],
)
def test_what_stood_in_for_the_default_index_is_no_place_of_its_own(
    registry: str, declared: tuple[dict[str, Any], ...]
) -> None:
    found = split.deal(LINES[:1], LAYERS, lock(("one", "1.0", registry)), project(*declared))
    header = [f"# company={COMPANY}"] if declared else []
    assert found == {("1", "default.txt"): [*header, LINES[0]]}


def test_an_index_that_only_the_lock_knows_keeps_its_place() -> None:
    packages = lock(("one", "1.0", PYPI), ("two", "2.0", COMPANY))
    found = split.deal(LINES[:2], LAYERS, packages, {})
    assert found["2", "index-packages-example-simple.txt"][0] == f"# {COMPANY}"


def test_pypi_as_a_named_explicit_index_keeps_its_place() -> None:
    declared = project({"name": "upstream", "url": PYPI, "explicit": True})
    packages = lock(("one", "1.0", PYPI), ("two", "2.0", COMPANY))
    found = split.deal(LINES[:2], LAYERS, packages, declared)
    assert found["1", "index-upstream.txt"][0] == f"# upstream={PYPI}"
    assert found["2", "default.txt"] == [
        "two==2.0 ; sys_platform == 'linux' --hash=sha256:01 --hash=sha256:02"
    ]


def locked(
    registry: str = PYPI, names: tuple[str, ...] = ("one-1.0-py3-none-any.whl",), **more: Any
) -> dict[str, Any]:
    """A lock of one package with these wheels."""
    wheels = [
        {"url": f"https://files.example/aa/{name}", "hash": f"sha256:{number:064}", "size": 5}
        for number, name in enumerate(names)
    ]
    package = {"name": "one", "version": "1.0", "source": {"registry": registry}}
    return {"package": [{**package, "wheels": wheels, **more}]}


def addresses(
    lock: dict[str, Any], line: str = LINES[0], *declared: dict[str, Any]
) -> dict[str, Any] | None:
    """What the layer's pylock.toml says, if there is one."""
    found = split.deal([line], LAYERS, lock, project(*declared)).get(("1", "pylock.toml"))
    return None if found is None else tomllib.loads("\n".join(found))


def test_the_locks_addresses_of_a_layers_files_are_beside_its_requirements() -> None:
    """Those of wheels that a Linux can take, and of the source."""
    names = (
        "one-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "one-1.0-cp313-cp313-musllinux_1_2_aarch64.whl",
        "one-1.0-py3-none-any.whl",
        "one-1.0-cp313-cp313-macosx_11_0_arm64.whl",
        "one-1.0-cp313-cp313-win_amd64.whl",
    )
    source = {"url": "https://files.example/one-1.0.tar.gz", "hash": "sha256:" + "f" * 64}
    found = addresses(
        locked(names=names, sdist=source),
        "one[fast]==1.0 ; python_full_version < '3.14' and extra == \"a\\b\" --hash=sha256:00",
    )
    assert found == {
        "lock-version": "1.0",
        "created-by": "dockyard",
        "packages": [
            {
                "name": "one",
                "version": "1.0",
                "marker": "python_full_version < '3.14' and extra == \"a\\b\"",
                "index": PYPI,
                "wheels": [
                    {
                        "url": f"https://files.example/aa/{name}",
                        "hashes": {"sha256": f"{number:064}"},
                    }
                    for number, name in enumerate(names[:3])
                ],
                "sdist": {"url": source["url"], "hashes": {"sha256": "f" * 64}},
            }
        ],
    }


def test_a_declared_default_indexs_addresses_are_the_locks_too() -> None:
    for default in ({"name": "company", "url": COMPANY, "default": True}, {"url": COMPANY}):
        found = addresses(locked(COMPANY), LINES[0], {**default, "default": True})
        assert found
        assert found["packages"][0]["index"] == COMPANY


@pytest.mark.parametrize(
    ("lock", "line"),
    [
        (locked("https://mirror.example/simple"), LINES[0]),
        (locked(names=("one-1.0-py3-none-any.whl?token=planted",)), LINES[0]),
        (locked(names=()), LINES[0]),
        (locked(names=("one-1.0-cp313-cp313-win_amd64.whl",)), LINES[0]),
        (locked(wheels=[{"url": "https://me:planted@x/one-1.0-py3-none-any.whl"}]), LINES[0]),
        (locked(wheels=[{"url": "https://x/one-1.0-py3-none-any.whl"}]), LINES[0]),
        (locked(wheels=[{"path": "one-1.0-py3-none-any.whl", "hash": "sha256:00"}]), LINES[0]),
        (locked(sdist={"path": "one-1.0.tar.gz", "hash": "sha256:00"}), LINES[0]),
        (locked(), "one @ https://x/one-1.0-py3-none-any.whl --hash=sha256:03"),
        ({}, LINES[0]),
    ],
    ids=[
        *("of a stand-in", "a query", "no file", "none for Linux", "a login", "no hash", "a path"),
        *("a source that is a path", "a direct reference", "not in the lock"),
    ],
)
def test_where_the_lock_has_not_all_addresses_there_are_none(
    lock: dict[str, Any], line: str
) -> None:
    assert addresses(lock, line) is None


def test_one_package_without_an_address_leaves_its_layer_to_the_index() -> None:
    lock = locked()
    lock["package"].append({"name": "two", "version": "2.0", "source": {"registry": PYPI}})
    both = split.deal(LINES[:2], {"*": "1"}, lock, project())
    apart = split.deal(LINES[:2], LAYERS, lock, project())
    assert list(both) == [("1", "default.txt")]
    assert list(apart) == [("1", "default.txt"), ("2", "default.txt"), ("1", "pylock.toml")]


@pytest.mark.parametrize(
    ("index", "environment", "used"),
    [
        (PYPI, {}, True),
        (f"company={PYPI}", {}, True),
        (COMPANY, {}, False),
        ("https://me:planted@pypi.org/simple", {}, False),
        (PYPI, {"UV_NO_INDEX": "1"}, False),
        (PYPI, {"UV_FIND_LINKS": "/wheels"}, False),
    ],
)
def test_the_locks_addresses_are_used_where_nothing_set_leads_elsewhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    index: str,
    environment: dict[str, str],
    used: bool,
) -> None:
    text = "\n".join(split.deal(LINES[:1], LAYERS, locked(), project())["1", "pylock.toml"])
    (tmp_path / "pylock.toml").write_text(text)
    monkeypatch.setattr(install, "PLAN", tmp_path)
    installer = install.Installer("dependencies-1")
    installer.environment = environment
    assert installer.addresses(index) == (str(tmp_path / "pylock.toml") if used else None)
    (tmp_path / "pylock.toml").unlink()
    assert installer.addresses(index) is None


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site-packages folder with test folders of every kind."""
    found = tmp_path / "layer/opt/venv/lib/python3.13/site-packages"
    files = {
        "plain/__init__.py": "",
        "plain/tests/__init__.py": "",
        "plain/tests/test_it.py": "import plain.tests.helper",
        "plain/tests/data/deep/one.txt": "",
        "plain/tests/data/two.txt": "",
        "plain/testing/__init__.py": "",
        "plain/data/tests/kept.txt": "in no package",
        "absolute/__init__.py": "from absolute.tests.shared import X",
        "absolute/tests/shared.py": "X = 1",
        "relative/__init__.py": "",
        "relative/use.py": "from .tests import shared",
        "relative/tests/shared.py": "",
        "named/__init__.py": "FOLDER = 'tests'",
        "named/tests/data.txt": "",
        "dynamic/__init__.py": "__import__('dynamic.tests.plugin')",
        "dynamic/tests/plugin.py": "",
        "plain/_core.h": "",
        "plain/libplain.a": "!<arch>",
        "torch/include/torch.h": "",
        "plain/__pycache__/x.cpython-313.pyc": "",
        "plain-1.0.dist-info/RECORD": (
            "plain/__init__.py,,\nplain/tests/__init__.py,,\nplain/tests/test_it.py,,\n"
            'plain/libplain.a,,\n"plain/a,b.h",,\nplain-1.0.dist-info/RECORD,,\n'
        ),
    }
    for name, text in files.items():
        path = found / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return found


def names(site: Path, found: list[Path]) -> set[str]:
    return {str(path.relative_to(site)) for path in found}


def test_only_test_folders_that_nothing_refers_to_are_left_out(site: Path) -> None:
    assert names(site, finish.tests(site)) == {
        "plain/tests/__init__.py",
        "plain/tests/data/deep/one.txt",
        "plain/tests/data/two.txt",
        "plain/tests/test_it.py",
    }


def test_headers_of_what_compiles_at_run_time_are_kept(site: Path) -> None:
    assert names(site, finish.headers(site)) == {"plain/_core.h"}
    assert names(site, finish.static_libraries(site)) == {"plain/libplain.a"}
    assert names(site, finish.bytecode(site)) == {"plain/__pycache__/x.cpython-313.pyc"}


def test_what_is_left_out_is_told_and_no_longer_listed(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dockyard.layer_reports import LeftOut, parse_report

    layer = site.parents[4]
    finish.main(str(layer), "tests", "static-libraries", "bytecode")
    reports = parse_report(capsys.readouterr().out)
    assert reports[:2] == (
        LeftOut(str(layer), "tests", 4, len("import plain.tests.helper")),
        LeftOut(str(layer), "static-libraries", 1, len("!<arch>")),
    )
    assert not (site / "plain/tests").exists()
    assert not (site / "plain/__pycache__").exists()
    assert (site / "plain/testing").is_dir()
    assert (site / "plain-1.0.dist-info/RECORD").read_text() == (
        'plain/__init__.py,,\n"plain/a,b.h",,\nplain-1.0.dist-info/RECORD,,\n'
    )
    times = {os.lstat(path).st_mtime for path in [layer, *layer.rglob("*")]}
    assert times == {finish.DATE}


LOGIN = "https://me:planted@packages.example/simple"


def test_a_login_in_the_projects_url_is_in_no_requirements() -> None:
    """They are in a stage of the build, and with it in the builder's cache and in exported ones."""
    entry = {"name": "x", "version": "1", "source": {"registry": COMPANY}}
    for declared, header in (
        ({"name": "company", "url": LOGIN, "explicit": True}, f"# company={COMPANY}"),
        ({"name": "company", "url": LOGIN, "default": True}, f"# company={COMPANY}"),
        ({"url": LOGIN}, f"# {COMPANY}"),
    ):
        project = {"tool": {"uv": {"index": [declared]}}}
        found = split.deal(["x==1 --hash=sha256:a"], {"*": "1"}, {"package": [entry]}, project)
        [lines] = found.values()
        assert lines == [header, "x==1 --hash=sha256:a"]


def test_an_index_without_a_name_is_asked_with_the_login_that_is_set_for_its_url() -> None:
    environment = {"UV_INDEX": f"other=https://a/simple {LOGIN}"}
    assert install.candidates(environment, COMPANY, True) == [("index", LOGIN), ("index", COMPANY)]


def test_a_mirror_is_named_by_the_default_indexs_url_without_its_login() -> None:
    environment = {
        "UV_DEFAULT_INDEX": LOGIN,
        "DOCKYARD_UV_MIRRORS": f"{COMPANY}=https://a/simple",
    }
    assert install.candidates(environment, PYPI, False) == [
        ("mirror", "https://a/simple"),
        ("default", LOGIN),
    ]
