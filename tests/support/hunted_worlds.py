"""Projects with a secret in every place that takes one: to be let in with, or to be refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from support.engine import random_name
from support.index import PackageIndex
from support.mixed import git_server, write_package
from support.planted import Planted, basic, plant
from support.registry import Login, Registry
from support.repositories import commit_all, git, publish
from support.service import TASKS
from support.wheels import make_sdist, make_wheel, run_uv

__all__ = [
    "CLOSED",
    "Kind",
    "Servers",
    "World",
    "hunted_servers",
    "make_world",
    "world_project",
]

# A package is from each, and each wants its own login. netrc knows no ports, so it has an address.
NAMED = ("environment", "dotenv", "netrc", "keeper", "index-url", "index-user", "pyproject")
INDEXES = ("default", "mirror", *NAMED)
ADDRESSES = {"netrc": "127.0.0.2"}
CLOSED = "127.0.0.1:9"  # nothing listens there
OTHERS = (
    "git dependency",
    "git remote",
    "Docker's config.json",
    "identity token",
    "credential helper",
    "DOCKER_AUTH_CONFIG",
    "cache backend",
    "AWS_SECRET_ACCESS_KEY",
    "ACTIONS_RUNTIME_TOKEN",
    "GITHUB_TOKEN",
    "HTTPS_PROXY",
    "proxy of config.json",
    "builder's key",
)


@dataclass(frozen=True)
class Servers:
    """What the projects are served by: indexes by place, repositories of git, two registries.

    ``registry`` takes one login, ``tokens`` another or an identity token, at its token server.
    """

    indexes: Mapping[str, PackageIndex]
    git_url: str
    repositories: Path
    registry: Registry
    tokens: Registry

    @property
    def helped(self) -> str:
        """The second registry's address for which a credential helper is asked."""
        return f"localhost:{self.tokens.host.rpartition(':')[2]}"


@contextmanager
def hunted_servers(folder: Path) -> Iterator[Servers]:
    """Start all servers; nobody is asked for a login yet."""
    repositories = folder / "repositories"
    repositories.mkdir(parents=True)
    with ExitStack() as stack:
        yield Servers(
            {
                place: stack.enter_context(PackageIndex(bind=ADDRESSES.get(place, "127.0.0.1")))
                for place in INDEXES
            },
            stack.enter_context(git_server(repositories)),
            repositories,
            stack.enter_context(Registry(folder / "registry")),
            stack.enter_context(Registry(folder / "tokens")),
        )


@dataclass(frozen=True)
class World:
    """A project at ``root``, its user's ``home``, and what a command's environment has.

    ``planted`` by place; ``own`` are the files that the secrets were planted in.
    """

    root: Path
    home: Path
    environment: Mapping[str, str]
    planted: Mapping[str, Planted]
    own: frozenset[Path]

    def copied(self, folder: Path) -> World:
        """Return the same world with a project of its own in another folder."""
        root = folder / "project"
        shutil.copytree(self.root, root)
        moved = {root / one.relative_to(self.root) for one in self.own if self.root in one.parents}
        return replace(self, root=root, own=self.own | moved)


