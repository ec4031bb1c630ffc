"""What the bench leaves in the engine's own builder, told from what is somebody else's."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dockyard import process
from dockyard.bench.images import COMMAND_SECONDS
from dockyard.caches.builder_usage import UsageRecord, builder_usage
from dockyard.errors import BuilderError

__all__ = ["EngineCache", "records_of_bench"]

# So many identifiers fit into one command line with ease.
AT_ONCE = 100


def records_of_bench(
    records: Iterable[UsageRecord], roots: Collection[str], before: Collection[str], run: str
) -> tuple[str, ...]:
    """Name the records that a bench made.

    Those are all that stand on a base image of its own (``roots``), and the linked copies, which
    stand on nothing, that such a record merges; ``before`` was there when the bench began. Cache
    mounts are known by the bench's name in their id.
    """
    known = {record.id: record for record in records}
    children: dict[str, list[str]] = {}
    for record in known.values():
        for parent in record.parents:
            children.setdefault(parent, []).append(record.id)
    found, waiting = set(), [one for root in roots for one in children.get(root, [])]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += children.get(name, [])
        # What a merge holds together: its other parents, unless they are a base image's.
        waiting += [
            parent
            for parent in known[name].parents
            if parent in known and known[parent].description and not known[parent].parents
        ]
    found |= {record.id for record in known.values() if record.mount and run in record.mount}
    return tuple(sorted(found - set(before)))


class EngineCache:
    """The builder ``builder`` from now on; ``run`` is in the name of everything that is ours."""

    def __init__(self, builder: str, run: str) -> None:
        self._builder, self._run = builder, run
        self._before = {record.id for record in builder_usage(builder) or ()}
        self._roots: set[str] = set()

    def note_base(self, image: str, mark: str) -> None:
        """Find the record of a base image of ours, by a step on it that nobody else has.

        The step also unpacks the image, so that no timed build does.
        """
        dockerfile = f"FROM {image}\nCOPY <<EOF /{mark}\nEOF\n"
        command = ["docker", "buildx", "build", "--builder", self._builder, "--quiet"]
        done = process.run(
            [*command, "--output", "type=cacheonly", "-"],
            input=dockerfile.encode(),
            timeout=COMMAND_SECONDS,
        )
        if not done.succeeded:
            raise BuilderError(f"the base image {image} cannot be built on: {done.stderr.strip()}")
        for record in builder_usage(self._builder) or ():
            if record.description.endswith(f"/{mark}") and record.parents:
                self._roots.add(record.parents[0])

    def remove_ours(self) -> None:
        """Remove what this bench made, as far as it is not in use."""
        records = builder_usage(self._builder) or ()
        ours = records_of_bench(records, self._roots, self._before, self._run)
        for start in range(0, len(ours), AT_ONCE):
            pattern = "|".join(f"^{name}$" for name in ours[start : start + AT_ONCE])
            process.run(
                [
                    *("docker", "buildx", "prune", "--builder", self._builder, "--force", "--all"),
                    *("--filter", f"id={pattern}"),
                ],
                timeout=COMMAND_SECONDS,
            )
