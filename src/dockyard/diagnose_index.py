"""Why a layer of dependencies could not be installed: what uv said of the index. Pure.

uv 0.13 words what it met in many ways, and often without the index that it was (seen with every
fault of the campaign `nox -s faults`): the layer's own report names it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dockyard.errors import BuildFailedError, DockyardError, NetworkError
from dockyard.layer_reports import IndexAttempt, parse_report

__all__ = ["index_error"]

_UNREACHABLE = re.compile(
    r"failed to fetch|error sending request|connection (?:refused|reset)|dns error|timed? ?out"
    r"|could not connect|temporary failure in name resolution|invalid peer certificate"
    r"|error reading a body|before message length reached|error decoding response body",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"\b(401 Unauthorized|403 Forbidden)\b", re.IGNORECASE)
_LACKS = re.compile(
    r"was not found in the package registry|\b404 Not Found\b|there is no version of",
    re.IGNORECASE,
)
# A file or a page whose content is damaged, or is another: a proxy's own page, say. uv takes a
# redirect that never ends for the file itself.
_DAMAGED = re.compile(
    r"failed to extract|bad crc|invalid zip|unexpected (?:json|header|html)|missing `?content-type"
    r"|received some unexpected|invalid hash digest|not a valid",
    re.IGNORECASE,
)


def _index(log: Sequence[str]) -> str:
    """Name the index that failed, as the layer's last report has it; else just “the index”."""
    attempts = [one for line in log for one in parse_report(line) if isinstance(one, IndexAttempt)]
    failed = [one.index for one in attempts if one.rejected]
    return f"the package index {failed[-1]}" if failed else "the package index"


def index_error(stage: str, log: Sequence[str], excerpt: str) -> DockyardError | None:
    """Say what an index did wrong, going by a layer's log; None where it did nothing wrong.

    ``excerpt`` is what of the log is shown.
    """
    text, index = "\n".join(line for line in log if not parse_report(line)), _index(log)
    if "hash mismatch" in text.lower():
        return BuildFailedError(
            f"{stage}: {index} served a file that is not the one in uv.lock\n{excerpt}",
            hint="try another index or mirror; if the file was replaced upstream on purpose, "
            "`uv lock --upgrade-package NAME`",
        )
    if login := _LOGIN.search(text):
        return NetworkError(
            f"{stage}: {index} wants another login ({login[1]})\n{excerpt}",
            hint="set UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, or put the login into "
            "netrc or the keyring: see docs/settings.md",
        )
    if _LACKS.search(text):
        return BuildFailedError(
            f"{stage}: {index} lacks a package of uv.lock\n{excerpt}",
            hint="check UV_DEFAULT_INDEX; a version that was withdrawn needs another lock: "
            "`uv lock --upgrade-package NAME`",
        )
    if _UNREACHABLE.search(text):
        return NetworkError(
            f"{stage}: {index} cannot be reached\n{excerpt}",
            hint="check UV_DEFAULT_INDEX, DOCKYARD_CA_FILE for a private CA, and "
            "DOCKYARD_NETWORK=host for an index on this machine",
        )
    if _DAMAGED.search(text):
        return NetworkError(
            f"{stage}: {index} serves what is no page or file of an index, or a damaged one\n"
            f"{excerpt}",
            hint="build again; if it stays so, look at that address: a proxy on the way may "
            "answer, or redirect, in its place (UV_DEFAULT_INDEX, DOCKYARD_UV_MIRRORS)",
        )
    return None
