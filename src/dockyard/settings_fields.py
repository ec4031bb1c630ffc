"""Every setting, as one table: its names, kind, default, what is valid, and help.

Nothing is read here. :mod:`dockyard.settings` turns the table into values, and
:mod:`dockyard.env_example` into ``.env.example``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from dockyard.mirrors import PRESETS

__all__ = [
    "CREDENTIALS",
    "CREDENTIAL_NAME",
    "FIELDS",
    "OWN_PREFIX",
    "RELATIVE_PATH",
    "Field",
    "Kind",
    "Rule",
]

OWN_PREFIX = "DOCKYARD_"


class Kind(StrEnum):
    """How a setting's text is read, and what it becomes."""

    STRING = "string"  # str
    BOOLEAN = "boolean"  # bool
    INTEGER = "integer"  # int
    BYTES = "bytes"  # int, from “10GB” or “2GiB”
    STRINGS = "strings"  # tuple[str, ...]
    INTEGERS = "integers"  # tuple[int, ...]
    COMMAND = "command"  # tuple[str, ...], from shell words or a JSON array
    PATH = "path"  # Path, made absolute against the repository root
    MAPPING = "mapping"  # dict[str, str], from key=value entries


class Rule(NamedTuple):
    """A regular expression that a whole value (or entry) matches, and its name in words."""

    pattern: str
    expects: str


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?"
# https://github.com/distribution/reference/blob/main/reference.go
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = rf"(?=.{{1,255}}(?:[:@]|\Z))(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
# An “@” after the host is refused, so that a password with an unescaped “/” is never taken for one.
_URL = rf"https?://(?:[^\s/?#@]+@)?{_HOST}(?:[/?][^\s@#]*)?"
_OPTIONS = r"[a-z_-]+=[^,\s]+(?:,[a-z_-]+=[^,\s]+)*"
_ARCHITECTURE = "amd64|arm64|arm|386|loong64|mips64|mips64le|ppc64le|riscv64|s390x"

