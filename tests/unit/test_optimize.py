"""What is proposed from which facts, and what the changes make of files. Nothing is asked."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest

from dockyard.builder_plan import Action, BuilderChange
from dockyard.buildkitd_config import GarbageRule, garbage_rules
from dockyard.context import ContextEntry, ContextListing, Suggestion, suggest
from dockyard.dockerfile_syntax import parse_dockerfile
from dockyard.layer_parameters import FREE_LAYERS
from dockyard.layers import Layer, LayerPlan, plan
from dockyard.lock import Package, PackageSource
from dockyard.lock_versions import History
from dockyard.mirrors import Measurement
from dockyard.optimization import Optimization
from dockyard.optimize import (
    AddLines,
    ByHand,
    Proposal,
    RunTask,
    Safety,
    SetSetting,
    WriteFile,
    applicable,
    differences,
    edited,
    ranked,
    setting_written,
)
from dockyard.optimize_display import optimization_lines
from dockyard.optimize_files import (
    ContextFacts,
    InstallFacts,
    context_paths,
    propose_context,
    propose_install,
    propose_order,
)
from dockyard.optimize_layers import propose_layers
from dockyard.optimize_mirrors import propose_a_mirror, propose_mirrors
from dockyard.optimize_settings import (
    BuilderFacts,
    CacheNeed,
    PinnedBase,
    parse_garbage_rules,
    propose_base,
    propose_builder,
    propose_compression,
)
from dockyard.optimize_weight import (
    Copies,
    ImageWeight,
    Weight,
    parse_weight,
    propose_weight,
    weight_script,
)
from dockyard.records import StepRecord
from support.records import make_record

DIGEST = "sha256:" + "5a" * 32


# -------------------- context


def listing(**files: int) -> ContextListing:
    entries = tuple(ContextEntry(path, size) for path, size in sorted(files.items()))
    return ContextListing(entries, 0, 0, ())


def context_facts(suggestions: tuple[Suggestion, ...], **changes: Any) -> ContextFacts:
    return replace(ContextFacts(".dockerignore", True, "", suggestions), **changes)


def test_a_fat_context_is_named_with_its_bytes() -> None:
    files = {"src/a.py": 100, "data/one.bin": 900_000, "data/two.bin": 100_000, "notes.md": 10}
    (data, small) = propose_context(context_facts(suggest(listing(**files), ("src",))))
    assert data.gain_bytes == 1_000_000
    assert data.change == AddLines(".dockerignore", ("data",))
    assert (small.gain_bytes, small.change) == (10, AddLines(".dockerignore", ("notes.md",)))
    assert {data.safe, small.safe} == {Safety.SAFE}


def test_what_is_small_is_one_proposal() -> None:
    suggestions = suggest(listing(**{"a.md": 10, "b.md": 20, "c.bin": 10_000}), ("src",))
    found = propose_context(context_facts(suggestions))
    assert [one.change for one in found] == [
        AddLines(".dockerignore", ("c.bin",)),
        AddLines(".dockerignore", ("b.md", "a.md")),
    ]


def test_a_lean_context_is_left_alone() -> None:
    assert propose_context(context_facts(suggest(listing(**{"src/a.py": 10**8}), ("src",)))) == ()


def test_a_secret_is_named_however_small() -> None:
    found = propose_context(context_facts(suggest(listing(**{"src/.env": 5}), ("src",))))
    assert [one.what for one in found] == ["leave **/.env out (1 file)"]


def test_what_a_backend_may_read_is_left_to_the_user() -> None:
    files = {"data/one.bin": 900_000, "src/__pycache__/a.pyc": 50_000}
    found = propose_context(context_facts(suggest(listing(**files), ("src",)), sure=False))
    assert [one.safe for one in found] == [Safety.ASKED, Safety.SAFE]


def test_a_missing_dockerignore_is_written_whole() -> None:
    suggestions = suggest(listing(**{"a.bin": 30_000, "b.bin": 12_000}), ("src",))
    (one,) = propose_context(context_facts(suggestions, exists=False, allowlist="*\n!src\n"))
    assert one.change == WriteFile(".dockerignore", "*\n!src\n")
    assert one.gain_bytes == 42_000


def test_what_a_dockerfile_reads_of_the_context() -> None:
    text = """\
