"""Every check: its name, what it asserts, and what it rests on; in the order of their cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockyard.checks import changes, dockerfile, engine, image, project, secrets, supply
from dockyard.errors import Problem, SettingsError

if TYPE_CHECKING:
    from dockyard.checks.verdicts import Verdict
    from dockyard.checks.workbench import Workbench
    from dockyard.settings import Settings

__all__ = ["CHECKS", "Check", "choose", "required"]


@dataclass(frozen=True)
class Check:
    """One check.

    ``needs`` names the checks without which it could not tell what it found; ``optional`` ones are
    made where they are asked for alone.
    """

    name: str
    asserts: str
    run: Callable[[Workbench], Verdict]
    needs: tuple[str, ...] = ()
    optional: bool = False


_BUILT = ("build",)
_ALL = (
    Check("lock", "uv.lock is what pyproject.toml asks for", project.check_lock),
    Check(
        "linked-copies",
        "nothing executes after a linked COPY in the final stage",
        dockerfile.check_linked_copies,
    ),
    Check("timestamps", "no step writes the time or a random value", dockerfile.check_timestamps),
    Check(
        "base-pinned",
        "base images are named by their digests",
        dockerfile.check_base_pinned,
        optional=True,
    ),
    Check(
        "hashes",
        "what is installed is told apart by hashes (those without fail only where that is asked)",
        supply.check_hashes,
        needs=("lock",),
    ),
    Check(
        "context",
        "the build context is within budget and free of what .dockerignore should name",
        project.check_context,
    ),
    Check(
        "layers",
        "Dockerfile and layer plan are those of lock and settings",
        project.check_layers,
        needs=("lock",),
    ),
    Check(
        "dockerfile-lint",
        "BuildKit's checks and hadolint have nothing to say of the Dockerfile",
        dockerfile.check_lint,
    ),
    Check("build", "the image builds", engine.check_build, needs=("lock",)),
    Check("non-root", "the container does not run as root", image.check_non_root, _BUILT),
    Check("image-size", "the image is within budget", image.check_image_size, _BUILT),
    Check("hit-rate", "no fewer steps are cached than on main", project.check_hit_rate, _BUILT),
    Check("rebuild", "a second build is fully cached", changes.check_rebuild, _BUILT),
    Check(
        "code-change",
        "touching one source file runs only its COPY",
        changes.check_code_change,
        needs=("rebuild", "linked-copies"),
    ),
    Check(
        "dependency-change",
        "changing one package in the lock runs only its layer",
        changes.check_dependency_change,
        needs=("rebuild", "linked-copies", "code-change"),
    ),
    Check("files", "no package writes over another's files", engine.check_files, _BUILT),
    Check("smoke", "the smoke command or health check answers", engine.check_smoke, _BUILT),
    Check(
        "secrets",
        "no secret is in layers, history, environment, labels or attestations",
        secrets.check_secrets,
        _BUILT,
    ),
    Check("no-uv", "the image has no uv", image.check_no_uv, _BUILT),
    Check("no-compiler", "the image has no compiler", image.check_no_compiler, _BUILT),
    Check(
        "wasted-bytes",
        "what layers hide of layers below them is within budget",
        image.check_wasted_bytes,
        _BUILT,
    ),
    Check(
        "reproducible",
        "two fresh builders make the same image, byte for byte (slow)",
        engine.check_reproduces,
        _BUILT,
        optional=True,
    ),
)
CHECKS: Mapping[str, Check] = {one.name: one for one in _ALL}


def required(settings: Settings) -> tuple[str, ...]:
    """Name the checks that settings of their own ask for, whatever is left out elsewhere."""
    asked = {"base-pinned": settings.require_pinned, "hashes": settings.require_hashes}
    return tuple(name for name, wanted in asked.items() if wanted)


def choose(
    only: Sequence[str] = (), skip: Sequence[str] = (), also: Sequence[str] = ()
) -> tuple[Check, ...]:
    """Pick the checks to make, in their order.

    ``only`` these; else all that are not optional and those ``also`` asked for; never those to
    ``skip``. Raises SettingsError naming each name that is no check's, or where none is left.
    """
    problems = [
        Problem(f"there is no check {name}", where=place, hint=f"choose among: {', '.join(CHECKS)}")
        for place, names in (
            ("--only", only),
            ("--skip, DOCKYARD_CHECK_SKIP", skip),
            ("--also, DOCKYARD_CHECK_ALSO", also),
        )
        for name in names
        if name not in CHECKS
    ]
    if problems:
        raise SettingsError(*problems)
    chosen = tuple(
        one
        for one in CHECKS.values()
        if (one.name in only if only else not one.optional or one.name in also)
        and one.name not in skip
    )
    if not chosen:
        raise SettingsError("every check that was chosen is skipped", where="--skip")
    return chosen
