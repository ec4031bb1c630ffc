"""A repository's URL apart from its credentials, which git gets by its environment.

A process's arguments are for everybody to see, and git hands a URL on to its helpers as one. So
credentials are a setting in git's environment (``GIT_CONFIG_COUNT``, git-config(1)).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

__all__ = ["Remote", "parse_remote"]


@dataclass(frozen=True)
class Remote:
    """Where a repository is: the URL without credentials, and the setting that holds these."""

    url: str
    authorization: str | None = None

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return git's environment: no questions asked, credentials as a header."""
        found = {**base, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        found.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        if self.authorization:
            parts = urlsplit(self.url)
            number = int(base.get("GIT_CONFIG_COUNT", "0") or 0)
            found |= {
                "GIT_CONFIG_COUNT": str(number + 1),
                f"GIT_CONFIG_KEY_{number}": f"http.{parts.scheme}://{parts.netloc}/.extraHeader",
                f"GIT_CONFIG_VALUE_{number}": f"Authorization: Basic {self.authorization}",
            }
        return found

    def clean(self, text: str) -> str:
        """Take credentials out of what git said."""
        if self.authorization:
            text = text.replace(self.authorization, "***")
        return re.sub(r"//[^/@\s]+@", "//", text)


def parse_remote(reference: str) -> Remote:
    """Take the credentials out of a URL; a user's name for ssh is none."""
    parts = urlsplit(reference)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return Remote(reference)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    pair = f"{unquote(name)}:{unquote(password)}"
    return Remote(urlunsplit(parts._replace(netloc=host)), base64.b64encode(pair.encode()).decode())