FROM base AS one
COPY --link src ./scripts/ /app/
COPY --from=other /x /y
COPY <<'TEXT' /file
data
TEXT
ADD ["with blank", "/app/"]
ADD https://example.com/archive.tar /tmp/
RUN --mount=type=bind,source=uv.lock,target=/l --mount=type=cache,target=/c true
RUN --mount=type=bind,from=one,source=/x,target=/x true
"""
    assert context_paths(parse_dockerfile(text)) == (
        ("src", "scripts", "with blank", "uv.lock"),
        True,
    )
    assert context_paths(parse_dockerfile("FROM a\nCOPY $WHAT lib /\n")) == (("lib",), False)


# -------------------- order


GOOD = """\
FROM base AS dependencies
COPY pyproject.toml uv.lock /project/
RUN uv sync --frozen
FROM base
WORKDIR /app
RUN true
COPY --link --from=dependencies /opt/venv /opt/venv
COPY --link src /app/src
USER 10001
"""


def test_a_dockerfile_in_good_order_is_left_alone() -> None:
    assert propose_order("Dockerfile", parse_dockerfile(GOOD)) == ()


def test_what_executes_after_a_linked_copy_is_named_with_its_line() -> None:
    (one,) = propose_order("Dockerfile", parse_dockerfile(GOOD + "RUN chmod +x /app/src\n"))
    assert isinstance(one.change, ByHand)
    assert one.change.place == "Dockerfile, line 10"
    assert one.safe is Safety.BY_HAND


def test_a_copy_that_is_not_linked_and_late_is_named_once() -> None:
    found = propose_order("Dockerfile", parse_dockerfile(GOOD + "COPY a /a\n"))
    assert [one.what for one in found] == ["Dockerfile, line 10: COPY executes after a linked COPY"]


def test_what_a_fresh_builder_fetches_for_it_is_measured() -> None:
    text = GOOD + "WORKDIR /elsewhere\n"
    (one,) = propose_order("Dockerfile", parse_dockerfile(text), [make_record()])
    assert one.gain_bytes == 169_000_000


def test_copying_everything_before_the_installation() -> None:
    text = "FROM base\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt\n"
    ran = StepRecord(
        None, "run", "RUN pip  install -r requirements.txt", None, 12.5, False, ran=True
    )
    cached = replace(ran, seconds=0.0, cached=True, ran=False)
    records = [make_record(steps=(ran,)), make_record(steps=(cached,))]
    found = propose_order("Dockerfile", parse_dockerfile(text), records)
    assert [one.what for one in found] == [
        "Dockerfile, line 3: copies everything before the installation in line 4",
        "Dockerfile, line 3: COPY is not linked",
    ]
    assert found[0].gain_seconds == 12.5


def test_an_unlinked_copy_in_the_final_stage_alone() -> None:
    text = GOOD.replace("WORKDIR /app\nRUN true\n", "COPY a /a\nCOPY --link --chmod=755 b /b\n")
    found = propose_order("Dockerfile", parse_dockerfile(text))
    assert [one.what for one in found] == [
        "Dockerfile, line 5: COPY is not linked",
        "Dockerfile, line 6: COPY is not linked: --chmod undoes --link",
    ]


# -------------------- install


def install_facts(**changes: Any) -> InstallFacts:
    command = ("python", "-m", "service")
    facts = InstallFacts("copy", command, (), ("serve",), {"service": ("src",)})
    return replace(facts, **changes)


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({}, None),
        ({"command": ("serve", "--port", "1")}, "wheel"),
        ({"health_check": ("serve",)}, "wheel"),
        ({"modules": {"service": ()}}, "wheel"),
        ({"modules": {"service": ()}, "buildable": False}, None),
        ({"mode": "wheel"}, "copy"),
        ({"mode": "wheel", "command": ("serve",)}, None),
        ({"mode": "wheel", "needs_metadata": True}, None),
        ({"mode": "wheel", "modules": {}}, None),
    ],
    ids=str,
)
def test_the_install_mode_that_fits(changes: dict[str, Any], mode: str | None) -> None:
    found = propose_install(install_facts(**changes))
    assert [one.change for one in found] == ([SetSetting("install", mode)] if mode else [])


def test_the_wheel_s_time_is_what_past_builds_took() -> None:
    step = StepRecord("project", "run", "RUN uv build", None, 2.5, False, ran=True)
    (one,) = propose_install(install_facts(mode="wheel"), [make_record(steps=(step,))])
    assert one.gain_seconds == 2.5


# -------------------- settings


def test_base_images_without_a_digest_are_pinned_on_request_only() -> None:
    bases = [
        PinnedBase("python-image", "python:3.13", DIGEST, "its registry"),
        PinnedBase("uv-image", f"uv:1@{DIGEST}", DIGEST, "its registry"),
    ]
    (one,) = propose_base(bases, 178_000_000)
    assert one.change == SetSetting("python-image", f"python:3.13@{DIGEST}")
    assert (one.safe, one.gain_bytes) == (Safety.ASKED, 178_000_000)


def test_compression_by_records_of_both_and_else_by_the_documented_figures() -> None:
    def record(compression: str, seconds: float, size: int) -> Any:
        step = StepRecord(None, "export", "exporting layers", None, seconds, False, ran=True)
        other = StepRecord("a", "run", "RUN a", None, 100 / seconds, False, ran=True)
        settings = {"compression": {"value": compression}}
        image = {**make_record().image, "content_bytes": size}
        return make_record(steps=(step, other), settings=settings, image=image)

    both = [record("gzip", 8.0, 100), record("zstd", 3.0, 90)]
    (one,) = propose_compression("gzip", both)
    assert (one.gain_bytes, one.gain_seconds) == (10, 5.0)
    assert one.change == SetSetting("compression", "zstd")
    (one,) = propose_compression("gzip", [record("gzip", 8.0, 140_000_000)])
    assert one.gain_seconds == pytest.approx(7.9 - 2.5)
    assert "example" in one.measured_from
    assert propose_compression("zstd", both) == ()
    assert propose_compression("estargz", both) == ()
    assert propose_compression("gzip", both, able=False) == ()
    assert propose_compression("gzip", [record("gzip", 3.0, 90), record("zstd", 8.0, 100)]) == ()


POLICY = """\
Name: default
GC Policy rule#0:
 All:            false
 Filters:        type==source.local,type==exec.cachemount,type==source.git.checkout
 Keep Duration:  48h0m0s
 Max Used Space: 488.3MiB
