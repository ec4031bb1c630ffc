"""The questions that ``init`` asks in a terminal, each with the proposal as its default."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from dockyard.adoption.proposals import SettingProposal
from dockyard.errors import SettingsError
from dockyard.settings import parse_setting

__all__ = ["ask_settings", "confirm"]

INTRODUCTION = (
    "Enter takes what is in brackets, “-” stands for nothing, Ctrl-C leaves all as it is."
)
# What is seldom another than proposed is shown, and not asked for.
ASKED = (
    "image",
    "extras",
    "groups",
    "copy-paths",
    "install",
    "command",
    "ports",
    "health-check",
    "build-packages",
    "runtime-packages",
)
QUESTIONS = {
    "image": "The image's name",
    "extras": "Extras to install",
    "groups": "Dependency groups to install",
    "copy-paths": "Files and folders that the image gets",
    "install": "How the project gets in (copy or wheel)",
    "command": "What the container runs",
    "ports": "Ports that it listens on",
    "health-check": "Command that tells whether it is well",
    "build-packages": "Debian packages to build dependencies with",
    "runtime-packages": "Debian packages to run with",
}


def _shown(value: Any) -> str:
    """Write a value as it may be typed again."""
    if isinstance(value, list):
        if not value:
            return "-"
        if any(not isinstance(one, str) or " " in one or "," in one for one in value):
            return json.dumps(value, ensure_ascii=False)
        return " ".join(value)
    return str(value) or "-"


def _typed(key: str, text: str) -> Any:
    """Read an answer as the setting would be read. Raises SettingsError."""
    text = text.strip()
    if text == "-":
        return "" if key in ("image", "install") else []
    if key in ("image", "install", "command", "health-check"):
        return parse_setting(key, text)
    if text.startswith("["):
        try:
            return parse_setting(key, json.loads(text))
        except ValueError as error:
            raise SettingsError(f"it is no JSON list: {error}", where=key) from error
    return parse_setting(key, text.replace(",", " ").split())


def ask_settings(
    proposals: Sequence[SettingProposal],
    read: Callable[[str], str],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Ask for each setting until the answer is valid; return the answers by key.

    ``read`` shows a prompt and returns a line. It raises EOFError or KeyboardInterrupt where the
    user wants no more of it.
    """
    say(INTRODUCTION)
    answers: dict[str, Any] = {}
    for one in proposals:
        if one.key not in ASKED:
            continue
        if one.reason and one.value:
            say(f"  ({one.reason})")
        while True:
            text = read(f"{QUESTIONS[one.key]} [{_shown(one.value)}]: ")
            if not text.strip():
                break
            try:
                answers[one.key] = _typed(one.key, text)
            except SettingsError as error:
                say(f"  {error}")
                continue
            break
    return answers


def confirm(question: str, read: Callable[[str], str]) -> bool:
    """Ask for a yes; Enter is one."""
    while True:
        answer = read(f"{question} [Y/n]: ").strip().lower()
        if answer in ("", "y", "yes"):
            return True
        if answer in ("n", "no"):
            return False
