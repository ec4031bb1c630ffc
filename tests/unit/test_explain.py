"""Made-up pairs of builds, each with the one true cause; no other may be named."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dockyard.explain import explain
from dockyard.explain_model import CauseKind as Kind
from dockyard.explain_model import Explanation, Relation
from dockyard.record_parts import CacheRecord
from support.explained import ALL, Made
from support.records import make_record

NEW = "20260102T000000.000Z-2"
OLD = "20260101T000000.000Z-1"
# All but the linked copies of sources, which nothing below them concerns.
BASED = tuple(one for one in ALL if one not in ("src", "scripts"))
PACKAGE = ("plan", "dep2", "copy-dep2")
ONE = Made()
REFUSED = "dial tcp 10.0.0.7:443: connect: connection refused"
MISSING = "registry.example.com/app:cache-linux-amd64-feature: not found"


@dataclass(frozen=True)
class Case:
    """A build, the one before, and the causes: kind, and what the summary has in it."""

    name: str
    now: Made
    ran: tuple[str, ...]
    causes: tuple[tuple[Kind, str], ...]
    before: Made = ONE
    then: dict[str, Any] = field(default_factory=dict)
    build: dict[str, Any] = field(default_factory=dict)


def imports(*errors: str | None) -> dict[str, Any]:
    return {
        "caches": tuple(
            CacheRecord("import", "registry", f"registry.example.com/app:{number}", 0.1, None, one)
            for number, one in enumerate(errors)
        )
    }


def case(
    name: str, now: Made, ran: str, *causes: tuple[Kind, str], before: Made = ONE, **more: Any
) -> Case:
    steps = {"all": ALL, "based": BASED}.get(ran) or tuple(ran.split())
    return Case(name, now, steps, causes, before, **more)


OTHER_BUILDER = ONE.but(builder=("default", "docker", "engine-2"))
DEDICATED = ONE.but(
    builder=("dockyard", "docker-container", "volume-1"),
    settings={"builder": ("dockyard", ".env, line 2")},
)
FAILED = {"outcome": "failed", "error": "step dep2 failed: no network\nmore"}
INTERRUPTED = {"outcome": "interrupted"}
GIVEN = ONE.but(given_plan=True)
BUMPED = ONE.with_packages(redis=("5.3.1", 2, 231_000))
CODE = ONE.with_files(src__app__main_dot_py=("main 2", 4_100))
ENVIRONMENT = "ENV PYTHONHASHSEED=0 UV_LINK_MODE=copy"
APT = "RUN --mount=type=cache,id=dockyard-apt,target=/var/cache/apt <<'SCRIPT'"
BUILD_PACKAGES = {"build_packages": (["gcc"], "environment DOCKYARD_BUILD_PACKAGES")}
MODELS = {"copy_paths": (["src", "scripts", "models"], ".env, line 4")}
PULLED = "RUN echo hello > /app/hello"

CASES = (
    case("a package changed version", BUMPED, "plan dep2 copy-dep2",
         (Kind.PACKAGES, "redis 5.3.0 → 5.3.1 (layer 2)")),
    case("a package changed version, and the plan was given", GIVEN.but(
         packages=BUMPED.packages, files=BUMPED.files), "dep2 copy-dep2",
         (Kind.PACKAGES, "redis 5.3.0 → 5.3.1 (layer 2)"), before=GIVEN),
    case("a marker changed, and the plan was given",
         GIVEN.with_files(uv_dot_lock=("lock 2", 52_300)), "dep2 copy-dep2",
         (Kind.FILES, "uv.lock changed (52.0 kB → 52.3 kB)"), before=GIVEN),
    case("the plan's stage made what had been given before", ONE, "assignment plan",
         (Kind.PLAN_STAGE, "the layer plan was made by its stage, and before by uv of the machine"),
         before=GIVEN),
    case("a given layer plan and no change of it: the cache is to blame", GIVEN, "dep2",
         (Kind.CACHE_EVICTED, "no longer in the cache of the builder default"), before=GIVEN),
    case("two packages changed", BUMPED.with_packages(click=("8.2.0", 2, 99_000)),
         "plan dep2 copy-dep2",
         (Kind.PACKAGES, "redis 5.3.0 → 5.3.1 (layer 2) and 1 more package")),
    case("packages of two layers changed, the larger leads",
         BUMPED.with_packages(scipy=("1.15.2", 1, 35_100_000)),
         "plan dep1 dep2 copy-dep1 copy-dep2", (Kind.PACKAGES, "scipy 1.15.1 → 1.15.2 (layer 1)")),
    case("a package was added", ONE.with_packages(flask=("3.1.0", 2, 103_000)),
         "assignment plan dep2 copy-dep2", (Kind.PACKAGES, "flask 3.1.0 added (layer 2)")),
    case("a package was removed", ONE.with_packages(click=None),
         "assignment plan dep2 copy-dep2", (Kind.PACKAGES, "click 8.1.0 removed (layer 2)")),
    case("a package moved to another layer",
         ONE.but(packages={**ONE.packages, "click": ("8.1.0", 1, 98_000)}),
         "assignment plan dep1 dep2 copy-dep1 copy-dep2",
         (Kind.PLAN, "click moved from layer 2 to 1")),
    case("the plan has a layer more",
         ONE.but(packages={**ONE.packages, "click": ("8.1.0", 3, 98_000)}, layers=3),
         "assignment plan dep2 dep3 copy-dep2 copy-dep3",
         (Kind.PLAN, "click moved from layer 2 to 3")),
    case("the plan has fewer layers, as a setting asks",
         ONE.but(layers=1, settings={"layers": (1, ".env, line 9")},
                 packages={n: (v, 1, b) for n, (v, _, b) in ONE.packages.items()}),
         "assignment plan dep1 copy-dep1", (Kind.SETTING, "DOCKYARD_LAYERS 24 → 1 (.env, line 9")),
    case("the lock changed, and no package of the image",
         ONE.with_files(uv_dot_lock=("lock 2", 52_300)), "plan",
         (Kind.FILES, "uv.lock changed (52.0 kB → 52.3 kB), no package of the image did")),
    case("pyproject.toml changed", ONE.with_files(pyproject_dot_toml=("project 2", 900)), "plan",
         (Kind.FILES, "pyproject.toml changed")),
    case("the code changed", CODE, "src",
         (Kind.FILES, "src/app/main.py changed (4.0 kB → 4.1 kB)")),
    case("several files of one path, the largest first",
         CODE.with_files(src__app__big_dot_py=("big", 9_000), src__app__util_dot_py=None), "src",
         (Kind.FILES, "src/app/big.py added and 2 more files")),
    case("another path's file is no cause of this copy",
         CODE.with_files(scripts__run_dot_sh=("run 2", 301)), "scripts",
         (Kind.FILES, "scripts/run.sh changed")),
    case("the base image moved", ONE.but(python="python two"), "based",
         (Kind.BASE_IMAGE, "base image docker.io/library/python:3.13-slim moved: ")),
    case("the base image moved, linked copies stayed", ONE.but(python="python two"), "workdir",
         (Kind.BASE_IMAGE, "base image docker.io/library/python:3.13-slim moved: ")),
    case("uv's image moved", ONE.but(uv="uv two"),
         "venv assignment plan dep1 dep2 copy-env copy-dep1 copy-dep2",
         (Kind.BASE_IMAGE, "base image ghcr.io/astral-sh/uv:0.13.9 moved: ")),
    case("another base image is set",
         ONE.but(python="other", python_name="docker.io/library/python:3.14-slim",
                 settings={"python_image": ("docker.io/library/python:3.14-slim", "--python")}),
         "based", (Kind.SETTING, "DOCKYARD_PYTHON_IMAGE docker.io/library/python:3.13-slim → "
                 "docker.io/library/python:3.14-slim (--python, before: default)")),
    case("a line of the Dockerfile changed",
         ONE.but(more={"extra": "RUN echo other > /app/hello"}), "extra",
         (Kind.DOCKERFILE, "`RUN echo hello > /app/hello` → `RUN echo other > /app/hello`"),
         before=ONE.but(more={"extra": PULLED})),
    case("a line is new, and what is after it runs too",
         ONE.but(lines={"env": f"RUN apt-get install git\n\n{ENVIRONMENT}"}),
         "env+ venv dep1 dep2 copy-env copy-dep1 copy-dep2",
         (Kind.DOCKERFILE, "`RUN apt-get install git` is new")),
    case("a line is gone",
         ONE.but(lines={"venv": "RUN uv venv /opt/venv"}),
         "venv", (Kind.DOCKERFILE, "`RUN apt-get install git` is gone"),
         before=ONE.but(lines={"venv": "RUN apt-get install git\n\nRUN uv venv /opt/venv"})),
    case("a variable of the Dockerfile changed",
         ONE.but(lines={"env": "ENV PYTHONHASHSEED=1"}), "venv",
         (Kind.DOCKERFILE, "→ `ENV PYTHONHASHSEED=1`")),
    case("the text of a script in the Dockerfile changed",
         ONE.but(heredocs={"install": "print(2)"}), "install venv",
         (Kind.DOCKERFILE,
          "the text of `COPY <<'install-layer' /` changed")),
    case("a setting changed the Dockerfile",
         ONE.but(lines={"env": f"{APT}\n\n{ENVIRONMENT}"}, settings=BUILD_PACKAGES),
         "env+ venv dep1 copy-dep1",
         (Kind.SETTING, "DOCKYARD_BUILD_PACKAGES none → gcc (environment DOCKYARD_BUILD_PACKAGES")),
    case("what is left out of packages is set anew",
         ONE.but(settings={"slim": (["bytecode", "tests"], "pyproject.toml")},
                 slim="bytecode tests"),
         "dep1 dep2 copy-dep1 copy-dep2",
         (Kind.SETTING, "DOCKYARD_SLIM bytecode → bytecode, tests (pyproject.toml, before")),
    case("a line that is too long for the record changed at its end", ONE.but(slim="tests"),
         "dep1 copy-dep1",
         (Kind.DOCKERFILE, "finish-layer dependencies-1 bytecode` → `…")),
    case("a path is copied as well", ONE.but(more={"extra": "COPY --link models /app/models"},
                                             settings=MODELS), "extra",
         (Kind.SETTING, "DOCKYARD_COPY_PATHS src, scripts → src, scripts, models (.env, line 4")),
    case("a copy changed that the paths to copy do not name",
         ONE.but(more={"extra": "COPY other /app/b"}, settings=MODELS), "extra",
         (Kind.DOCKERFILE, "`COPY other /app/a` → `COPY other /app/b`"),
         before=ONE.but(more={"extra": "COPY other /app/a"})),
    case("a variable is no cause of a copy after it",
         ONE.but(more={"variable": "ENV X=2", "extra": "COPY pyproject.toml /app/"}), "extra",
         (Kind.CACHE_EVICTED, "no longer"),
         before=ONE.but(more={"variable": "ENV X=1", "extra": "COPY pyproject.toml /app/"})),
    case("a variable and the base image changed, each with its steps",
         ONE.but(python="python two", lines={"venv": "ENV X=2\n\nRUN uv venv /opt/venv"}),
         "venv copy-env workdir",
         (Kind.DOCKERFILE, "`ENV X=1` → `ENV X=2`"), (Kind.BASE_IMAGE, "moved"),
         before=ONE.but(lines={"venv": "ENV X=1\n\nRUN uv venv /opt/venv"})),
    case("a line that is gone is no cause of a linked copy after it", ONE, "src",
         (Kind.CACHE_EVICTED, "no longer"),
         before=ONE.but(lines={"workdir": "RUN echo hello\n\nWORKDIR /app"})),
    case("extras changed, and packages with them",
         ONE.but(arguments={"EXTRAS": "cpu web"},
                 packages={**ONE.packages, "flask": ("3.1.0", 2, 103_000)},
                 settings={"extras": (["cpu", "web"], "environment DOCKYARD_EXTRAS")}),
         "assignment plan dep2 copy-dep2",
         (Kind.SETTING, "DOCKYARD_EXTRAS cpu → cpu, web (environment DOCKYARD_EXTRAS, before"),
         before=ONE.but(settings={"extras": (["cpu"], "pyproject.toml")})),
    case("a build argument changed",
         ONE.but(more={"arg": "ARG IMAGE_REVISION", "extra": "RUN echo $IMAGE_REVISION"},
                 arguments={"EXTRAS": "cpu", "IMAGE_REVISION": "bbb"}), "extra",
         (Kind.ARGUMENT, "build argument IMAGE_REVISION aaa → bbb (the commit)"),
         before=ONE.but(more={"arg": "ARG IMAGE_REVISION", "extra": "RUN echo $IMAGE_REVISION"},
                        arguments={"EXTRAS": "cpu", "IMAGE_REVISION": "aaa"})),
    case("a build argument that no step sees is no cause",
         CODE.but(arguments={"EXTRAS": "cpu", "IMAGE_REVISION": "bbb"}), "src",
         (Kind.FILES, "src/app/main.py"),
         before=ONE.but(arguments={"EXTRAS": "cpu", "IMAGE_REVISION": "aaa"})),
    case("the network of the steps was set",
         ONE.but(settings={"network": ("host", ".env, line 1")}), "venv plan dep1 copy-dep1",
         (Kind.SETTING, "DOCKYARD_NETWORK default → host (.env, line 1")),
    case("a platform is new", ONE.but(platforms=("linux/amd64", "linux/arm64"),
                                      settings={"platforms": (["linux/amd64", "linux/arm64"],
                                                              "--platform")}),
         " ".join(f"linux/arm64:{one}" for one in ALL),
         (Kind.PLATFORM, "the platform linux/arm64 was not built before (--platform)")),
    case("another platform instead", ONE.but(platforms=("linux/arm64",)), "all",
         (Kind.PLATFORM, "the platform linux/arm64 was not built before, only linux/amd64")),
    case("--no-cache", CODE.but(no_cache=True), "all", (Kind.NO_CACHE, "--no-cache")),
    case("the builder was made again", OTHER_BUILDER, "all",
         (Kind.BUILDER, "the builder default was made again, and starts with an empty cache")),
    case("another builder", DEDICATED, "all",
         (Kind.BUILDER, "another builder: default (docker) → dockyard (docker-container)")),
    case("a new builder, and the code changed too",
         CODE.but(builder=("default", "docker", "engine-2")), "all",
         (Kind.BUILDER, "the builder default was made again"), (Kind.FILES, "src/app/main.py")),
    case("pruned", ONE, "dep1 copy-dep1",
         (Kind.CACHE_EVICTED, "no longer in the cache of the builder default")),
    case("all was pruned", ONE, "all",
         (Kind.CACHE_EVICTED, "no longer in the cache of the builder default")),
    case("a package changed, and what it needs was pruned", BUMPED,
         "install assignment plan dep2 copy-dep2",
         (Kind.PACKAGES, "redis 5.3.0 → 5.3.1")),
    case("a package changed, and another layer was pruned", BUMPED, "plan dep1 dep2 copy-dep2",
         (Kind.PACKAGES, "redis 5.3.0 → 5.3.1"), (Kind.CACHE_EVICTED, "no longer in the cache")),
    case("a new builder cannot reach its cache", OTHER_BUILDER, "all",
         (Kind.CACHE_UNREACHABLE, f"could not be imported: {REFUSED}"), build=imports(REFUSED)),
    case("a new builder, and the branch has no cache yet",
         OTHER_BUILDER.but(scope={"branch": "feature", "platform": "linux-amd64"}), "all",
         (Kind.CACHE_OTHER_BRANCH, "no cache of the branch feature yet"), build=imports(MISSING),
         before=ONE.but(scope={"branch": "main", "platform": "linux-amd64"})),
    case("a new builder, and the cache holds a part", OTHER_BUILDER, "dep1",
         (Kind.CACHE_NOT_HELD, "not in the cache that was imported (registry.example.com/app:0)"),
         build=imports(None)),
    case("a new builder with its cache, and a package changed",
         BUMPED.but(builder=("default", "docker", "engine-2")), "install assignment " +
         " ".join(PACKAGE), (Kind.PACKAGES, "redis 5.3.0 → 5.3.1"), build=imports(None)),
    case("the build before failed", ONE, "dep2 copy-dep2",
         (Kind.UNFINISHED, f"the build before ({OLD}) failed before this was done: step dep2"),
         then={**FAILED, "unreached": ("copy-dep2", "dep2"), "errors": {"dep2": "exit code: 1"}}),
    case("the build before was interrupted", ONE, "dep1 copy-dep1",
         (Kind.UNFINISHED, f"the build before ({OLD}) was interrupted before this was done"),
         then={**INTERRUPTED, "unreached": ("dep1", "copy-dep1")}),
    case("the build before failed, but had done this one", ONE, "dep1",
         (Kind.CACHE_EVICTED, "no longer in the cache"), then={**FAILED, "unreached": ("src",)}),
    case("the failed line was mended", ONE.but(more={"extra": PULLED}), "extra",
         (Kind.DOCKERFILE, "→ `RUN echo hello"), before=ONE.but(more={"extra": "RUN ehco hello"}),
         then={**FAILED, "unreached": ("extra",)}),
    case("two independent causes, the dearer first",
         BUMPED.with_files(src__app__main_dot_py=("main 2", 4_100)), "plan dep2 copy-dep2 src",
         (Kind.PACKAGES, "redis 5.3.0 → 5.3.1"), (Kind.FILES, "src/app/main.py")),
    case("a record of schema 1 tells no file", CODE, "src",
         (Kind.UNKNOWN, "not known: what changed in src"), then={"schema": 1}),
    case("a record of schema 1 tells no version", BUMPED, "dep2 copy-dep2",
         (Kind.UNKNOWN, "not known: which packages changed version"), then={"schema": 1}),
    case("a record of schema 1 tells names of packages",
         ONE.with_packages(flask=("3.1.0", 2, 103_000)), "dep2 copy-dep2",
         (Kind.PACKAGES, "flask 3.1.0 added"), then={"schema": 1}),
    case("a record of schema 1 tells base images", ONE.but(python="python two"), "based",
         (Kind.BASE_IMAGE, "moved: "), then={"schema": 1}),
    case("a record of schema 1 tells lines by their steps",
         ONE.but(more={"extra": PULLED}), "extra",
         (Kind.DOCKERFILE, "stage app-builder: `RUN echo hello > /app/hello` is new or another"),
         then={"schema": 1}),
    case("a record of schema 1 tells builders' names", DEDICATED, "all",
         (Kind.BUILDER, "another builder"), then={"schema": 1}),
    case("two records of schema 1", CODE, "src",
         (Kind.UNKNOWN, "not known: what changed in src"), then={"schema": 1}, build={"schema": 1}),
)  # fmt: skip


def explained(one: Case) -> Explanation:
    before = one.before.record(id=OLD, **one.then)
    return explain(one.now.record(*one.ran, id=NEW, **one.build), before, "because")


@pytest.mark.parametrize("one", CASES, ids=[one.name for one in CASES])
def test_the_true_cause_is_named_and_no_other(one: Case) -> None:
    found = explained(one)

    named = [(cause.kind, cause.summary) for cause in found.causes]
    assert [kind for kind, _ in named] == [kind for kind, _ in one.causes], named
    for (_, summary), (_, part) in zip(named, one.causes, strict=True):
        assert part in summary


@pytest.mark.parametrize("one", CASES, ids=[one.name for one in CASES])
def test_each_step_that_ran_has_a_cause_and_counts_once(one: Case) -> None:
    found = explained(one)

    assert len(found.steps) == len(one.ran)
    assert all(step.causes for step in found.steps)
    first = sorted(position for cause in found.causes for position in cause.steps)
    assert first == sorted(step.position for step in found.steps)


@pytest.mark.parametrize("schema", [1, 2])
@pytest.mark.parametrize("now", [ONE, CODE, BUMPED, OTHER_BUILDER, ONE.but(python="python two")])
def test_where_everything_was_cached_no_cause_is_invented(now: Made, schema: int) -> None:
    before = ONE.record(*ALL, id=OLD, schema=schema)

    found = explain(now.record(id=NEW), before)

    assert found.causes == ()
    assert found.steps == ()
    assert found.notes == ()
    assert found.cached == len(ALL)


def test_a_first_build_is_one() -> None:
    found = explain(ONE.record(*ALL), None)

    assert [one.kind for one in found.causes] == [Kind.FIRST_BUILD]
    assert found.causes[0].summary == "the first build of service that is recorded here"
    assert found.compared is None


def test_what_a_cause_cost() -> None:
    found = explained(next(one for one in CASES if one.name == "a package changed version"))

    (cause,) = found.causes
    # plan 0.2 s, dep2 4 s, copy 0.4 s, one after the other; the layer as it is transferred
    assert cause.seconds == pytest.approx(4.6)
    assert (cause.bytes, cause.compressed) == (18_000_000, True)
    assert [step.relation for step in found.steps] == [
        Relation.DIRECT, Relation.DIRECT, Relation.AFTER]  # fmt: skip


def test_steps_that_ran_at_the_same_time_cost_it_once() -> None:
    record = ONE.record("dep1", "dep2", id=NEW)
    at_once = tuple(
        replace(step, started="2026-01-01T00:00:00.000Z") if step.ran else step
        for step in record.steps
    )

    found = explain(replace(record, steps=at_once), ONE.record(id=OLD))

    assert found.causes[0].seconds == pytest.approx(4.0)


def test_layers_of_an_unknown_transfer_size_count_unpacked() -> None:
    record = BUMPED.record(*PACKAGE, id=NEW)
    layers = tuple(replace(one, compressed=None) for one in record.layers)

    found = explain(replace(record, layers=layers), ONE.record(id=OLD))

    assert (found.causes[0].bytes, found.causes[0].compressed) == (58_000_000, False)


def test_steps_that_a_change_needed_are_folded_under_it() -> None:
    found = explained(next(one for one in CASES if "what it needs" in one.name))

    relations = {step.instruction: step.relation for step in found.steps}
    assert relations["COPY --chmod=0755 <<'install-layer' /"] is Relation.NEEDED
    assert relations["COPY <<ASSIGNMENT /plan/assignment"] is Relation.NEEDED


def test_on_a_builder_that_had_nothing_no_step_was_needed_by_a_change() -> None:
    now = BUMPED.but(builder=("default", "docker", "engine-2"))

    found = explain(now.record(*ALL, id=NEW), ONE.record(id=OLD))

    kinds = {step.instruction: found.causes[step.causes[0]].kind for step in found.steps}
    assert kinds["WORKDIR /app"] is Kind.BUILDER
    assert kinds["COPY --chmod=0755 <<'install-layer' /"] is Kind.BUILDER
    assert not any(step.relation is Relation.NEEDED for step in found.steps)


def test_a_plan_that_wrote_the_same_is_no_cause_of_a_layer_that_was_pruned() -> None:
    found = explain(BUMPED.record("plan", "dep1", id=NEW), ONE.record(id=OLD))

    by_stage = {step.stage: found.causes[step.causes[0]].kind for step in found.steps}
    assert by_stage == {"plan": Kind.PACKAGES, "dependencies-1": Kind.CACHE_EVICTED}


def test_files_that_no_record_lists_are_not_guessed_at() -> None:
    def left_out(made: Made, *ran: str, count: int, **more: Any) -> Any:
        record = made.record(*ran, **more)
        assert record.inputs
        return replace(record, inputs=replace(record.inputs, files_left_out=count))

    found = explain(left_out(ONE, "src", count=12, id=NEW), left_out(ONE, count=12, id=OLD))

    assert [one.kind for one in found.causes] == [Kind.UNKNOWN]
    assert "12 files are not in the record of" in found.causes[0].summary


def test_a_file_that_the_other_record_may_have_left_out_is_not_called_new() -> None:
    record, before = ONE.record("src", id=NEW), ONE.record(id=OLD)
    assert before.inputs
    files = tuple(one for one in before.inputs.files if one.path != "src/app/util.py")
    cut = replace(before, inputs=replace(before.inputs, files=files, files_left_out=1))

    found = explain(record, cut)

    assert [one.kind for one in found.causes] == [Kind.UNKNOWN]


def test_a_file_known_to_differ_is_named_though_others_are_left_out() -> None:
    record, before = CODE.record("src", id=NEW), ONE.record(id=OLD)
    assert before.inputs
    cut = replace(before, inputs=replace(before.inputs, files_left_out=3))

    found = explain(record, cut)

    assert [one.summary for one in found.causes] == [
        "src/app/main.py changed (4.0 kB → 4.1 kB)"
    ]  # fmt: skip


def test_a_cache_that_could_not_be_imported_for_a_first_build_is_a_note() -> None:
    found = explain(ONE.record(*ALL, **imports(REFUSED)), None)

    assert [one.kind for one in found.causes] == [Kind.FIRST_BUILD]
    assert found.notes == (
        f"the cache registry.example.com/app:0 could not be imported: {REFUSED}",
    )


def test_a_build_without_any_step_has_no_cause() -> None:
    found = explain(make_record(steps=()), ONE.record(id=OLD))

    assert (found.causes, found.cached) == ((), 0)
