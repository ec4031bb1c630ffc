"""What ``invoke check`` finds out: each a function with a verdict, a figure and a fix."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dockyard.errors import CheckFailedError, Problem, SettingsError
from dockyard.state import State

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["CHECKS", "OPTIONAL", "Verdict", "raise_failures", "run_checks", "verdict_lines"]

SHOWN_PROBLEMS = 10


@dataclass(frozen=True)
class Verdict:
    """What one check found: whether all is well, the figure it rests on, what is wrong, the fix."""

    name: str
    passed: bool
    figure: str
    problems: tuple[str, ...] = ()
    fix: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return asdict(self)


def check_layers(settings: Settings, environment: Mapping[str, str]) -> Verdict:
    """Check that the Dockerfile and the layer plan in it are those of the lock and the settings."""
    from dockyard.dockerfile_upkeep import settle_dockerfile
    from dockyard.known_project import Facts

    state = State(settings.root)
    # Nothing remembered may answer here: a check looks for itself.
    state.forget()
    facts = Facts(settings, state, "amd64")
    plan, notes = settle_dockerfile(settings, facts, state, environment, write=False)
    count = len(plan.layers) if plan else 0
    return Verdict(
        "layers",
        not notes,
        f"{len(facts.known.packages)} packages in {count} layers",
        notes,
        "run `invoke build` where the tree can be written, and commit the Dockerfile",
    )


def check_files(settings: Settings, environment: Mapping[str, str]) -> Verdict:
    """Check that no file of the built image is written by two packages with different content."""
    from dockyard.dockerfile import read_plan
    from dockyard.file_conflicts import image_conflicts
    from dockyard.project import image_name

    text = (settings.root / settings.dockerfile).read_text(encoding="utf-8")
    plan = read_plan(text, settings.dockerfile)
    layers = [layer.packages for layer in plan.layers] if plan else []
    found = image_conflicts(f"{_repository(settings, image_name(settings))}:latest", layers)
    problems = tuple(
        f"{one.path} is written by {', then '.join(one.packages)}: the last one's is there"
        for one in found
    )
    return Verdict(
        "files",
        not found,
        f"{len(found)} disputed files",
        problems,
        "install one of the packages only, or move both to the same layer to fix their order",
    )


def _repository(settings: Settings, image: str) -> str:
    return f"{settings.registry}/{image}" if settings.registry else image


def check_reproduces(settings: Settings, environment: Mapping[str, str]) -> Verdict:
    """Check that two fresh builders make the same image of this commit, byte for byte."""
    from dockyard.reproducibility import check_reproducible

    found = check_reproducible(settings, environment)
    digest = found.images[0].manifest.removeprefix("sha256:")[:12]
    return Verdict(
        "reproducible",
        found.identical,
        f"manifest {digest} twice" if found.identical else "two different images",
        () if found.identical else (str(found.difference or "the configurations differ"),),
        "see what writes that file, and take times and random names out of it",
    )


CHECKS: Mapping[str, Callable[[Settings, Mapping[str, str]], Verdict]] = {
    "layers": check_layers,
    "files": check_files,
    "reproducible": check_reproduces,
}
# Two builds from nothing: only where it is asked for.
OPTIONAL = frozenset({"reproducible"})


def run_checks(
    settings: Settings, environment: Mapping[str, str], names: Sequence[str] = ()
) -> tuple[Verdict, ...]:
    """Run the checks that are named, else all that are not optional, in their order.

    Raises SettingsError for a name that is no check, and what a check raises that cannot be made.
    """
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise SettingsError(
            f"there is no check {unknown[0]}",
            where="--only",
            hint=f"choose among: {', '.join(CHECKS)}",
        )
    chosen = [name for name in CHECKS if (name in names if names else name not in OPTIONAL)]
    return tuple(CHECKS[name](settings, environment) for name in chosen)


def verdict_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Say what each check found, and what to do about it."""
    lines = []
    for one in verdicts:
        lines.append(f"{'✓' if one.passed else '✗'} {one.name:<12}  {one.figure}")
        lines += [f"    {problem}" for problem in one.problems[:SHOWN_PROBLEMS]]
        if len(one.problems) > SHOWN_PROBLEMS:
            lines.append(f"    and {len(one.problems) - SHOWN_PROBLEMS} more")
    return lines


def raise_failures(verdicts: Sequence[Verdict]) -> None:
    """Raise CheckFailedError with a problem for each check that did not pass."""
    failed = [one for one in verdicts if not one.passed]
    if failed:
        first, *others = (
            Problem(f"the check “{one.name}” failed: {one.figure}", hint=one.fix) for one in failed
        )
        raise CheckFailedError(first, *others)
