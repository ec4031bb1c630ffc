"""What secrets look like: names of files and variables, and well-known forms of values. Pure.

The forms are those that their issuers document for scanners: GitHub, GitLab, AWS, Google, Slack,
Stripe, PyPI, npm, Hugging Face, Anthropic, OpenAI; private keys are PEM (RFC 7468).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "MARKER_BYTES",
    "Searched",
    "search",
    "secret_form",
    "secret_variable",
]

# No form is recognised by more than this; what is divided into pieces overlaps by it.
MARKER_BYTES = 512

_FILES = (
    (re.compile(r"\.env(?:\.(?!example$|sample$|template$|dist$)[\w.-]+)?"), "an .env file"),
    (re.compile(r"[._]netrc"), "a .netrc file"),
    (re.compile(r"\.git-credentials"), "git's stored passwords"),
    (re.compile(r"\.pypirc"), "passwords of package indexes"),
    (re.compile(r"\.pgpass"), "passwords of databases"),
    (re.compile(r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?"), "an SSH key"),
    (re.compile(r".+\.(?:kdbx|p12|pfx|jks)"), "a store of keys or passwords"),
)
_PATHS = (
    (re.compile(r"(?:^|/)\.aws/credentials$"), "AWS credentials"),
    (re.compile(r"(?:^|/)\.docker/config\.json$"), "Docker's stored logins"),
    (re.compile(r"(?:^|/)\.kube/config$"), "a Kubernetes login"),
    (re.compile(r"(?:^|/)\.config/gcloud/"), "a Google Cloud login"),
)
# The first bytes are looked for at once; the expression decides.
_FORMS = tuple(
    (start.encode(), re.compile(pattern.encode()), what)
    for start, pattern, what in (
        (
            "PRIVATE KEY-----",
            r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY-----\s*[A-Za-z0-9+/=:\\]",
            "a private key",
        ),
        ("AKIA", r"\bAKIA[0-9A-Z]{16}\b", "an AWS access key"),
        ("ASIA", r"\bASIA[0-9A-Z]{16}\b", "an AWS access key"),
        ("ghp_", r"\bghp_[A-Za-z0-9]{36}", "a GitHub token"),
        ("gho_", r"\bgho_[A-Za-z0-9]{36}", "a GitHub token"),
        ("ghs_", r"\bghs_[A-Za-z0-9]{36}", "a GitHub token"),
        ("ghu_", r"\bghu_[A-Za-z0-9]{36}", "a GitHub token"),
        ("github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{60,}", "a GitHub token"),
        ("glpat-", r"\bglpat-[A-Za-z0-9_-]{20,}", "a GitLab token"),
        ("AIza", r"\bAIza[0-9A-Za-z_-]{35}\b", "a Google API key"),
        ("xox", r"\bxox[baprs]-[0-9A-Za-z-]{20,}", "a Slack token"),
        ("sk_live_", r"\bsk_live_[0-9A-Za-z]{20,}", "a Stripe key"),
        ("pypi-AgEI", r"\bpypi-AgEI[A-Za-z0-9_-]{50,}", "a PyPI token"),
        ("npm_", r"\bnpm_[A-Za-z0-9]{36}\b", "an npm token"),
        ("hf_", r"\bhf_[A-Za-z0-9]{34,}\b", "a Hugging Face token"),
        ("sk-ant-", r"\bsk-ant-[A-Za-z0-9_-]{30,}", "an Anthropic API key"),
        ("sk-proj-", r"\bsk-proj-[A-Za-z0-9_-]{30,}", "an OpenAI API key"),
    )
)
# As BuildKit's rule SecretsUsedInArgOrEnv has them (linter/ruleset.go and dockerfile2llb).
_WORDS = frozenset(
    [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ]
)
_HARMLESS = frozenset(["file", "path", "dir", "directory", "public", "url", "id", "name"])


@dataclass(frozen=True)
class Searched:
    """What a file is searched for: these values, and whether well-known forms count as well."""

    values: Sequence[bytes]
    shapes: bool


def secret_form(content: bytes) -> str | None:
    """Name the first well-known form of a secret in a content; None if there is none."""
    for start, pattern, what in _FORMS:
        if start in content and pattern.search(content):
            return what
    return None


def search(path: str, chunks: Iterable[bytes], wanted: Searched) -> str | None:
    """Tell what secret a file is or holds, by its path and its content in overlapping chunks."""
    if wanted.shapes:
        name = path.rpartition("/")[2]
        for pattern, what in _FILES:
            if pattern.fullmatch(name):
                return what
        for pattern, what in _PATHS:
            if pattern.search(path):
                return what
    for chunk in chunks:
        if any(value in chunk for value in wanted.values):
            return "a secret of the build"
        if wanted.shapes and (form := secret_form(chunk)):
            return form
    return None


def secret_variable(name: str, value: str) -> bool:
    """Tell whether a variable's name says that it holds a secret, and its value does not deny it.

    A path to a secret is none.
    """
    words = set(name.lower().split("_"))
    if words.isdisjoint(_WORDS) or not words.isdisjoint(_HARMLESS):
        return False
    return not value.startswith(("/", "file:"))