RELATIVE_PATH = Rule(
    r"(?![/-])(?![A-Za-z]:)(?!(?:.*/)?\.\.(?:/|\Z))[^\\*?\[\]]+",
    "a path below the repository root (relative, “/” between folders, without “..” or wildcards)",
)
_IMAGE_NAME = Rule(_NAME, "an image name (lower case, without a tag)")
_IMAGE_REFERENCE = Rule(
    rf"{_NAME}(?::{_TAG})?(?:@sha256:[0-9a-f]{{64}})?", "an image reference (name:tag or @digest)"
)
_REGISTRY = Rule(rf"{_HOST}(?:/{_COMPONENT})*", "a registry (host[:port][/prefix], no scheme)")
_IMAGE_MIRROR = Rule(
    rf"(?:{_HOST}=)?{_HOST}(?:/{_COMPONENT})*", "a mirror ([registry=]host[:port][/prefix])"
)
_REGISTRY_HOST = Rule(_HOST, "a registry's host[:port]")
_TAG_RULE = Rule(_TAG, "a tag (letters, digits, “.”, “_”, “-”; at most 128)")
_EXTRA = Rule(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", "the name of an extra or group")
# https://www.debian.org/doc/debian-policy/ch-controlfields.html#source
_PACKAGE = Rule(r"[a-z0-9][a-z0-9+.-]+", "a Debian package name")
_USER = Rule(
    r"[1-9][0-9]{0,9}(?::(?:0|[1-9][0-9]{0,9}))?",
    "a numeric user, or user:group, that is not root (0)",
)
_BACKEND = Rule(
    rf"auto|none|(?:local|registry|inline|gha|s3|azblob)(?::{_OPTIONS})?",
    "a cache backend (auto, none, or one of local, registry, inline, gha, s3 and azblob, then "
    "“:key=value,key=value”)",
)
# git-check-ref-format(1), as far as it concerns a name that is compared and never given to git.
_BRANCH = Rule(r"(?![-/])[^\s~^:?*\[\\\x00-\x20\x7f]+(?<![/.])", "the name of a branch")
_BUILDER = Rule(r"[A-Za-z0-9][A-Za-z0-9._/-]*", "the name of a builder")
_NEW_BUILDER = Rule(r"[A-Za-z][A-Za-z0-9._-]*", "a name for a builder")
_OPTION = Rule(r"[A-Za-z][A-Za-z0-9._-]*=.*", "an option (key=value)")
_PLATFORM = Rule(rf"linux/(?:{_ARCHITECTURE})(?:/v[0-9]+)?", "a platform (linux/amd64, say)")
_INDEX = Rule(rf"(?:[A-Za-z0-9][A-Za-z0-9._-]*=)?{_URL}", "an index ([name=]https://host/path)")
_MIRROR = Rule(
    rf"{'|'.join(PRESETS)}|(?:(?:[A-Za-z0-9][A-Za-z0-9._-]*|{_URL})=)?{_URL}",
    f"an http or https URL, [index=]URL, or one of {', '.join(PRESETS)}",
)
_SLIM = Rule(
    "bytecode|static-libraries|headers|tests", "one of bytecode, static-libraries, headers, tests"
)
_CHECK = Rule(r"[a-z]+(?:-[a-z]+)*", "the name of a check (`invoke check --list` shows them)")
_SERVER_NAME = Rule(r"[A-Za-z0-9][A-Za-z0-9.:-]*", "a host name or IP address")
_ADDRESS = Rule(r"\S+", "an address")


@dataclass(frozen=True)
class Field:
    """One setting.

    ``environment`` is its name in the environment and ``.env``, ``key`` the one in
    ``[tool.dockyard]`` (None: not accepted there), ``flag`` the one on the command line.
    ``minimum`` and ``maximum`` bound each number. ``separator`` divides entries in a text: “,”
    (a newline does as well) or “ ” (any white space). The value of one that ``stands_in_for``
    another is used where that other is not set anywhere; ``secret`` ones are never shown.
    """

    attribute: str
    environment: str
    key: str | None
    kind: Kind
    default: object
    help: str
    section: str
    example: str | None = None
    rule: Rule | None = None
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int | None = None
    separator: str = ","
    secret: bool = False
    stands_in_for: str | None = None
    deprecated: bool = False
    flag: str = ""

    @property
    def several(self) -> bool:
        """Whether the value has entries, and an empty text therefore means “none of them”."""
        return self.kind in (Kind.STRINGS, Kind.INTEGERS, Kind.MAPPING)

    @property
    def sample(self) -> str:
        """A valid value as it stands in the environment: the example, else the default."""
        if self.example is not None:
            return self.example
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, tuple):
            return self.separator.join(map(str, self.default))
        if isinstance(self.default, int) and self.kind is Kind.BYTES:
            return f"{self.default // 10**9}GB"
        return str(self.default)

    @property
    def expects(self) -> str:
        """What a valid value (or entry) is, in words that follow “is not”."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.rule:
            return self.rule.expects
        if self.kind in (Kind.INTEGER, Kind.INTEGERS):
            bounds = f"from {self.minimum} to {self.maximum}" if self.maximum is not None else ""
            return f"a whole number {bounds or f'of at least {self.minimum}'}"
        return {
            Kind.BOOLEAN: "true or false",
            Kind.BYTES: "a size (a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB)",
            Kind.COMMAND: "a command (words as in a shell, or a JSON array of strings)",
            Kind.PATH: "a path",
        }.get(self.kind, "text")


def _shared(
    section: str, attribute: str, kind: Kind, default: object, help_: str, **more: Any
) -> Field:
    options = {"flag": "--" + attribute.replace("_", "-"), **more}
    name = options.pop("environment", attribute.upper())
    return Field(
        attribute, name, options.pop("key", None), kind, default, help_, section, **options
    )


def _own(
    section: str, attribute: str, kind: Kind, default: object, help_: str, **more: Any
) -> Field:
    names = {
        "environment": OWN_PREFIX + attribute.upper(),
        "key": attribute.replace("_", "-"),
    }
    return _shared(section, attribute, kind, default, help_, **names, **more)


_PROJECT = "Project and image"
_CONTENT = "What the image holds"
_LAYERS = "Layers"
_SUPPLY = "Supply chain"
_CACHE = "Build cache"
_ENGINE = "Builder"
_NETWORK = "Mirrors, registries and certificates"
_OUTPUT = "Display and records"
_CHECKS = "Checks (`invoke check`)"
_UV = "uv's own settings, under uv's names"
_DOCKER = "Docker's own settings, and those of reproducible builds, under their names"

# fmt: off
FIELDS: tuple[Field, ...] = (
    _own(_PROJECT, "project", Kind.STRING, ".",
         "Folder with pyproject.toml and uv.lock, relative to the repository root.",
         rule=RELATIVE_PATH, example="services/api"),
    _own(_PROJECT, "dockerfile", Kind.STRING, "docker/Dockerfile",
         "The Dockerfile, relative to the repository root.", rule=RELATIVE_PATH),
    _own(_PROJECT, "image", Kind.STRING, None,
         "The image's name, without registry and tag. Without it, the project's name.",
         rule=_IMAGE_NAME, example="mushroom"),
    _own(_PROJECT, "registry", Kind.STRING, None,
         "Registry, with a prefix if it has one, that image and build cache are pushed to.",
         rule=_REGISTRY, example="ghcr.io/acme"),
    _own(_PROJECT, "tags", Kind.STRINGS, (),
         "Tags that the image gets as well as “latest” and its version.",
         rule=_TAG_RULE, example="stable,2025-11"),
    _own(_PROJECT, "platforms", Kind.STRINGS, (),
         "Platforms to build for. Without any, the engine's own.",
         rule=_PLATFORM, example="linux/amd64,linux/arm64", flag="--platform"),

    _own(_CONTENT, "python_image", Kind.STRING, "docker.io/library/python:3.13-slim-trixie",
         "Image that the application runs on.", rule=_IMAGE_REFERENCE),
    _own(_CONTENT, "uv_image", Kind.STRING, "ghcr.io/astral-sh/uv:0.13.9",
         "Image that the uv binary is taken from, while building only.", rule=_IMAGE_REFERENCE),
    _own(_CONTENT, "extras", Kind.STRINGS, (),
         "Extras (project.optional-dependencies) to install.", rule=_EXTRA, example="cpu,postgres"),
    _own(_CONTENT, "groups", Kind.STRINGS, (),
         "Dependency groups to install.", rule=_EXTRA, example="production"),
    _own(_CONTENT, "copy_paths", Kind.STRINGS, ("src",),
         "Files and folders of the repository that the image gets, each as a layer of its own.",
         rule=RELATIVE_PATH, example="src,scripts,models"),
    _own(_CONTENT, "install", Kind.STRING, "copy",
         "How the project itself gets in: copy puts its sources on Python's path; wheel builds and "
         "installs it, with its commands.",
         choices=("copy", "wheel")),
    _own(_CONTENT, "build_packages", Kind.STRINGS, (),
         "Debian packages needed to build dependencies; the image does not keep them.",
         rule=_PACKAGE, example="build-essential,libpq-dev"),
    _own(_CONTENT, "runtime_packages", Kind.STRINGS, (),
         "Debian packages that the running application needs.",
         rule=_PACKAGE, example="libgomp1,libpq5"),
    _own(_CONTENT, "command", Kind.COMMAND, (),
         "What the container runs; shell words or a JSON array, never run by a shell.",
         example="python -m mushroom"),
    _own(_CONTENT, "ports", Kind.INTEGERS, (),
         "TCP ports that the application listens on.", minimum=1, maximum=65535, example="8000"),
    _own(_CONTENT, "user", Kind.STRING, "10001:10001",
         "Numeric user, or user:group, that the container runs as; never root.", rule=_USER),
    _own(_CONTENT, "health_check", Kind.COMMAND, (),
         "Command that exits with 0 while the application is well; shell words or a JSON array.",
         example="python -m mushroom.health"),
    _own(_CONTENT, "byte_compile", Kind.BOOLEAN, False,
         "Compile dependencies while building: a faster first start, larger layers."),
    _own(_CONTENT, "slim", Kind.STRINGS, ("bytecode",),
         "What of installed packages is left out: bytecode (which wheels bring), static-libraries, "
         "headers (needed where something compiles at run time), tests (of packages, where nothing "
         "refers to them).", rule=_SLIM, example="bytecode,static-libraries,tests"),

    _own(_LAYERS, "layers", Kind.INTEGER, 24,
         "The most layers that the dependencies are divided into; the plan takes fewer where more "
         "would cost more time than they save.", minimum=1, maximum=60),
    _own(_LAYERS, "compression", Kind.STRING, "zstd",
         "How layers are compressed.", choices=("zstd", "gzip", "estargz", "uncompressed")),
    _own(_LAYERS, "compression_level", Kind.INTEGER, 3,
         "Greater is smaller and slower: 0 to 22 for zstd, 0 to 9 for gzip and estargz.",
         maximum=22),

    _own(_LAYERS, "reproducible", Kind.BOOLEAN, False,
         "Date the files of sources and Debian packages as well, so that all builds of a commit "
         "are identical. For releases: the exporter then reads every layer, even one that it would "
         "only have passed on."),

    _own(_SUPPLY, "sbom", Kind.BOOLEAN, False,
         "Attach a list of what the image is made of (an SBOM in SPDX), as an attestation. An "
         "image with attestations has another digest each time it is built."),
    _own(_SUPPLY, "sbom_generator", Kind.STRING,
         "docker.io/docker/buildkit-syft-scanner:stable-1",
         "Image that makes that list, in the build.", rule=_IMAGE_REFERENCE),
    _own(_SUPPLY, "provenance", Kind.STRING, "off",
         "Attach what the image was built from and how (SLSA): min, or max with the Dockerfile "
         "and all build arguments; off, because with the build's time in it no two builds have "
         "the same digest.", choices=("off", "min", "max")),
    _own(_SUPPLY, "require_pinned", Kind.BOOLEAN, False,
         "Let `invoke check` fail where a base image is named without its digest."),
    _own(_SUPPLY, "require_hashes", Kind.BOOLEAN, False,
         "Let `invoke check` fail where a package of the lock has no hash: git, URL and path "
         "sources."),

    _own(_CACHE, "cache_dir", Kind.PATH, ".dockyard/cache",
         "Folder of the local build cache, relative to the repository root or absolute."),
    _own(_CACHE, "cache_backends", Kind.STRINGS, ("auto",),
         "Where the build cache is kept beside the builder: local, registry, inline, gha, s3 or "
         "azblob, divided by white space; buildx's options follow a colon. auto is the registry "
         "for what is pushed to one, and none is none. The option mode=max also keeps steps that "
         "no layer of the image comes from: for Dockerfiles with stages of their own.",
         rule=_BACKEND, separator=" ", example="local s3:bucket=builds,region=eu-west-1"),
    _own(_CACHE, "default_branch", Kind.STRING, None,
         "The branch whose cache other branches start from. Without it, origin's, else main.",
         rule=_BRANCH, example="main"),
    _own(_CACHE, "cache_budget", Kind.BYTES, 20 * 10**9,
         "How large the build cache may grow, in bytes or with a unit.", minimum=1),
    _own(_CACHE, "cache_mounts", Kind.STRING, "built",
         "What `invoke cache.push` keeps of uv's own cache: built (wheels built from source), all "
         "or none.", choices=("built", "all", "none")),
    _own(_CACHE, "cache_days", Kind.INTEGER, 14,
         "Days without use after which `invoke cache.prune` removes a cache.", minimum=1),

    _own(_ENGINE, "builder", Kind.STRING, "auto",
         "Name of an existing buildx builder to use; auto picks what is fastest.", rule=_BUILDER),
    _own(_ENGINE, "builder_name", Kind.STRING, "dockyard",
         "Name of the dedicated builder that `invoke cache.init` makes.", rule=_NEW_BUILDER),
    _own(_ENGINE, "driver", Kind.STRING, "auto", "The builder's driver.",
         choices=("auto", "docker", "docker-container", "remote", "kubernetes")),
    _own(_ENGINE, "driver_options", Kind.MAPPING, {},
         "Options of that driver, as buildx's --driver-opt takes them.",
         rule=_OPTION, example="namespace=builds,replicas=2"),
    _own(_ENGINE, "builder_endpoint", Kind.STRING, None,
         "Where that builder is: for remote, the address of its BuildKit (tcp, unix, ssh, "
         "docker-container or kube-pod); else a Docker context.",
         rule=_ADDRESS, example="tcp://builder.example.com:1234"),
    _own(_ENGINE, "builder_ca_file", Kind.PATH, None,
         "PEM file with the authority that a remote BuildKit's certificate is from.",
         example="certificates/builder-ca.pem"),
    _own(_ENGINE, "builder_cert_file", Kind.PATH, None,
         "PEM file with the certificate that a remote BuildKit knows us by.",
         example="certificates/client.pem"),
    _own(_ENGINE, "builder_key_file", Kind.PATH, None,
         "PEM file with the key of that certificate.", example="certificates/client-key.pem"),
    _own(_ENGINE, "builder_server_name", Kind.STRING, None,
         "Name in a remote BuildKit's certificate, where it is not the address's.",
         rule=_SERVER_NAME, example="builder.internal"),
    _own(_ENGINE, "max_parallelism", Kind.INTEGER, None,
         "How many steps the dedicated builder runs at once. Without it, as many as can.",
         minimum=1, example="4"),
    _own(_ENGINE, "buildkit_image", Kind.STRING, "docker.io/moby/buildkit:v0.32.2",
         "BuildKit image of the dedicated builder.", rule=_IMAGE_REFERENCE),
    _own(_ENGINE, "network", Kind.STRING, "default",
         "Network that build steps see.", choices=("default", "host", "none")),

    _own(_NETWORK, "uv_mirrors", Kind.STRINGS, (),
         "Mirrors of PyPI, tried in this order before it; with index=, of the index of that name "
         "or URL. Short names: tuna, aliyun, ustc, tencent, huawei. The lock's hashes are checked "
         "whichever answers. A user and password may stand in the URL.", rule=_MIRROR,
         example="tuna,aliyun,internal=https://mirror.example.com/internal/simple"),
    _own(_NETWORK, "uv_mirror_timeout", Kind.INTEGER, 10,
         "How long a mirror may stay silent before the next is tried, in seconds.", minimum=1),
    _own(_NETWORK, "image_mirrors", Kind.STRINGS, (),
         "Mirrors of Docker Hub (host[/prefix]), or of another registry (registry=host[/prefix]), "
         "tried in this order before it.",
         rule=_IMAGE_MIRROR, example="docker.m.daocloud.io,ghcr.io=ghcr.nju.edu.cn"),
    _own(_NETWORK, "image_mirror_timeout", Kind.INTEGER, 20,
         "How long a mirror of images may send nothing to a build before it is stopped and "
         "goes on with the next, in seconds.", minimum=1),
    _own(_NETWORK, "registry_timeout", Kind.INTEGER, None,
         "How long a registry may stay silent, in seconds, before it is given up. Without it, 30 "
         "where Dockyard talks to it itself, and 600 where the engine or a builder does, which "
         "tell little of what they move.", minimum=1, example="60"),
    _own(_NETWORK, "insecure_registries", Kind.STRINGS, (),
         "Registries reached without a trusted certificate, or over plain HTTP.",
         rule=_REGISTRY_HOST, example="localhost:5000"),
    _own(_NETWORK, "ca_file", Kind.PATH, None,
         "PEM file with the certificates of a private authority, trusted beside the public ones.",
         example="certificates/company.pem"),
    _own(_NETWORK, "ca_in_image", Kind.BOOLEAN, False,
         "Let the running application trust DOCKYARD_CA_FILE as well, not only the build."),
    _shared(_NETWORK, "ssl_cert_file", Kind.PATH, None,
            "The same, under OpenSSL's name; used where DOCKYARD_CA_FILE is not set.",
            stands_in_for="ca_file", example="/etc/ssl/certs/ca-certificates.crt"),

    _own(_OUTPUT, "progress", Kind.STRING, "auto", "How a running build is shown.",
         choices=("auto", "live", "plain", "github", "quiet")),
    _own(_OUTPUT, "records", Kind.INTEGER, 200,
         "How many build records are kept in .dockyard/builds.", minimum=1),

    _own(_CHECKS, "context_budget", Kind.BYTES, 50 * 10**6,
         "How large the build context may be.", minimum=1, example="50MB"),
    _own(_CHECKS, "image_budget", Kind.BYTES, 2 * 10**9,
         "How large the image may be, compressed, as it is pushed and pulled.", minimum=1),
    _own(_CHECKS, "waste_budget", Kind.BYTES, 20 * 10**6,
         "How many bytes of the image's layers later layers may overwrite or remove.",
         example="20MB"),
    _own(_CHECKS, "smoke_command", Kind.COMMAND, (),
         "Command that has to end with 0 in a container of the image; shell words or a JSON array. "
         "Without it, the health check has to answer; without that, the project's module has to "
         "be importable.", example="python -m mushroom --version"),
    _own(_CHECKS, "smoke_seconds", Kind.INTEGER, 60,
         "How long that may take, in seconds.", minimum=1),
    _own(_CHECKS, "check_also", Kind.STRINGS, (),
         "Optional checks to make as well: base-pinned, reproducible.", rule=_CHECK,
         example="base-pinned,reproducible"),
    _own(_CHECKS, "check_skip", Kind.STRINGS, (),
         "Checks to leave out.", rule=_CHECK, example="hit-rate"),

    _shared(_UV, "uv_default_index", Kind.STRING, None,
            "The package index used instead of PyPI. A user and password may stand in the URL.",
            rule=_INDEX, example="https://pypi.org/simple"),
    _shared(_UV, "uv_index", Kind.STRINGS, (),
            "Further indexes, as URL or name=URL, divided by white space.",
            rule=_INDEX, separator=" ", example="internal=https://packages.example.com/simple"),
    _shared(_UV, "uv_keyring_provider", Kind.STRING, None,
            "Where logins of indexes are looked up on this machine: subprocess (the program "
            "`keyring`) or native (uv's own store, `uv auth login`). They reach a build as its "
            "secret. netrc is read in any case.",
            choices=("disabled", "subprocess", "native"), example="subprocess"),
    _shared(_UV, "uv_http_timeout", Kind.INTEGER, None,
            "How long an index may stay silent, in seconds. Without it, uv's own 30.",
            minimum=1, example="120"),
    _shared(_UV, "uv_concurrent_downloads", Kind.INTEGER, None,
            "How many downloads run at once. Without it, uv's own 50.", minimum=1, example="10"),
    _shared(_UV, "uv_cache_dir", Kind.PATH, None,
            "uv's cache on this machine.", example="~/.cache/uv"),
    _shared(_UV, "uv_index_url", Kind.STRING, None, "Deprecated: UV_DEFAULT_INDEX replaces it.",
            rule=_INDEX, stands_in_for="uv_default_index", deprecated=True,
            example="https://pypi.org/simple"),
    _shared(_UV, "uv_extra_index_url", Kind.STRINGS, (), "Deprecated: UV_INDEX replaces it.",
            rule=_INDEX, stands_in_for="uv_index", deprecated=True, separator=" ",
            example="https://packages.example.com/simple"),

    _shared(_DOCKER, "docker_host", Kind.STRING, None,
            "The engine's address. Without it, Docker's current context.",
            rule=_ADDRESS, example="ssh://builder.example.com"),
    _shared(_DOCKER, "docker_buildkit", Kind.BOOLEAN, True,
            "Accepted for other tools' sake; false is an error, because only BuildKit will do."),
    _shared(_DOCKER, "compose_docker_cli_build", Kind.BOOLEAN, True,
            "Accepted for other tools' sake; changes nothing."),
    _shared(_DOCKER, "buildkit_progress", Kind.STRING, None,
            "How buildx shows a build that is started without Dockyard.",
            choices=("auto", "plain", "tty", "quiet", "none", "rawjson"), example="plain"),
    _shared(_DOCKER, "source_date_epoch", Kind.INTEGER, None,
            "Time that the image is labelled with, in seconds since 1970 (UTC). Without it, the "
            "commit's.", maximum=253_402_300_799, example="1735689600"),
)
# fmt: on

CREDENTIAL_NAME = r"UV_INDEX_[A-Z0-9_]+_(?:USERNAME|PASSWORD)"
# Not in FIELDS: its environment name is a pattern, and every variable that fits is one of them.
CREDENTIALS = _shared(
    _UV,
    "index_credentials",
    Kind.MAPPING,
    {},
    "User and password for the index of that name (INTERNAL is “internal” in UV_INDEX). They reach "
    "the build as secrets and stay out of image, cache and records.",
    environment="UV_INDEX_<NAME>_USERNAME, UV_INDEX_<NAME>_PASSWORD",
    example="UV_INDEX_INTERNAL_USERNAME=builder,UV_INDEX_INTERNAL_PASSWORD=change-me",
    secret=True,
)