GC Policy rule#1:
 All:            true
 Reserved Space: 24.21GiB
 Max Used Space: 188.1GiB
 Min Free Space: 47.5GiB
"""


def test_a_builder_s_policy_is_read() -> None:
    first, last = parse_garbage_rules(POLICY)
    assert (first.age, first.max_used) == (48 * 3600, round(488.3 * 2**20))
    assert "type==exec.cachemount" in first.filters
    assert (last.all, last.reserved) == (True, round(24.21 * 2**30))


def need(*, mounts: int, total: int, dedicated: bool, rules: tuple[GarbageRule, ...]) -> CacheNeed:
    return CacheNeed("builder", dedicated, total - mounts, mounts, total, rules)


def test_cache_mounts_that_go_after_a_pause() -> None:
    rules = parse_garbage_rules(POLICY)
    held = need(mounts=10**9, total=10**9, dedicated=False, rules=rules)
    (one,) = propose_builder(BuilderFacts(None, (held,), 20 * 10**9))
    assert one.gain_bytes == 10**9 - rules[0].max_used
    assert one.safe is Safety.BY_HAND
    small = replace(held, mounts=10**8)
    assert propose_builder(BuilderFacts(None, (small,), 20 * 10**9)) == ()


def test_a_full_dedicated_builder_gets_room_and_ours_keeps_mounts() -> None:
    rules = garbage_rules(20 * 10**9, None)
    full = need(mounts=10**9, total=19 * 10**9, dedicated=True, rules=rules)
    (one,) = propose_builder(BuilderFacts(None, (full,), 20 * 10**9))
    assert one.change == SetSetting("cache-budget", "40GB")
    half = replace(full, total=10 * 10**9)
    assert propose_builder(BuilderFacts(None, (half,), 20 * 10**9)) == ()


@pytest.mark.parametrize("action", Action)
def test_what_cache_init_would_change(action: Action) -> None:
    change = BuilderChange("dockyard", "docker-container", action, ("why",))
    found = propose_builder(BuilderFacts(change, (), 1))
    acts = action in (Action.CREATE, Action.START, Action.REPLACE)
    assert [one.change for one in found] == [RunTask("invoke cache.init")] * acts


SLOW = Measurement("https://slow", 0.15, 1e6, 2_000_000)
FAST = Measurement("https://fast", 0.1, 20e6, 2_000_000)
DEAD = Measurement("https://dead", problem="no answer in time")
ENTRIES = {"https://slow": "slow", "https://fast": "fast", "https://dead": "dead"}


def mirrors(*measured: Measurement, size: int = 100_000_000) -> tuple[Proposal, ...]:
    entries = [(ENTRIES[one.url], one.url) for one in measured]
    return propose_mirrors(entries, {one.url: one for one in measured}, size, 10)


def test_mirrors_are_put_in_the_order_that_was_measured() -> None:
    (one,) = mirrors(SLOW, DEAD, FAST)
    assert one.change == SetSetting("uv-mirrors", ("fast", "slow", "dead"))
    assert one.gain_seconds == pytest.approx(101.5 - 6)
    (one,) = mirrors(DEAD, FAST)
    assert one.change == SetSetting("uv-mirrors", ("fast", "dead"))


def test_mirrors_in_order_or_nearly_so_are_left_alone() -> None:
    nearly = replace(FAST, url="https://slow", throughput=19e6)
    assert mirrors(FAST, SLOW, DEAD) == ()
    assert mirrors(nearly, FAST) == ()
    assert mirrors(nearly, FAST, size=10**9) == (), "seconds, but few of them"
    assert mirrors(SLOW, FAST, size=10**4) == (), "a large share of next to nothing"
    assert mirrors(DEAD, replace(DEAD, url="https://slow")) == ()
    assert mirrors(SLOW) == ()


def test_another_index_s_mirror_keeps_its_place() -> None:
    entries = [("slow", SLOW.url), ("other=https://elsewhere", ""), ("fast", FAST.url)]
    (one,) = propose_mirrors(entries, {SLOW.url: SLOW, FAST.url: FAST}, 10**8, 10)
    assert one.change == SetSetting("uv-mirrors", ("fast", "other=https://elsewhere", "slow"))


def test_a_well_known_mirror_where_the_index_is_slow() -> None:
    (one,) = propose_a_mirror(SLOW, {"tuna": FAST, "ustc": DEAD}, 10**8, 10)
    assert (one.change, one.safe) == (SetSetting("uv-mirrors", ("tuna",)), Safety.ASKED)
    (one,) = propose_a_mirror(DEAD, {"tuna": FAST}, 10**8, 10)
    assert one.gain_seconds is None
    assert propose_a_mirror(FAST, {"tuna": SLOW}, 10**8, 10) == ()
    assert propose_a_mirror(SLOW, {"tuna": DEAD}, 10**8, 10) == ()


# -------------------- layers


def package(name: str, size: int) -> Package:
    source = PackageSource("registry", "https://pypi.org/simple")
    return Package(name, "1.0", source, size, f"{name}-1.0", has_wheel=True, hashed=True)


SIZES = (9 * 10**7, 10**7, 10**6, 10**4)
PACKAGES = [package(name, size) for name, size in zip("abcd", SIZES, strict=True)]


def layers(kept: LayerPlan, **options: Any) -> tuple[Proposal, ...]:
    def rewritten(found: LayerPlan) -> str:
        return "; ".join(" ".join(layer.packages) for layer in found.layers)

    return propose_layers(
        "Dockerfile", kept, PACKAGES, History(), 8, rewritten=rewritten, **options
    )


def test_one_layer_of_everything_is_divided() -> None:
    (one,) = layers(LayerPlan((Layer(()),)), parameters=FREE_LAYERS)
    assert one.gain_bytes is not None
    assert 0 < one.gain_bytes < 10**8
    assert isinstance(one.change, WriteFile)
    divided = [frozenset(layer.split()) for layer in one.change.text.split("; ")]
    assert frozenset[str]().union(*divided) == set("abcd")
    assert len(divided) > 1


def test_the_best_plan_is_left_alone() -> None:
    best = plan(PACKAGES, History(), 8)
    assert layers(best) == ()


def test_what_no_layer_names_is_given_one() -> None:
    best = plan(PACKAGES, History(), 8, FREE_LAYERS)
    without = LayerPlan(
        tuple(Layer(tuple(n for n in one.packages if n != "a")) for one in best.layers)
    )
    (one,) = layers(without, parameters=FREE_LAYERS)
    assert isinstance(one.change, WriteFile)
    assert "a" in one.change.text.split("; ")
    after = LayerPlan(tuple(Layer(tuple(t.split())) for t in one.change.text.split("; ")))
    assert layers(after, parameters=FREE_LAYERS) == ()


def test_a_plan_that_does_not_earn_what_it_moves_is_left_alone() -> None:
    soon = replace(FREE_LAYERS, horizon=0.001)
    assert layers(LayerPlan((Layer(tuple("abcd")),)), parameters=soon) == ()
    kept = LayerPlan((Layer(("a",)), Layer(())))
    assert layers(kept, parameters=soon) == (), "who is new in a last layer without names?"


def test_an_edited_region_is_kept() -> None:
    (one,) = layers(LayerPlan((Layer(()),)), parameters=FREE_LAYERS, edited=("copies",))
    assert one.safe is Safety.BY_HAND
    assert "copies" in str(one.change)


# -------------------- weight


WEIGHT = ImageWeight(
    "service:latest",
    (
        Weight("bytecode", 10, 100_000, (("a", 100_000),)),
        Weight("static-libraries", 1, 300_000, (("a", 300_000),)),
        Weight("tests", 2, 49_000, (("a", 49_000),)),
        Weight("headers", 4, 60_000, (("b", 60_000),)),
    ),
    (),
    10**9,
)


def test_weight_becomes_policies() -> None:
    found = propose_weight(WEIGHT, ("bytecode",), byte_compile=False)
    assert [(one.gain_bytes, one.safe) for one in found] == [
        (300_000, Safety.SAFE),
        (60_000, Safety.ASKED),
    ]
    assert found[0].change == SetSetting("slim", "static-libraries", True, ("bytecode",))
    slim = ("bytecode", "static-libraries", "headers")
    assert propose_weight(WEIGHT, slim, byte_compile=False) == ()


def test_bytecode_that_was_asked_for_is_no_weight() -> None:
    kinds = {one.change for one in propose_weight(WEIGHT, (), byte_compile=True)}
    assert SetSetting("slim", "bytecode", True) not in kinds
    kinds = {one.change for one in propose_weight(WEIGHT, (), byte_compile=False)}
    assert SetSetting("slim", "bytecode", True) in kinds


def test_an_edited_dockerfile_follows_no_setting() -> None:
    found = propose_weight(WEIGHT, (), byte_compile=False, settable=False)
    assert {one.safe for one in found} == {Safety.BY_HAND}


def test_copies_are_named() -> None:
    copies = (Copies(same=False, paths=("a.libs/x.so", "b.libs/x.so"), bytes=70_000),)
    (one,) = propose_weight(replace(WEIGHT, kinds=(), copies=copies), (), byte_compile=False)
    assert one.gain_bytes == 70_000
    assert one.safe is Safety.BY_HAND


def test_the_weight_s_program_compiles_and_its_answer_is_read() -> None:
    compile(weight_script(), "weight", "exec")
    answer = {
        "kinds": {"tests": {"files": 1, "bytes": 2, "largest": [["a", 2]]}},
        "copies": [{"kind": "same", "bytes": 3, "paths": ["a", "b"]}],
        "total": 4,
    }
    assert parse_weight("i", f"warning\ndockyard: {json.dumps(answer)}\n") == ImageWeight(
        "i", (Weight("tests", 1, 2, (("a", 2),)),), (Copies(True, ("a", "b"), 3),), 4
    )
    for text in ("", "dockyard: {}", "dockyard: [", "dockyard: 1"):
        with pytest.raises(ValueError, match=r"answer|Expecting"):
            parse_weight("i", text)


# -------------------- changes


PYPROJECT = """\
# Ours.
[project]
name = "service"   # the name

