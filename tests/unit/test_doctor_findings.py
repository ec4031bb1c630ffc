"""Each finding of the doctor, from facts made up for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from dockyard.builder_plan import Action
from dockyard.buildkitd_config import GarbageRule
from dockyard.context import Suggestion
from dockyard.doctor.builder_findings import (
    builder_findings,
    buildkit_findings,
    gc_findings,
)
from dockyard.doctor.engine_findings import (
    EngineAnswer,
    buildx_findings,
    engine_findings,
    store_findings,
)
from dockyard.doctor.environment_findings import (
    AuthorityFile,
    Proxies,
    certificate_findings,
    is_bypassed,
    proxy_findings,
)
from dockyard.doctor.findings import Finding, Repair, Verdict, worst
from dockyard.doctor.network_findings import (
    CredentialFact,
    HostAnswer,
    ImageNeed,
    clock_findings,
    credential_findings,
    mirror_findings,
    registry_findings,
)
from dockyard.doctor.project_findings import (
    ContextFacts,
    DockerfileFacts,
    context_findings,
    dockerfile_findings,
    lock_findings,
    settings_findings,
)
from dockyard.doctor.storage_findings import (
    CacheFolder,
    Disk,
    Leftovers,
    cache_findings,
    disk_findings,
    state_findings,
)
from dockyard.errors import Problem
from dockyard.mirrors import Measurement
from support.findings import BUDGET, EARLY, GB, LAST, builder, change, usage

OK, NOTE, PROBLEM, UNKNOWN = Verdict.OK, Verdict.NOTE, Verdict.PROBLEM, Verdict.UNKNOWN


def single(findings: Iterable[Finding], verdict: Verdict, *words: str) -> Finding:
    """Return the one finding; whatever is not in order names what to do about it."""
    (found,) = findings
    return checked(found, verdict, *words)


def among(findings: Iterable[Finding], verdict: Verdict, *words: str) -> Finding:
    """Return the one finding with that verdict among others."""
    (found,) = (one for one in findings if one.verdict is verdict)
    return checked(found, verdict, *words)


def checked(found: Finding, verdict: Verdict, *words: str) -> Finding:
    said = f"{found.summary} | {found.evidence} | {found.fix}"
    assert found.verdict is verdict, said
    for word in words:
        assert word in said
    if verdict is PROBLEM:
        assert found.fix, said
    if verdict is OK:
        assert found.fix is None
        assert found.repair is None
    return found


def test_unknown_is_worse_than_a_note_and_better_than_a_problem() -> None:
    found = [Finding("a", "", verdict=verdict) for verdict in (NOTE, OK, UNKNOWN)]
    assert worst(found) is UNKNOWN
    assert worst([*found, Finding("a", "", verdict=PROBLEM)]) is PROBLEM
    assert worst([]) is OK


# -------------------- engine, buildx, image store

CONTAINERD = [["driver-type", "io.containerd.snapshotter.v1"]]


def engine(version: str = "28.5.2", **more: Any) -> EngineAnswer:
    info = {"ServerVersion": version, "OperatingSystem": "Debian", "DriverStatus": CONTAINERD}
    return EngineAnswer(info, **{"buildx": "0.29.1", **more})


def silent(text: str, **more: Any) -> EngineAnswer:
    return EngineAnswer({}, text, buildx="0.29.1", **more)


def test_engine() -> None:
    single(engine_findings(engine()), OK, "28.5.2 on Debian")
    single(engine_findings(engine("20.10.24")), PROBLEM, "too old", "20.10.24", "23.0 or newer")
    gone = EngineAnswer({}, docker=False)
    single(engine_findings(gone), PROBLEM, "docker command is not installed", "bootstrap")
    down = "Cannot connect to the Docker daemon at tcp://h:1. Is the docker daemon running?"
    found = single(engine_findings(silent(down, address="tcp://h:1")), PROBLEM, "DOCKER_HOST=tcp")
    assert "systemctl start docker" in str(found.fix)
    denied = "permission denied while trying to connect to the docker API at unix:///x.sock"
    denied = denied.replace("API", "daemon socket")
    single(engine_findings(silent(denied)), PROBLEM, "may not talk", "usermod -aG docker")
    odd = single(engine_findings(silent("something else")), PROBLEM, "something else")
    assert "docker info" in str(odd.fix)


def test_buildx() -> None:
    single(buildx_findings(engine()), OK, "0.29.1")
    single(buildx_findings(engine(buildx="0.14.0")), PROBLEM, "0.14.0", "0.15 or newer")
    single(buildx_findings(engine(buildx=None)), PROBLEM, "no buildx plugin", "docker-buildx")
    single(buildx_findings(EngineAnswer({}, docker=False)), UNKNOWN)


def test_image_store() -> None:
    single(store_findings(engine()), OK)
    overlay = EngineAnswer({"ServerVersion": "28", "Driver": "overlay2", "DriverStatus": []})
    single(store_findings(overlay), NOTE, "overlay2", "containerd-snapshotter")
    single(store_findings(silent("down")), UNKNOWN)


# -------------------- builders


def test_builder() -> None:
    single(builder_findings([builder()]), OK, "as the settings want it")
    missing = single(builder_findings([builder(exists=False)]), NOTE, "missing", "cache.init")
    assert missing.repair is Repair.BUILDER
    foreign = builder(exists=False, dedicated=False, name="team")
    single(builder_findings([foreign]), PROBLEM, "there is no builder team", "buildx ls")
    other = builder(change=change(Action.REPLACE, "other garbage collection"))
    found = single(builder_findings([other]), PROBLEM, "not as the settings want", "garbage")
    assert found.repair is Repair.BUILDER
    stopped = builder(change=change(Action.START, "it was stopped"), status="stopped")
    single(builder_findings([stopped]), PROBLEM, "does not run", "it was stopped")
    asleep = builder(dedicated=False, change=None, status="inactive")
    single(builder_findings([asleep]), NOTE, "inactive", "--bootstrap")
    broken = builder(error="no such context")
    single(builder_findings([broken]), UNKNOWN, "no such context")


def test_buildkit() -> None:
    single(buildkit_findings([builder()]), OK, "v0.32.2")
    old = builder(version="v0.12.5")
    single(buildkit_findings([old]), PROBLEM, "v0.12.5", "0.17 or newer", "BUILDKIT_IMAGE")
    single(buildkit_findings([builder(version="")]), UNKNOWN)
    assert buildkit_findings([builder(version="", status="stopped")]) == ()
    own = builder(driver="docker", version="v0.0.0+unknown")
    single(buildkit_findings([own]), OK)


def test_garbage_collection() -> None:
    def one(**changes: Any) -> tuple[Finding, ...]:
        return gc_findings([builder(**changes)], BUDGET)

    single(one(usage=usage(layers=GB, mounts=GB)), OK, "2.0 GB", "1.0 GB of it cache mounts")
    evicted = {"usage": usage(layers=GB, mounts=GB), "rules": (EARLY, LAST)}
    found = single(one(**evicted), NOTE, "evicts 500 MB of cache mounts", "48 h")
    assert found.fix == "`invoke cache.init`"
    of_engine = single(one(**evicted, dedicated=False, driver="docker"), NOTE)
    assert '"maxUsedSpace": "20GB"' in str(of_engine.fix)
    single(one(usage=usage(layers=GB, mounts=GB // 10), rules=(EARLY, LAST)), OK, "48 h")
    full = single(one(usage=usage(layers=9 * GB + GB // 2), rules=(LAST,)), NOTE, "nearly full")
    assert "DOCKYARD_CACHE_BUDGET" in str(full.fix)
    single(one(usage=None), UNKNOWN)
    single(one(rules=()), UNKNOWN, "no garbage collection policy")
    assert one(exists=False) == ()
    # One that a build with these settings would never reach is no finding.
    large = GarbageRule(2 * BUDGET, ("type==exec.cachemount",), age=48 * 3600)
    single(one(usage=usage(mounts=GB), rules=(large, LAST)), OK, "evicts nothing")


# -------------------- cache directory, disks, leftovers


def test_cache_directory() -> None:
    def one(**facts: Any) -> tuple[Finding, ...]:
        return cache_findings(CacheFolder("/c", **{"exists": True, **facts}), BUDGET)

    single(one(bytes=GB, free=100 * GB), OK, "1.0 GB of 20.0 GB")
    single(one(exists=False), OK, "none yet")
    ours = single(one(refused=("/c/blobs",), bytes=1), PROBLEM, "chmod -R u+rwX /c")
    assert ours.repair is Repair.CACHE_PERMISSIONS
    theirs = single(one(refused=("/c/blobs",), ours=False, bytes=1), PROBLEM, "sudo chown")
    assert theirs.repair is None
    parent = single(one(exists=False, refused=("/file",), ours=False), PROBLEM)
    assert "/file" in str(parent.fix)
    single(one(bytes=21 * GB, free=100 * GB), NOTE, "over its budget", "cache.prune")
    among(one(bytes=GB, free=GB), NOTE, "less room", "1.0 GB free, 19.0 GB to go")
    single(one(damaged="it is no JSON", bytes=1), PROBLEM, "it is no JSON")
    among(one(bytes=GB, free=100 * GB, set_aside=3), NOTE, "3 in corrupt/")


def test_disk() -> None:
    def one(**facts: Any) -> tuple[Finding, ...]:
        return disk_findings([Disk("the engine", **facts)])

    single(one(free=50 * GB, total=100 * GB, inodes=0.5), OK, "50.0 GB of 100 GB free")
    single(one(free=5 * GB), NOTE, "little room for the engine")
    single(one(free=GB), PROBLEM, "no room for the engine", "docker system df")
    single(one(free=50 * GB, inodes=0.01), NOTE, "1.0% of inodes")
    single(one(free=None), UNKNOWN)


def test_state() -> None:
    single(state_findings(Leftovers()), OK)
    stale = Leftovers(snapshots=("/s/1", "/s/2"), temporary=("/t",))
    found = single(state_findings(stale), NOTE, "2 snapshots and 1 temporary file", "/s/1, /s/2")
    assert found.repair is Repair.LEFTOVERS
    held = Leftovers(held_by="4711", held_seconds=1.5)
    single(state_findings(held), PROBLEM, "process 4711", "kill 4711", "1.50 s")
    unread = Leftovers(unreadable=(("/r.json", "it is truncated"), ("/q.json", "no")))
    found = single(state_findings(unread), NOTE, "/r.json: it is truncated and 1 more")
    assert found.repair is Repair.RECORDS
    single(state_findings(Leftovers(crashes=("/crash.log",))), NOTE, "/crash.log")


# -------------------- network

FAST = Measurement("https://fast/simple", 0.02, 5e6, 10**6)
SLOW = Measurement("https://slow/simple", 1.0, 1e4, 10**4)
DEAD = Measurement("https://dead/simple", problem="Connection refused")
INDEX = Measurement("https://pypi.org/simple", 0.1, 1e6, 10**6)


def test_mirrors() -> None:
    found = mirror_findings(INDEX, [FAST, SLOW, DEAD], 10)
    assert [one.verdict for one in found] == [OK, NOTE, PROBLEM, OK]
    checked(found[0], OK, "20 ms", "5.0 MB/s over 1.0 MB")
    checked(found[1], NOTE, "slow", "optimize --only mirrors")
    checked(found[2], PROBLEM, "https://dead/simple", "Connection refused", "up to 10 s")
    silent_index = Measurement(INDEX.url, problem="no answer in time")
    single(mirror_findings(silent_index, [], 10), PROBLEM, "no package", "DOCKYARD_UV_MIRRORS")
    among(mirror_findings(silent_index, [FAST], 10), NOTE, "its mirrors do")
    empty = Measurement(INDEX.url, 0.1, problem="it has no file of pip")
    single(mirror_findings(empty, [], 10), NOTE, "no file of pip")


UP = HostAnswer("up", "registry", 401, 0.05)
DOWN = HostAnswer("down", "registry", error="Name or service not known")
STRANGE = HostAnswer("strange", "registry", 404, 0.05)


def test_registries() -> None:
    answers = {one.host: one for one in (UP, DOWN, STRANGE)}

    def one(hosts: tuple[str, ...], held: str | None) -> tuple[Finding, ...]:
        return registry_findings(answers, [ImageNeed("python_image", "py:3", hosts, held)], None)

    single(one(("up",), ""), OK, "py:3 comes from up", "401 in 0.05 s")
    single(one(("down", "up"), ""), NOTE, "another does not answer", "IMAGE_MIRRORS", "down")
    single(one(("down",), "py:3"), OK, "py:3 is in the engine")
    single(one(("down",), "local/py:3"), OK, "local/py:3 stands in for py:3")
    single(one(("strange",), ""), PROBLEM, "404", "invoke init --local-images")
    single(one(("down",), None), UNKNOWN)
    single(registry_findings(answers, [], "up"), OK, "up answers")
    single(registry_findings(answers, [], "strange"), PROBLEM, "DOCKYARD_REGISTRY", "404")
    single(registry_findings(answers, [], None), OK, "none is needed")


def test_credentials() -> None:
    def one(place: str | None, needed: bool | None, error: str = "") -> tuple[Finding, ...]:
        fact = CredentialFact("registry r", place, needed, "`docker login r`", error)
        return credential_findings([fact])

    single(one("~/.docker/config.json", True), OK, "present", "from ~/.docker/config.json")
    single(one(None, True), PROBLEM, "wants a login", "docker login r")
    single(one(None, False), OK, "none is needed")
    single(one(None, None), NOTE, "was not asked")
    single(one(None, True, "line 3 is not JSON"), PROBLEM, "unusable", "line 3")
    single(credential_findings([]), OK)


def test_clock() -> None:
    def answered(*skews: float | None) -> list[HostAnswer]:
        return [HostAnswer(f"h{n}", "index", 200, 0.1, skew) for n, skew in enumerate(skews)]

    single(clock_findings(answered(0.4), None), OK, "right by h0")
    single(clock_findings(answered(60.0), None), NOTE, "60 s fast", "timedatectl")
    single(clock_findings(answered(-3600.0), None), PROBLEM, "3600 s slow", "tokens fail")
    single(clock_findings(answered(None), None), UNKNOWN)
    # One host that is wrong does not make ours wrong.
    single(clock_findings(answered(0.0, 9000.0, 0.1), None), OK)
    found = clock_findings(answered(0.0), 600.0)
    among(found, PROBLEM, "the engine's clock", "600 s slow")


# -------------------- proxies and certificates

PROXY = "http://proxy:3128"
CLIENT = {"HTTPS_PROXY": PROXY, "NO_PROXY": "localhost,127.0.0.0/8"}


def test_proxies() -> None:
    def one(here: tuple[str, ...] = (), **places: Any) -> tuple[Finding, ...]:
        agreeing: Mapping[str, Any] = {
            "client": CLIENT,
            "builder": {"env.HTTPS_PROXY": PROXY},
            "engine": {"HTTPS_PROXY": PROXY},
            "steps": {"HTTPS_PROXY": PROXY},
        }
        return proxy_findings(Proxies(**{**agreeing, **places}), here)

    single(one(), OK, "agree", "HTTPS_PROXY=http://proxy:3128")
    found = single(one(builder={}), PROBLEM, "dedicated builder", "cache.init")
    assert found.repair is Repair.BUILDER
    single(one(builder=None), OK)
    single(one(engine={}), NOTE, "the engine pulls images without one", "daemon.json")
    single(one(steps={}), NOTE, "build steps download without one", "config.json")
    none: Mapping[str, str] = {"HTTPS_PROXY": PROXY}
    single(one(client=none), NOTE, "NO_PROXY is not set", "127.0.0.0/8")
    single(one(("127.0.0.1",), client=none), PROBLEM, "127.0.0.1")
    single(one(disagree=("HTTP_PROXY",)), NOTE, "HTTP_PROXY and http_proxy differ")
    single(one(client={}, engine={}, steps={}), OK, "no proxy is set")
    single(one(client={}, steps={}), NOTE, "the engine use a proxy")


def test_a_proxy_s_password_is_not_shown() -> None:
    client = {**CLIENT, "HTTPS_PROXY": "http://me:hush@proxy:3128"}
    found = proxy_findings(Proxies(client=client, builder={}, engine={}, steps={}), ())
    assert len(found) == 3
    assert "hush" not in repr(found)
    checked(found[0], NOTE, "does not get a proxy with a password")


@pytest.mark.parametrize(
    ("host", "no_proxy", "bypassed"),
    [
        ("127.0.0.1", "127.0.0.0/8", True),
        ("127.0.0.1", "localhost", False),
        ("127.0.0.1:5000", "127.0.0.1", True),
        ("registry.example.com", ".example.com", True),
        ("registry.example.com", "example.com", True),
        ("notexample.com", "example.com", False),
        ("anything", "*", True),
        ("anything", "", False),
    ],
)
def test_what_no_proxy_spares(host: str, no_proxy: str, bypassed: bool) -> None:
    assert is_bypassed(host, no_proxy) is bypassed


DAY = 86400.0
NOW = 1_800_000_000.0


def test_certificates() -> None:
    def one(**facts: Any) -> tuple[Finding, ...]:
        made = AuthorityFile("DOCKYARD_CA_FILE", "/ca.pem", **{"certificates": 1, **facts})
        return certificate_findings([made], NOW)

    single(one(expires=(("Us", NOW + 90 * DAY),)), OK, "DOCKYARD_CA_FILE=/ca.pem")
    single(one(expires=(("Us", NOW - DAY),)), PROBLEM, "has expired", "Us on 2027-01-14")
    single(one(expires=(("Us", NOW + DAY),)), NOTE, "expires soon", "2027-01-16")
    # A system's bundle always holds some that have ended.
    single(one(expires=(("Old", NOW - DAY), ("New", NOW + 90 * DAY))), OK)
    single(one(error="there is no such file"), PROBLEM, "no such file", "unset DOCKYARD_CA_FILE")
    found = among(one(in_builder=False), PROBLEM, "does not have the private authority")
    assert found.repair is Repair.BUILDER
    single(one(in_builder=True), OK)
    pointless = AuthorityFile("SSL_CERT_FILE", "/gone", "there is no such file")
    single(certificate_findings([pointless], NOW), PROBLEM, "programs that heed it")
    single(certificate_findings([], NOW), OK)


# -------------------- the project


def test_settings() -> None:
    single(settings_findings([], [], 3), OK, "3 set")
    bad = Problem("“x” is not a setting", "environment", "did you mean DOCKYARD_IMAGE?")
    single(settings_findings([bad], [], 3), PROBLEM, "not a setting", "did you mean")
    deprecated = ".env, line 2, UV_INDEX_URL: UV_INDEX_URL is deprecated; write UV_DEFAULT_INDEX"
    found = single(settings_findings([], [deprecated], 3), NOTE, ".env, line 2", "deprecated")
    assert found.fix == "write UV_DEFAULT_INDEX instead"


def test_lock() -> None:
    single(lock_findings([], 34, False), OK, "34 packages")
    stale = Problem("uv.lock is out of date: it lacks x", "pyproject.toml", "run `uv lock`")
    single(lock_findings([stale], None, None), PROBLEM, "out of date", "run `uv lock`")
    single(lock_findings([], 34, True), NOTE, "not committed", "git add")


@pytest.mark.parametrize(
    ("verdict", "expected", "words", "repair"),
    [
        ("current", OK, "is what the settings render", None),
        ("missing", PROBLEM, "there is no docker/Dockerfile", Repair.DOCKERFILE),
        ("outdated", NOTE, "nobody has edited it", Repair.DOCKERFILE),
        ("edited", NOTE, "it stays yours", None),
        ("diverged", PROBLEM, "invoke init --replace", None),
    ],
)
def test_dockerfile(verdict: str, expected: Verdict, words: str, repair: Repair | None) -> None:
    facts = DockerfileFacts("docker/Dockerfile", verdict, 0 if verdict == "current" else 7)
    found = single(dockerfile_findings(facts), expected, words)
    assert found.repair is repair
    if verdict in ("edited", "diverged", "outdated"):
        assert found.evidence == "7 lines differ"


def test_dockerfile_s_plan_and_what_cannot_be_read() -> None:
    behind = DockerfileFacts("docker/Dockerfile", "current", plan_notes=("redis is in no layer",))
    single(dockerfile_findings(behind), NOTE, "redis is in no layer", "invoke build")
    unreadable = DockerfileFacts("docker/Dockerfile", "edited", unreadable="not UTF-8")
    single(dockerfile_findings(unreadable), PROBLEM, "not UTF-8")


def test_context() -> None:
    def one(*suggestions: Suggestion, **facts: Any) -> tuple[Finding, ...]:
        values = {"files": 20, "bytes": 500_000, **facts}
        return context_findings(ContextFacts(".", suggestions=suggestions, **values))

    single(one(), OK, "500 kB in 20 files")
    git = Suggestion("**/.git", 400_000, 15, "the history")
    single(one(git), NOTE, "leave 400 kB or more", "**/.git (400 kB)", "optimize --only context")
    single(one(Suggestion("**/*.pyc", 100, 1, "bytecode")), OK)
    secret = Suggestion("**/.env", 10, 1, "secrets")
    single(one(secret), PROBLEM, "secrets can become part of the image", ".dockerignore")
    single(one(bytes=GB), NOTE, "large", "invoke context")
    single(one(unreadable=("data",)), UNKNOWN, "data")
