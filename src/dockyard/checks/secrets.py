"""The check that no secret is in the image, wherever in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dockyard.checks.export import decoded
from dockyard.checks.image import layer_origin
from dockyard.checks.secret_shapes import secret_form, secret_variable
from dockyard.checks.verdicts import Finding, Verdict, judge
from dockyard.display.format import format_count

if TYPE_CHECKING:
    from dockyard.checks.export import Export
    from dockyard.checks.workbench import Workbench
    from dockyard.dockerfile_syntax import Stage

__all__ = ["check_secrets", "configuration_secrets", "declared_secrets"]


def declared_secrets(stages: Sequence[Stage], file: str) -> Iterator[Finding]:
    """Find the variables of a Dockerfile that are named as secrets are."""
    for stage in stages:
        for one in stage.instructions:
            if one.keyword not in ("ARG", "ENV"):
                continue
            pairs = re.findall(r"""(\w+)(?:=("[^"]*"|'[^']*'|\S*))?""", one.text)
            if one.keyword == "ENV" and "=" not in one.text:
                pairs = [tuple(one.text.split(maxsplit=1))] if " " in one.text else []
            for name, value in pairs:
                plain = value.strip("\"'")
                if secret_variable(name, plain) or secret_form(plain.encode()):
                    yield Finding(
                        f"{one.keyword} {name}: what it is given stands in the image's history "
                        "or environment for all to read",
                        one.line,
                        file,
                    )


def configuration_secrets(
    config: Mapping[str, Any], inherited: Mapping[str, Any], secrets: Sequence[str]
) -> Iterator[Finding]:
    """Find secrets in an image's environment, labels and history, without telling them.

    ``inherited`` is the base image's configuration, whose own variables are not looked at.
    """
    own, theirs = config.get("config") or {}, inherited.get("config") or {}
    known = set(theirs.get("Env") or ())
    for entry in own.get("Env") or ():
        name, _, value = str(entry).partition("=")
        if entry not in known and value:
            what = _secret_in(value, secrets)
            if what or secret_variable(name, value):
                yield Finding(f"the environment's {name} is {what or 'named as a secret is'}")
    for name, value in (own.get("Labels") or {}).items():
        if what := _secret_in(str(value), secrets):
            yield Finding(f"the label {name} holds {what}")
    for entry in config.get("history") or ():
        said = str(entry.get("created_by", ""))
        if what := _secret_in(said, secrets):
            yield Finding(f"the history's entry of {said.split(' ')[0]} holds {what}")


def _secret_in(text: str, secrets: Sequence[str]) -> str | None:
    if any(secret in text for secret in secrets):
        return "a secret of the build"
    return secret_form(text.encode())


def _layer_secrets(export: Export) -> Iterator[Finding]:
    for layer in export.layers:
        for path, what in layer.suspicious.items():
            yield Finding(f"/{path} is or holds {what}, {layer_origin(layer)}")


def check_secrets(workbench: Workbench) -> Verdict:
    """Look for a planted secret, for the settings' own, and for what looks like one."""
    export = workbench.exported
    findings = [
        *declared_secrets(workbench.stages, workbench.settings.dockerfile),
        *configuration_secrets(export.config, export.inherited, export.secrets),
        *_layer_secrets(export),
    ]
    if any(_secret_in(decoded(text), export.secrets) for text in export.attestations):
        findings.append(Finding("an attestation (provenance) holds a secret"))
    own = [layer for layer in export.layers if not layer.base]
    files = sum(len(layer.files) for layer in own)
    planted = f", planted in {', '.join(export.planted_in)}" if export.planted_in else ""
    return judge(
        "secrets",
        findings,
        f"{format_count(files, 'file')} in {format_count(len(own), 'layer')}, "
        f"{format_count(len(export.attestations), 'attestation')}{planted}",
        "pass it as a secret (RUN --mount=type=secret), or leave the file out in .dockerignore; "
        "one that was pushed has to be changed where it is from",
        export.notes,
    )
