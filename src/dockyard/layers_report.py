"""What ``invoke layers`` shows: the plan, what is expected of it, and what past changes cost.

Gathered as a value by :func:`gather`; the rest is pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dockyard.display.format import format_bytes, format_count
from dockyard.display.tables import columns, join_names
from dockyard.dockerfile import read_plan
from dockyard.history import lock_history
from dockyard.layer_parameters import PlannerParameters
from dockyard.layer_replay import STRATEGIES, Strategy, replay
from dockyard.layers import LayerPlan, LayerStatistics, describe, plan, plan_by_size
from dockyard.lock_versions import History, LockedPackages, changes, distinct, locked_packages
from dockyard.preparation import project_facts, target_of

if TYPE_CHECKING:
    from dockyard.project import Package
    from dockyard.settings import Settings

__all__ = ["LayersReport", "LockChange", "gather", "report_layers", "report_lines"]

_NARROWEST = 20
_COMMIT_DIGITS = 12


@dataclass(frozen=True)
class LockChange:
    """One past change of the lock, and the bytes that each way to divide it would have moved.

    ``commit`` is None for what is not committed yet.
    """

    commit: str | None
    changed: tuple[str, ...]
    total: int
    moved: dict[Strategy, int]
    layers: int


@dataclass(frozen=True)
class Expectation:
    """Bytes that a plan is expected to move per change of the lock, and its number of layers."""

    bytes: int
    layers: int


@dataclass(frozen=True)
class LayersReport:
    """The plan in force, what is expected of it and of others, and past changes, oldest first.

    ``kept``: the plan is the Dockerfile's; otherwise it is what would be planned now.
    ``expected``: for the plan in force, one made anew, by size, and one layer. ``layer_bytes``:
    what one more layer costs in build time per change of the lock, in bytes.
    """

    kept: bool
    layers: tuple[LayerStatistics, ...]
    expected: dict[str, Expectation]
    layer_bytes: int
    versions: int
    changes: tuple[LockChange, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return asdict(self) | {
            "layers": [
                asdict(layer) | {"expected_bytes": round(layer.expected_bytes)}
                for layer in self.layers
            ],
        }


def gather(settings: Settings, last: int) -> LayersReport:
    """Read the project, its lock's history and the Dockerfile's plan; replay ``last`` changes."""
    facts = project_facts(settings)
    history = lock_history(
        settings.root / settings.project,
        extras=settings.extras,
        groups=settings.groups,
        target=target_of(settings),
        memory=settings.root,
    )
    path = settings.root / settings.dockerfile
    kept = (
        read_plan(path.read_text(encoding="utf-8"), settings.dockerfile) if path.exists() else None
    )
    return report_layers(facts.packages, history, kept, settings.layers, last)


def report_layers(
    packages: tuple[Package, ...],
    history: History,
    kept: LayerPlan | None,
    limit: int,
    last: int,
    parameters: PlannerParameters | None = None,
) -> LayersReport:
    """Put the report together from values; ``limit``: the most layers that a plan may have."""
    parameters = parameters or PlannerParameters()
    anew = plan(packages, history, limit, parameters)
    plans = {
        "this plan": kept or anew,
        "planned anew": anew,
        "by size": plan_by_size(packages, limit),
        "one layer": plan_by_size(packages, 1),
    }
    described = {name: describe(one, packages, history, parameters) for name, one in plans.items()}
    now = locked_packages(packages, history.sizes())
    versions = distinct([*history.versions, now])
    known = parameters.measured(history.builds_per_change)
    notes = list(history.notes)
    if len(versions) < 2:
        notes.append("no change of the lock is known yet: chances are those of other projects")
    return LayersReport(
        kept=kept is not None,
        layers=described["this plan"],
        expected={
            name: Expectation(round(sum(one.expected_bytes for one in layers)), len(layers))
            for name, layers in described.items()
        },
        layer_bytes=round(known.layer_bytes),
        versions=len(history.versions),
        changes=_replay_last(history, versions, limit, last, known),
        notes=tuple(notes),
    )


def _replay_last(
    history: History,
    versions: tuple[LockedPackages, ...],
    limit: int,
    last: int,
    parameters: PlannerParameters,
) -> tuple[LockChange, ...]:
    whole = History(versions=versions)
    replayed = {one: replay(whole, one, limit, parameters, last) for one in STRATEGIES}
    count = len(replayed["this plan"])
    first = len(versions) - count
    commits: list[str | None] = [*history.commits]
    commits += [None] * (len(versions) - len(commits))
    return tuple(
        LockChange(
            commit=commits[first + n],
            changed=_describe(versions[first + n - 1], versions[first + n]),
            total=replayed["this plan"][n].total,
            moved={one: moves[n].moved for one, moves in replayed.items()},
            layers=replayed["this plan"][n].layers,
        )
        for n in range(count)
    )


def _describe(old: LockedPackages, new: LockedPackages) -> tuple[str, ...]:
    """Say what changed, the largest first: ``redis 8.1.0 → 5.3.1``."""
    found = changes(old, new)
    texts = [
        (new[name].size, f"{name} {old[name].version} → {new[name].version}")
        for name in found.changed
    ]
    texts += [(new[name].size, f"{name} {new[name].version} added") for name in found.added]
    texts += [(0, f"{name} removed") for name in found.removed]
    return tuple(text for _, text in sorted(texts, key=lambda one: (-one[0], one[1])))


def _versions(count: int) -> str:
    return format_count(count, "version of uv.lock is", "versions of uv.lock are")


def report_lines(report: LayersReport, width: int | None) -> list[str]:
    """Lay the report out as text; ``width``: of the terminal, if there is one."""
    origin = "kept in the Dockerfile" if report.kept else "as it would be planned now"
    lines = [f"layers, {origin}; {_versions(report.versions)} known", ""]
    lines += _layer_table(report, width)
    lines += [
        "",
        "expected per change of uv.lock",
        *columns(
            ["plan", "layers", "bytes"],
            [[n, str(e.layers), format_bytes(e.bytes)] for n, e in report.expected.items()],
            right={1, 2},
        ),
        f"one more layer costs as much build time as {format_bytes(report.layer_bytes)} more",
    ]
    if report.changes:
        lines += ["", *_change_table(report, width)]
    return [*lines, *(f"note: {note}" for note in report.notes)]


def _room(rows: list[list[str]], headings: list[str], width: int | None) -> int | None:
    """Return how many characters are left for one more column."""
    if width is None:
        return None
    taken = sum(max(map(len, column)) + 2 for column in zip(headings, *rows, strict=True))
    return max(width - taken, _NARROWEST)


def _layer_table(report: LayersReport, width: int | None) -> Iterator[str]:
    headings = ["layer", "number", "bytes", "chance", "expected"]
    rows = [
        [
            str(number),
            str(len(layer.packages)),
            ("~" if layer.estimated else "") + format_bytes(layer.bytes),
            f"{layer.chance:.1%}",
            format_bytes(layer.expected_bytes),
        ]
        for number, layer in enumerate(report.layers, start=1)
    ]
    room = _room(rows, headings, width)
    for row, layer in zip(rows, report.layers, strict=True):
        row.append(join_names(layer.packages, room))
    yield from columns([*headings, "packages"], rows, right={0, 1, 2, 3, 4})


def _change_table(report: LayersReport, width: int | None) -> Iterator[str]:
    headings = ["change", *STRATEGIES]
    rows = [
        [
            change.commit[:_COMMIT_DIGITS] if change.commit else "uncommitted",
            *(format_bytes(change.moved[one]) for one in STRATEGIES),
        ]
        for change in report.changes
    ]
    total = sum(change.total for change in report.changes)
    shares = [
        sum(c.moved[one] for c in report.changes) / total if total else 0 for one in STRATEGIES
    ]
    rows.append(["share", *(f"{share:.1%}" for share in shares)])
    room = _room(rows, headings, width)
    for row, change in zip(rows, report.changes, strict=False):
        row.append(join_names(change.changed, room))
    rows[-1].append("")
    last = "change" if len(report.changes) == 1 else f"{len(report.changes)} changes"
    yield f"what the last {last} of uv.lock would have moved"
    yield from columns([*headings, "packages"], rows, right=set(range(1, len(STRATEGIES) + 1)))
