"""Checks: which are chosen, how one rests on another, and how they end."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from dockyard.checks import (
    CHECKS,
    Check,
    Finding,
    Outcome,
    Verdict,
    Workbench,
    choose,
    raise_failures,
    run_checks,
)
from dockyard.checks.progress import LineWatcher, choose_watcher
from dockyard.checks.project import check_layers, judge_context, judge_hit_rate
from dockyard.checks.verdicts import judge
from dockyard.checks.workbench import PLANTED, with_planted_secret
from dockyard.context import ContextEntry, ContextListing, Suggestion
from dockyard.display.progress import LineWriter
from dockyard.errors import (
    CheckFailedError,
    CheckUnavailableError,
    DockyardError,
    EngineError,
    SettingsError,
)
from dockyard.records import FileRecord, InputsRecord, PackageRecord
from dockyard.settings import load_settings, masked, redactor
from support.records import make_record
from support.settings import make_settings

PASSED = Verdict("layers", Outcome.PASSED, "3 packages in 2 layers")
FAILED = judge("files", [Finding("a.py is written twice")], "1 file", "install one only")
UNKNOWN = Verdict("smoke", Outcome.UNKNOWN, "no engine")


@pytest.fixture
def tree(tmp_path: Path, repository: Path) -> Path:
    """This repository's project and Dockerfile, in a folder of their own."""
    for name in ("pyproject.toml", "docker/Dockerfile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(repository / name, tmp_path / name)
    ignored = shutil.ignore_patterns("__pycache__", "models")
    shutil.copytree(repository / "examples", tmp_path / "examples", ignore=ignored)
    return tmp_path


def workbench(root: Path, **environment: str) -> Workbench:
    return Workbench(load_settings(root, {}, {}), environment, io.StringIO())


# -------------------- the plan in the Dockerfile


@pytest.mark.spawns
def test_a_plan_that_is_the_locks_passes(tree: Path) -> None:
    verdict = check_layers(workbench(tree))
    assert verdict.outcome is Outcome.PASSED, verdict.findings


@pytest.mark.spawns
def test_a_plan_that_knows_a_package_less_is_stale_and_the_file_stays(tree: Path) -> None:
    path = tree / "docker/Dockerfile"
    lines = path.read_text().splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if line.endswith(" starlette\n"))
    text = "".join(lines[:number] + lines[number + 1 :])
    path.write_text(text)
    verdict = check_layers(workbench(tree))
    assert verdict.outcome is Outcome.FAILED
    assert verdict.findings[0].file == "docker/Dockerfile"
    assert path.read_text() == text


# -------------------- which are chosen


def test_optional_checks_are_made_where_they_are_asked_for() -> None:
    names = [one.name for one in choose()]
    assert names == [name for name, one in CHECKS.items() if not one.optional]
    assert "base-pinned" in [one.name for one in choose(also=["base-pinned"])]
    assert [one.name for one in choose(["smoke", "lock", "reproducible"])] == [
        "lock",
        "smoke",
        "reproducible",
    ]
    assert [one.name for one in choose(["smoke", "lock"], skip=["smoke"])] == ["lock"]


def test_what_a_check_needs_comes_before_it() -> None:
    names = list(CHECKS)
    for one in CHECKS.values():
        assert all(names.index(needed) < names.index(one.name) for needed in one.needs)


@pytest.mark.parametrize("argument", ["only", "skip", "also"])
def test_an_unknown_check_is_named_with_those_there_are(argument: str) -> None:
    with pytest.raises(SettingsError, match=r"no check layer\n.*layers, dockerfile-lint, build"):
        choose(**{argument: ["layer"]})


def test_nothing_left_to_check_is_an_error() -> None:
    with pytest.raises(SettingsError, match="skipped"):
        choose(["lock"], skip=["lock"])


# -------------------- how they are made


def _check(name: str, answer: Verdict | Exception, *needs: str) -> Check:
    def run(_: Workbench) -> Verdict:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Check(name, "", run, needs)


def _made(*checks: Check) -> tuple[tuple[Verdict, ...], str]:
    stream = io.StringIO()
    bench = Workbench(make_settings(), {}, stream)
    return run_checks(checks, bench, LineWatcher(LineWriter(stream))), stream.getvalue()