class Kind:
    """What becomes of a world's logins."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


def world_project(
    folder: Path, servers: Servers, name: str, planted: Mapping[str, Planted]
) -> Path:
    """Write the project, lock it, and let the servers want these logins from then on."""
    made, root = folder / "packages", folder / "project"
    made.mkdir(parents=True)
    names = {place: random_name() for place in (*INDEXES, "git")}
    for place, index in servers.indexes.items():
        package = names[place]
        # One is built from source, so that there is something in the cache of what was built.
        make = make_sdist if place == "environment" else make_wheel
        kept = made / place
        kept.mkdir()
        index.add(make(kept, package, "1.0", size=3_000))
        if place == "mirror":  # of the default index, which it has one package of
            servers.indexes["default"].add(kept / next(kept.iterdir()).name)
    work = folder / "work"
    work.mkdir()
    write_package(work, names["git"])
    publish(work, servers.repositories / f"{names['git']}.git")
    tables = [
        f'\n[tool.dockyard]\nimage = "{name}"\ncopy-paths = ["src"]\nlayers = 3\n',
        "\n[tool.uv.sources]\n",
        *(f'{names[place]} = {{ index = "by-{place}" }}\n' for place in NAMED),
        f'{names["git"]} = {{ git = "'
        f'{_with_login(servers.git_url, planted["git dependency"])}/{names["git"]}.git" }}\n',
    ]
    for place in NAMED:
        url = servers.indexes[place].url
        if place == "pyproject":
            url = _with_login(url, planted[place])
        tables.append(f'\n[[tool.uv.index]]\nname = "by-{place}"\nurl = "{url}"\nexplicit = true\n')
    write_package(root, name, *(names[one] for one in names), more="".join(tables))
    (root / "tasks.py").write_text(TASKS)
    (root / ".gitignore").write_text("__pycache__/\n.env\n")
    run_uv("lock", "--no-cache", "--default-index", servers.indexes["default"].url, cwd=root)
    for place, index in servers.indexes.items():
        login = planted[place]
        user, password = (login.secret, "") if place == "index-user" else (login.user, login.secret)
        index.authorization = f"Basic {basic(user, password)}"
    servers.registry.login = _login(planted["Docker's config.json"])
    servers.tokens.login = _login(
        planted["credential helper"], token=planted["identity token"].secret
    )
    return root


def _login(planted: Planted, token: str | None = None) -> Login:
    return Login(planted.user, planted.secret, tokens=token is not None, identity_token=token)


def _with_login(url: str, planted: Planted) -> str:
    return url.replace("://", f"://{planted.pair}@")


def make_world(
    folder: Path,
    project: Path,
    planted: Mapping[str, Planted],
    servers: Servers,
    kind: str,
    images: Mapping[str, str],
    other: Mapping[str, Planted],
) -> World:
    """Copy the project to where its secrets are ``planted``, in place of ``other`` ones.

    ``images`` are further variables: which base images, which builder.
    """
    root, home, tools = folder / "project", folder / "home", folder / "tools"
    shutil.copytree(project, root)
    for made in (home / ".docker", tools):
        made.mkdir(parents=True)
    pyproject = root / "pyproject.toml"
    text = pyproject.read_text()
    for place in ("pyproject", "git dependency"):
        text = text.replace(other[place].pair, planted[place].pair)
    pyproject.write_text(text)
    environment, own = _variables(folder, planted, servers, kind)
    own |= {pyproject, *_docker(home, tools, planted, servers, kind)}
    dotenv = root / ".env"
    dotenv.write_text(
        "UV_INDEX_BY_DOTENV_USERNAME=reader\n"
        f'UV_INDEX_BY_DOTENV_PASSWORD="{planted["dotenv"].secret}"\n'
    )
    git(root, "init", "--quiet", "--initial-branch=main")
    git(
        root,
        "remote",
        "add",
        "origin",
        _with_login("https://git.example.com/a.git", planted["git remote"]),
    )
    commit_all(root)
    return World(
        root,
        home,
        {**environment, **images, "HOME": str(home), "PATH": f"{tools}:{os.environ['PATH']}"},
        planted,
        frozenset({*own, dotenv, root / ".git/config"}),
    )


def _variables(
    folder: Path, planted: Mapping[str, Planted], servers: Servers, kind: str
) -> tuple[dict[str, str], set[Path]]:
    """Return the variables that hold secrets or lead to them, and the files these lead to."""
    home, tools = folder / "home", folder / "tools"

    def url(place: str) -> str:
        there = servers.indexes[place].url
        return f"http://{CLOSED}/{place}/simple" if kind == Kind.UNREACHABLE else there

    token = planted["index-user"].pair.partition(":")[2]
    further = {
        "index-url": _with_login(url("index-url"), planted["index-url"]),
        "index-user": url("index-user").replace("://", f"://{token}@"),
    }
    if kind == Kind.UNREACHABLE:
        further = {**{place: url(place) for place in NAMED}, **further}
    proxy = f"http://{planted['HTTPS_PROXY'].pair}@{CLOSED}"
    key, netrc = home / "client-key.pem", home / ".netrc"
    body = planted["builder's key"].secret
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    entry = planted["netrc"]
    netrc.write_text(f"machine 127.0.0.2 login {entry.user} password {entry.secret}\n")
    netrc.chmod(0o600)
    keeper = planted["keeper"]
    variables = {
        "LANG": "C.UTF-8",
        "UV_DEFAULT_INDEX": _with_login(url("default"), planted["default"]),
        "UV_INDEX": " ".join(f"by-{place}={at}" for place, at in further.items()),
        "UV_INDEX_BY_ENVIRONMENT_USERNAME": planted["environment"].user,
        "UV_INDEX_BY_ENVIRONMENT_PASSWORD": planted["environment"].secret,
        "UV_INDEX_BY_KEEPER_USERNAME": keeper.user,
        "DOCKYARD_UV_MIRRORS": _with_login(url("mirror"), planted["mirror"]),
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": planted["AWS_SECRET_ACCESS_KEY"].secret,
        "ACTIONS_RUNTIME_TOKEN": planted["ACTIONS_RUNTIME_TOKEN"].secret,
        "GITHUB_TOKEN": planted["GITHUB_TOKEN"].secret,
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "NO_PROXY": "localhost,127.0.0.1,127.0.0.2",
        "DOCKER_AUTH_CONFIG": json.dumps(
            {"auths": {"registry.example.com": _auth(planted["DOCKER_AUTH_CONFIG"])}}
        ),
    }
    if kind == Kind.UNREACHABLE:
        variables["NO_PROXY"] = "localhost"
    own = {key, netrc}
    if kind == Kind.ACCEPTED:
        program, kept = tools / "keyring", tools / "kept"
        kept.write_text(keeper.secret + "\n")
        program.write_text(f'#!/bin/sh\ntest "$1 $3" = "get {keeper.user}" && cat {kept}\n')
        program.chmod(0o755)
        variables["UV_KEYRING_PROVIDER"] = "subprocess"
        own |= {kept}
    else:
        store = home / "uv-store"
        login = ["uv", "auth", "login", url("keeper"), "--username", keeper.user]
        subprocess.run(
            [*login, "--password", keeper.secret],
            env={**os.environ, "UV_CREDENTIALS_DIR": str(store)},
            check=True,
            capture_output=True,
        )
        variables |= {"UV_KEYRING_PROVIDER": "native", "UV_CREDENTIALS_DIR": str(store)}
        own |= {store / "credentials.toml"}
    return variables, own


def _auth(planted: Planted) -> dict[str, str]:
    return {"auth": basic(planted.user, planted.secret)}


def _docker(
    home: Path, tools: Path, planted: Mapping[str, Planted], servers: Servers, kind: str
) -> set[Path]:
    """Write Docker's configuration and a credential helper; return the files with secrets."""
    config, helper, answer = (
        home / ".docker/config.json",
        tools / "docker-credential-hunt",
        tools / "answer",
    )
    helped = planted["credential helper"]
    answer.write_text(
        json.dumps({"ServerURL": "", "Username": helped.user, "Secret": helped.secret})
    )
    helper.write_text(f'#!/bin/sh\ntest "$1" = get && cat {answer}\n')
    helper.chmod(0o755)
    plain = CLOSED if kind == Kind.UNREACHABLE else servers.registry.host
    proxy = f"http://{planted['proxy of config.json'].pair}@{CLOSED}"
    values = {
        "auths": {
            plain: _auth(planted["Docker's config.json"]),
            servers.tokens.host: {"identitytoken": planted["identity token"].secret},
        },
        "credHelpers": {servers.helped: "hunt"},
        # Not of plain HTTP, by which Debian's packages come.
        "proxies": {"default": {"httpsProxy": proxy, "noProxy": "localhost,127.0.0.0/8"}},
    }
    config.write_text(json.dumps(values))
    plugins = Path.home() / ".docker/cli-plugins"
    if plugins.is_dir():
        (config.parent / "cli-plugins").symlink_to(plugins)
    return {config, answer}


def all_secrets(kind: str) -> dict[str, Planted]:
    """Make a secret for each place of such a world."""
    return plant((*INDEXES, *OTHERS), {"builder's key": ""}, label=f"{kind}, ")
