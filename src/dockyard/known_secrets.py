"""Secrets that a command has met, so that an error nobody foresaw is searched for them as well.

What is shown or kept on purpose is redacted where that is made. Here is the last line: messages of
exceptions, ours and others', which may quote whatever they stumbled over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["clean", "forget", "meet"]

_met: list[Callable[[], Iterable[str]]] = []


def forget() -> None:
    """Begin anew: a command knows what it has met itself."""
    _met.clear()


def meet(secrets: Callable[[], Iterable[str]]) -> None:
    """Remember what returns secrets; it is called only where something has to be cleaned."""
    _met.append(secrets)


def clean(text: str) -> str:
    """Replace every secret that was met."""
    if not _met:
        return text
    from dockyard.settings_masking import redact

    return redact(text, {secret for one in _met for secret in one() if secret})