def test_what_rests_on_a_failed_check_is_not_made() -> None:
    broken = AssertionError("it must not be made")
    found, said = _made(
        _check("files", FAILED), _check("smoke", broken, "files"), _check("last", broken, "smoke")
    )
    assert [one.outcome for one in found] == [Outcome.FAILED, Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert found[1].figure == "it rests on “files”, which failed"
    assert found[2].figure == "it rests on “smoke”, which could not be checked"
    assert said.startswith("✗ files: 1 file (0.00 s)\n? smoke: ")


def test_a_check_whose_ground_was_not_chosen_is_made() -> None:
    found, _ = _made(_check("smoke", PASSED, "files"))
    assert found[0].outcome is Outcome.PASSED


@pytest.mark.parametrize(
    "error",
    [EngineError("no engine\nanswers", where="DOCKER_HOST", hint="start it"), OSError("no engine")],
)
def test_an_error_is_no_failure(error: Exception) -> None:
    found, _ = _made(_check("build", error), _check("lock", PASSED))
    assert [one.outcome for one in found] == [Outcome.UNKNOWN, Outcome.PASSED]
    assert "no engine" in found[0].figure
    assert "\n" not in found[0].figure


def test_a_bug_is_no_verdict() -> None:
    with pytest.raises(ZeroDivisionError):
        _made(_check("build", ZeroDivisionError()))


def test_a_shared_fact_that_fails_is_asked_for_once(tmp_path: Path) -> None:
    bench = Workbench(make_settings(tmp_path), {}, io.StringIO())
    with pytest.raises(DockyardError) as first:
        _ = bench.stages
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(DockyardError) as second:
        _ = bench.stages
    assert second.value is first.value


# -------------------- exit codes


def test_what_failed_counts_before_what_could_not_be_made() -> None:
    raise_failures([PASSED])
    with pytest.raises(CheckFailedError, match=r"1 of 3 checks failed: files; 1 could not") as it:
        raise_failures([PASSED, FAILED, UNKNOWN])
    assert it.value.exit_code == 14
    with pytest.raises(CheckUnavailableError, match=r"1 of 2 checks could not.*smoke") as that:
        raise_failures([PASSED, UNKNOWN])
    assert that.value.exit_code == 15


# -------------------- the planted secret


def test_a_planted_secret_is_another_each_time_and_shown_nowhere() -> None:
    settings = make_settings(index_credentials={"UV_INDEX_OWN_PASSWORD": "hidden-one"})
    planted, again = with_planted_secret(settings), with_planted_secret(settings)
    value = planted.index_credentials["UV_INDEX_DOCKYARD_PLANTED_PASSWORD"]
    assert value.startswith(PLANTED)
    assert value not in again.index_credentials.values()
    assert planted.index_credentials["UV_INDEX_OWN_PASSWORD"] == "hidden-one"
    assert value in planted.package_environment().values()
    assert value not in redactor(planted)(f"it is {value}")
    assert value not in str(masked(planted))


# -------------------- context


def _listing(*sizes: int) -> ContextListing:
    entries = tuple(ContextEntry(f"file-{number}", size) for number, size in enumerate(sizes))
    return ContextListing(entries, 0, 0, ())


def test_a_context_is_judged_by_its_bytes_and_secrets_come_first() -> None:
    assert judge_context(_listing(50, 50), (), 100).outcome is Outcome.PASSED
    assert judge_context(_listing(50, 51), (), 100).outcome is Outcome.FAILED
    suggestions = (
        Suggestion("**/__pycache__", 90, 3, "bytecode that Python makes again"),
        Suggestion("**/.env", 1, 1, "it usually holds secrets"),
    )
    messages = [str(one) for one in judge_context(_listing(200), suggestions, 100).findings]
    assert [text.partition(" (")[0] for text in messages] == [
        ".dockerignore should name **/.env",
        "200 B is more than DOCKYARD_CONTEXT_BUDGET, 100 B; the largest: file-0",
        ".dockerignore should name **/__pycache__",
    ]


@pytest.mark.parametrize(("size", "outcome"), [(9_999, Outcome.PASSED), (10_000, Outcome.FAILED)])
def test_a_small_file_that_is_not_needed_may_stay(size: int, outcome: Outcome) -> None:
    reason = "it is not among the paths that the image needs"
    suggestions = (Suggestion("notes.txt", size, 1, reason),)
    assert judge_context(_listing(size), suggestions, 10**6).outcome is outcome


# -------------------- cache hits


def _rated(rate: float | None, **inputs: object) -> object:
    made = InputsRecord(**{"packages": (PackageRecord("a", "1", "x", 1),), **inputs})  # type: ignore[arg-type]
    rates = {"dependency": rate, "application": None, "overall": rate}
    return make_record(hit_rates=rates, inputs=made)


OTHER_PACKAGES = {"packages": (PackageRecord("a", "2", "y", 1),)}
OTHER_FILES = {"files": (FileRecord("src/a.py", 1, "z"),)}


@pytest.mark.parametrize(
    ("rate", "before", "changes", "outcome"),
    [
        (1.0, 1.0, {}, Outcome.PASSED),
        (0.5, 0.2, {}, Outcome.PASSED),
        (0.5, 1.0, {}, Outcome.FAILED),
        (0.5, 1.0, OTHER_FILES, Outcome.FAILED),
        (0.5, 1.0, OTHER_PACKAGES, Outcome.PASSED),
        (0.5, 1.0, {"base_digests": {"PYTHON_IMAGE": "sha256:b"}}, Outcome.PASSED),
        (None, 1.0, {}, Outcome.PASSED),
    ],
)
def test_cache_hits_are_compared_where_the_same_was_built(
    rate: float | None, before: float, changes: dict[str, object], outcome: Outcome
) -> None:
    verdict = judge_hit_rate(_rated(rate, **changes), _rated(before))  # type: ignore[arg-type]
    assert verdict.outcome is outcome, verdict


def test_without_a_build_of_main_there_is_nothing_to_compare_with() -> None:
    verdict = judge_hit_rate(make_record(), None)
    assert verdict.outcome is Outcome.PASSED
    assert "no build of main" in verdict.figure
    unknown = judge_hit_rate(make_record(), make_record(hit_rates={"dependency": 1.0}))
    assert unknown.outcome is Outcome.PASSED
    assert "not recorded" in unknown.figure


# -------------------- progress


def test_progress_is_quiet_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    watcher = choose_watcher(stream, {}, 2, progress="quiet")
    watcher.begin("lock")
    watcher.end(PASSED)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_spinner_and_is_given_back() -> None:
    from rich.console import Console

    from dockyard.checks.progress import SpinnerWatcher

    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    watcher = SpinnerWatcher(console, 2)
    for name in ("lock", "build"):
        watcher.begin(name)
        watcher.end(PASSED)
    assert "checking lock" in stream.getvalue()
    watcher.begin("smoke")
    watcher.pause()
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h")

    def interrupt() -> None:
        with watcher:
            watcher.begin("secrets")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    hidden, shown = (stream.getvalue().count(code) for code in ("\x1b[?25l", "\x1b[?25h"))
    assert hidden == shown
    assert hidden > 0
