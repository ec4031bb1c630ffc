"""Settings: whatever is given is valid or refused in words, and the first to give one wins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dockyard.errors import DockyardError, ProjectError, SettingsError
from dockyard.settings import Origin, Settings, load_settings, masked, redactor, resolve
from dockyard.settings_fields import FIELDS, OWN_PREFIX, Field, Kind

ATTRIBUTES = [field.attribute for field in FIELDS]
VARIABLES = [field.environment for field in FIELDS]
KEYS = [field.key for field in FIELDS if field.key]
# Pieces that mean something to some setting, put together at random.
PIECES = [
    *("a", "1", "0", "true", "10GB", ":", "=", "/", "//", "@", ".", "..", ",", " ", "\n", "\t"),
    *("[", "]", "{", "}", '"', "'", "\\", "$", "${HOME}", "#", "*", "~", "-", "--", "\x00", "\x7f"),
    *("https://", "user:pw@", "example.org", "registry", "local:", "é", "\u2028", "\ud800", "🦀"),
    *("linux/amd64", "sha256:", "password=x", "RUN", "FROM", "<<EOF"),
]
WORDS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
TEXTS = WORDS | st.text(max_size=12) | st.sampled_from([f.sample for f in FIELDS])
TOML = st.recursive(
    TEXTS | st.integers(-(10**20), 10**20) | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)


def names(known: list[str], other: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(known) | other


ENVIRONMENT = st.dictionaries(
    names([*VARIABLES, "UV_INDEX_X_PASSWORD", "HOME"], WORDS.map(OWN_PREFIX.__add__)),
    TEXTS,
    max_size=5,
)


def check_told(error: DockyardError, without: str = "\x00") -> None:
    """Each problem says what and where, and repeats neither a secret nor a control character."""
    assert error.problems
    for problem in error.problems:
        assert problem.message
        assert problem.where
        assert without not in str(problem)
        assert "\x00" not in str(problem)


def resolved(
    environment: Mapping[str, str],
    dotenv: Mapping[str, str],
    pyproject: Mapping[str, Any],
    flags: Mapping[str, Any],
) -> Settings:
    return resolve(
        root=Path("/repository"),
        environment=environment,
        dotenv={
            name: (text, number) for number, (name, text) in enumerate(dotenv.items(), start=1)
        },
        pyproject=pyproject,
        flags=flags,
        exists=lambda path: True,
    )


@given(
    ENVIRONMENT,
    ENVIRONMENT,
    st.dictionaries(names(KEYS, WORDS), TOML, max_size=5),
    st.dictionaries(st.sampled_from(ATTRIBUTES), TOML | st.none(), max_size=3),
)
def test_whatever_is_given_is_valid_or_refused_in_words(
    environment: dict[str, str],
    dotenv: dict[str, str],
    pyproject: dict[str, Any],
    flags: dict[str, Any],
) -> None:
    try:
        settings = resolved(environment, dotenv, pyproject, flags)
    except SettingsError as error:
        check_told(error)
        return
    json.dumps(masked(settings))
    assert settings.sources.keys() >= {
        field.attribute for field in FIELDS if not field.stands_in_for
    }
    clean = redactor(settings)
    for secret in settings.secret_values():
        assert secret not in clean(f"before {secret} after")
    # What is valid is so again, and means the same.
    again = resolved(environment, dotenv, pyproject, flags)
    assert masked(again) == masked(settings)


PLAIN = [
    field
    for field in FIELDS
    if field.key and not field.stands_in_for and field.kind is not Kind.PATH
]


def valid_values(field: Field) -> list[str]:
    if field.kind is Kind.BOOLEAN:
        return ["true", "false"]
    if field.kind in (Kind.INTEGER, Kind.BYTES):
        return [str(field.minimum + n) for n in (1, 2, 3)]
    return list(field.choices) or [field.sample]


@given(st.sampled_from(PLAIN), st.data())
def test_the_first_of_flag_environment_file_and_table_wins(
    field: Field, data: st.DataObject
) -> None:
    value = st.none() | st.sampled_from(valid_values(field))
    flag, environment, dotenv, pyproject = (data.draw(value) for _ in range(4))
    given_values = (flag, environment, dotenv, pyproject)
    origins = (Origin.FLAG, Origin.ENVIRONMENT, Origin.DOTENV, Origin.PYPROJECT)
    # Some settings need another one beside them; what wins is the same.
    beside = {
        "DOCKYARD_REGISTRY": "registry.example.org",
        "DOCKYARD_CA_FILE": "ca.pem",
        "DOCKYARD_BUILDER_ENDPOINT": "tcp://127.0.0.1:1234",
        "DOCKYARD_COMPRESSION": "zstd",
    }
    beside.pop(field.environment, None)

    def one(text: str | None, name: str | None) -> dict[str, str]:
        return {} if text is None or name is None else {name: text}

    settings: Settings | None
    try:
        settings = resolved(
            {**beside, **one(environment, field.environment)},
            one(dotenv, field.environment),
            one(pyproject, field.key),
            one(flag, field.attribute),
        )
    except SettingsError as error:
        # Only what the values mean together is refused: BuildKit turned off, a level of another.
        check_told(error)
        settings = None
    if settings is None:
        assert field.attribute in ("docker_buildkit", "compression")
        return
    expected = next(
        (origin for origin, text in zip(origins, given_values, strict=True) if text is not None),
        Origin.DEFAULT,
    )
    assert settings.sources[field.attribute].origin is expected
    text = next((text for text in given_values if text is not None), None)
    if text is not None and field.kind is Kind.BOOLEAN:
        assert getattr(settings, field.attribute) is (text == "true")
    elif text is not None and field.kind is Kind.INTEGER:
        assert getattr(settings, field.attribute) == int(text)
    elif text is None:
        assert getattr(settings, field.attribute) == field.default


LINES = st.lists(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "export ", "# ", " "]),
        st.sampled_from([*VARIABLES[:12], "A", "UV_INDEX_A_PASSWORD", "DOCKYARD_TYPO", ""]),
        st.sampled_from(["=", " = ", "", "==", "='", '="']),
        WORDS,
    ),
    max_size=6,
)


@given(
    LINES.map("\n".join).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=40),
    st.lists(st.builds("{} = {}".format, st.sampled_from(KEYS), TEXTS.map(json.dumps)), max_size=3)
    .map("\n".join)
    .map(lambda text: f"[tool.dockyard]\n{text}\n".encode("utf-8", "surrogatepass"))
    | st.binary(max_size=30)
    | st.just(b"[tool]\ndockyard = 3\n"),
)
def test_any_file_is_read_or_refused_in_words(
    scratch: Path, dotenv: bytes, pyproject: bytes
) -> None:
    (scratch / ".env").write_bytes(dotenv)
    (scratch / "pyproject.toml").write_bytes(pyproject)
    try:
        settings = load_settings(scratch, {"HOME": "/home/me"}, {})
    except (SettingsError, ProjectError) as error:
        check_told(error)
        return
    assert isinstance(settings, Settings)


@given(WORDS)
def test_a_secret_in_a_file_is_in_no_message(scratch: Path, text: str) -> None:
    secret = "hunter2-correct-horse"
    assume("\n" not in text and "\x00" not in text)
    lines = [
        f"UV_INDEX_INTERNAL_PASSWORD={secret}",
        f"UV_DEFAULT_INDEX=https://user:{secret}@example.org/{text}",
        f"DOCKYARD_UV_MIRRORS=https://user:{secret}@{text}",
        f"DOCKYARD_CACHE_BACKENDS=s3:secret_access_key={secret},{text}",
    ]
    (scratch / "pyproject.toml").write_text("[tool.dockyard]\n")
    (scratch / ".env").write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        settings = load_settings(scratch, {}, {})
    except DockyardError as error:
        check_told(error, without=secret)
        return
    assert secret not in json.dumps(masked(settings))
    assert secret not in repr(settings)


def test_an_unknown_flag_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        resolved({}, {}, {}, {"nothing": 1})