[tool.dockyard]
copy-paths = ["src"]  # what is copied
slim = [
    "bytecode",  # ours
]
uv-mirrors = ["a", "b"]  # the nearest first

[tool.other]
key = 'value'
"""


def test_a_setting_is_written_and_all_else_keeps_its_bytes() -> None:
    changes = [
        SetSetting("slim", "tests", add=True, entries=("bytecode",)),
        SetSetting("slim", "headers", add=True, entries=("bytecode",)),
        SetSetting("install", "wheel"),
        SetSetting("uv-mirrors", ("b", "a")),
    ]
    after = setting_written(PYPROJECT, changes)
    assert tomllib.loads(after)["tool"]["dockyard"] == {
        "copy-paths": ["src"],
        "slim": ["bytecode", "tests", "headers"],
        "install": "wheel",
        "uv-mirrors": ["b", "a"],
    }
    kept = [line for line in PYPROJECT.splitlines() if "uv-mirrors" not in line]
    assert all(line in after.splitlines() for line in kept)
    assert "# the nearest first" in after
    assert setting_written(after, changes) == after


@pytest.mark.parametrize(
    "text",
    [
        '[project]\nname = "x"\n',
        '[project]\nname = "x"\n[tool.uv]\npackage = true\n',
        '[project]\r\nname = "x"\r\n',
        "",
    ],
    ids=["no tool", "another tool", "carriage returns", "empty"],
)
def test_a_table_that_is_missing_is_added(text: str) -> None:
    after = setting_written(text, [SetSetting("slim", "tests", add=True, entries=("bytecode",))])
    assert tomllib.loads(after)["tool"]["dockyard"] == {"slim": ["bytecode", "tests"]}
    assert after.startswith(text.rstrip())


@pytest.mark.parametrize("text", ["tool = 1\n", "[tool]\ndockyard = 1\n", "[[tool.dockyard]]\n"])
def test_a_file_that_cannot_be_kept_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be kept"):
        setting_written(text, [SetSetting("install", "wheel")])


def test_lines_are_added_once_and_in_the_file_s_own_endings() -> None:
    change = AddLines(".dockerignore", ("data", "notes.md"))
    assert edited({".dockerignore": "*.log"}, [change]) == {
        ".dockerignore": "*.log\ndata\nnotes.md\n"
    }
    assert edited({".dockerignore": "a\r\n"}, [change]) == {
        ".dockerignore": "a\r\ndata\r\nnotes.md\r\n"
    }
    assert edited({".dockerignore": "data\nnotes.md\n"}, [change, ByHand("x", "y")]) == {}


def test_the_difference_is_a_patch() -> None:
    texts = {"a": "one\n", "b": None}
    shown = differences(texts, {"a": "one\ntwo\n", "b": "new\n"})
    assert "--- a/a\n+++ b/a" in shown
    assert "--- /dev/null\n+++ b/b" in shown
    assert {"+two", "+new"} <= set(shown.splitlines())
    assert differences(texts, {}) == ""


# -------------------- choice and display


def proposal(**changes: Any) -> Proposal:
    values: dict[str, Any] = {
        "topic": "weight",
        "what": "leave tests out",
        "why": "nobody runs them",
        "gain_bytes": 26_000_000,
        "gain_seconds": None,
        "measured_from": "the image",
        "safe": Safety.SAFE,
        "change": SetSetting("slim", "tests", add=True),
    }
    return Proposal(**{**values, **changes})


def test_only_what_is_safe_or_asked_for_is_applied() -> None:
    asked = proposal(topic="base", safe=Safety.ASKED)
    by_hand = proposal(safe=Safety.BY_HAND)
    everything = ranked([by_hand, asked, proposal()])
    assert everything == (proposal(), asked, by_hand)
    assert applicable(everything) == (proposal(),)
    assert applicable(everything, ["base"]) == (proposal(), asked)
    assert applicable(everything, ["weight"]) == (proposal(),)


def lines(width: int | None = None, **values: Any) -> str:
    found = Optimization(values.pop("proposals", ()), values.pop("diff", ""), (), **values)
    return "\n".join(optimization_lines(found, width))


def test_nothing_to_propose_is_said() -> None:
    assert lines() == "nothing to propose"


def test_a_proposal_is_shown_with_gain_reason_and_command() -> None:
    shown = lines(proposals=(proposal(), proposal(topic="base", safe=Safety.ASKED)), diff="+slim")
    assert "26.0 MB" in shown
    assert "nobody runs them" in shown
    assert "--apply --only base" in shown
    assert "+slim" in shown
    assert "`invoke optimize --apply` does 1 point of it" in shown


def test_what_is_left_to_the_user_is_no_proposal() -> None:
    shown = lines(proposals=(proposal(safe=Safety.BY_HAND), proposal(safe=Safety.ASKED)))
    assert shown.startswith("nothing to propose\n")
    assert "for you to decide" in shown
    assert "--apply --only weight" in shown


def test_what_was_applied_is_shown_with_its_backup() -> None:
    shown = lines(applied=(proposal(),), diff="+slim", backups=(".dockyard/backups/x",))
    assert "done: weight: leave tests out" in shown
    assert ".dockyard/backups/x" in shown
    assert shown.endswith("nothing to propose beyond that")


def test_json_says_what_applies() -> None:
    found = Optimization((proposal(), proposal(safe=Safety.BY_HAND)), "", ())
    values = json.loads(json.dumps(found.as_json()))
    assert [one["applies"] for one in values["proposals"]] == [True, False]
    assert values["proposals"][0]["change"]["kind"] == "SetSetting"
    assert values["proposals"][0]["gain_bytes"] == 26_000_000
