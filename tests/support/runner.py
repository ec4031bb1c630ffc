"""A CI service's runner, as far as the rendered workflows use one, on this machine.

Every ``run:`` line runs in order, by the shell and with the variables that GitHub gives it. Actions
are replaced by what they do: a clone, a builder, a login, a tar file under a key. What the runner
does not know raises, so that a workflow cannot pass by being skipped.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dockyard.archives import extract
from support.engine import remove

__all__ = ["Caches", "GitHubRunner", "Job", "run_gitlab", "run_script"]

STEP_SECONDS = 300
FORK = "github.event.pull_request.head.repo.full_name == github.repository"


@dataclass
class Caches:
    """What ``actions/cache`` keeps between jobs: a tar file by key, never written twice."""

    folder: Path
    keys: list[str] = field(default_factory=list)

    def restore(self, path: Path, key: str, fallbacks: list[str]) -> str | None:
        """Unpack the exact key's, else the newest that begins with a fallback; its key."""
        matching = [
            known
            for prefix in fallbacks
            for known in reversed(self.keys)
            if known.startswith(prefix)
        ]
        found = key if key in self.keys else next(iter(matching), None)
        if found:
            with tarfile.open(self._file(found)) as archive:
                extract(archive, path.parent)
        return found

    def save(self, path: Path, key: str) -> None:
        """Pack a folder under a key."""
        assert key not in self.keys, f"{key} is kept already: GitHub would refuse it"
        with tarfile.open(self._file(key), "w") as archive:
            archive.add(path, path.name)
        self.keys.append(key)

    def size(self, key: str) -> int:
        """Bytes of one key's file."""
        return self._file(key).stat().st_size

    def _file(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}.tar"


@dataclass
class Job:
    """A job that ran: what each step printed by its name, its outputs, and the job's summary."""

    workspace: Path
    printed: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    summary: str = ""


def _tools(folder: Path) -> Path:
    """Make what a runner has on its PATH: uv, whose ``tool install`` offers this Dockyard.

    Of the checks, which have tests of their own, it makes only two quick ones.
    """
    folder.mkdir(parents=True)
    command = Path(sys.executable).with_name("dockyard")
    made = folder / "this-dockyard"
    made.write_text(
        "#!/bin/sh\n"
        'test "$1" = check && set -- "$@" --only lock --only hit-rate\n'
        f'exec {command} "$@"\n'
    )
    uv = folder / "uv"
    uv.write_text(
        "#!/bin/sh\n"
        'test "$1 $2" = "tool install" || { echo "uv $*: not known here" >&2; exit 2; }\n'
        'test -n "$3" || exit 2\n'
        f'mkdir -p "$HOME/.local/bin" && ln -sf {made} "$HOME/.local/bin/dockyard"\n'
    )
    (folder / "apk").write_text("#!/bin/sh\nexit 0\n")
    for one in folder.iterdir():
        one.chmod(0o755)
    return folder


def _environment(home: Path, tools: Path) -> dict[str, str]:
    """Return what a fresh machine's shell has: nothing of the developer's."""
    home.mkdir(parents=True, exist_ok=True)
    docker_folder = Path(shutil.which("docker") or "/usr/bin/docker").parent
    places = (tools, home / ".local/bin", docker_folder, "/usr/local/bin", "/usr/bin", "/bin")
    return {"HOME": str(home), "PATH": ":".join(map(str, places)), "CI": "true", "LANG": "C.UTF-8"}


class GitHubRunner:
    """Runs the one job of a workflow on clones of ``repository``, each time on a fresh machine.

    ``secrets`` and ``caches`` outlast jobs. ``variables`` are in every step's environment, as those
    of a self-hosted runner.
    """

    def __init__(
        self,
        folder: Path,
        repository: Path,
        *,
        secrets: Mapping[str, str],
        variables: Mapping[str, str],
    ) -> None:
        self.repository, self.folder = repository, folder
        self.secrets, self.variables = secrets, variables
        self.caches = Caches(folder / "caches")
        self.caches.folder.mkdir(parents=True)
        self._jobs = 0

    def run(self, workflow: str, event: str = "push") -> Job:
        """Run the workflow for a push to main, or a pull request of the branch feature.

        A step that fails is an error.
        """
        self._jobs += 1
        machine = self.folder / f"machine-{self._jobs}"
        tools = _tools(machine / "tools")
        # YAML 1.1 reads the key “on” as a truth.
        loaded = yaml.load(workflow, Loader=yaml.BaseLoader)
        assert event in loaded["on"], f"the workflow does not run on {event}"
        (wanted,) = loaded["jobs"].values()
        job = Job(machine / "workspace")
        context = {
            "github.event_name": event,
            "github.ref": "refs/heads/main" if event == "push" else "refs/pull/1/merge",
            "github.actor": "me",
            "github.sha": f"sha-{self._jobs}",
            FORK: "true",
        }
        environment = {
            **_environment(machine / "home", tools),
            **self.variables,
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": event,
            "GITHUB_REF": context["github.ref"],
            "GITHUB_REF_NAME": context["github.ref"].removeprefix("refs/").removeprefix("heads/"),
            "GITHUB_REF_TYPE": "branch",
            "GITHUB_STEP_SUMMARY": str(machine / "summary.md"),
            **({"GITHUB_HEAD_REF": "feature"} if event == "pull_request" else {}),
            **self._filled(wanted.get("env", {}), context, job),
        }
        with self._builders() as made:
            for number, step in enumerate(wanted["steps"]):
                name = step.get("name") or step["uses"].partition("@")[0]
                if "if" in step and not self._holds(step["if"], context, job):
                    job.skipped.append(name)
                    continue
                own = {**environment, **self._filled(step.get("env", {}), context, job)}
                if "run" in step:
                    output = machine / f"output-{number}"
                    output.touch()
                    command = self._expanded(step["run"], context, job)
                    own["GITHUB_OUTPUT"] = str(output)
                    # https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax
                    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command]
                    job.printed[name] = _ran(shell, job.workspace, own)
                    lines = (line.partition("=") for line in output.read_text().splitlines())
                    outputs = {key: value for key, _, value in lines}
                else:
                    inputs = self._filled(step.get("with", {}), context, job)
                    outputs = self._use(step["uses"], inputs, own, job, made) or {}
                if "id" in step:
                    job.outputs[step["id"]] = outputs
        summary = machine / "summary.md"
        job.summary = summary.read_text() if summary.exists() else ""
        return job

    @contextmanager
    def _builders(self) -> Iterator[list[str]]:
        """Remove a job's builders with their caches: the next machine starts empty."""
        made: list[str] = []
        try:
            yield made
        finally:
            for name in made:
                container = f"buildx_buildkit_{name}0"
                remove("container", container)
                remove("volume", f"{container}_state")

    # -------------------- actions

    def _use(
        self,
        action: str,
        inputs: dict[str, str],
        environment: dict[str, str],
        job: Job,
        builders: list[str],
    ) -> dict[str, str] | None:
        name = action.partition("@")[0]
        actions: dict[str, Callable[[], dict[str, str] | None]] = {
            "actions/checkout": lambda: self._checkout(job, environment["GITHUB_EVENT_NAME"]),
            "astral-sh/setup-uv": lambda: None,
            "docker/setup-buildx-action": lambda: _buildx(inputs, environment, job, builders),
            "docker/login-action": lambda: _login(inputs, environment),
            "actions/cache/restore": lambda: self._restore(inputs, job),
            "actions/cache/save": lambda: self._save(inputs, job),
        }
        return actions[name]()

    def _checkout(self, job: Job, event: str) -> None:
        source = f"file://{self.repository}"
        command = ["git", "clone", "--quiet", "--depth", "1", "--branch", "main", source]
        subprocess.run([*command, str(job.workspace)], check=True, capture_output=True)
        if event != "push":
            # A pull request's is of a merge that no branch has.
            detach = ["git", "-C", str(job.workspace), "checkout", "--quiet", "--detach"]
            subprocess.run(detach, check=True, capture_output=True)

    def _restore(self, inputs: dict[str, str], job: Job) -> dict[str, str]:
        path, key = job.workspace / inputs["path"], inputs["key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        found = self.caches.restore(path, key, inputs["restore-keys"].split())
        outputs = {"cache-primary-key": key, "cache-matched-key": found or ""}
        return {**outputs, "cache-hit": str(found == key).lower() if found else ""}

    def _save(self, inputs: dict[str, str], job: Job) -> None:
        self.caches.save(job.workspace / inputs["path"], inputs["key"])

    # -------------------- expressions

    def _filled(
        self, values: Mapping[str, str], context: Mapping[str, str], job: Job
    ) -> dict[str, str]:
        return {name: self._expanded(value, context, job) for name, value in values.items()}

    def _expanded(self, text: str, context: Mapping[str, str], job: Job) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: self._value(found[1], context, job), text)

    def _holds(self, condition: str, context: Mapping[str, str], job: Job) -> bool:
        return any(self._value(part, context, job) == "true" for part in condition.split(" || "))

    def _value(self, expression: str, context: Mapping[str, str], job: Job) -> str:
        """Evaluate one of the few expressions that the templates use; KeyError for any other."""
        if expression in context:
            return context[expression]
        if compared := re.fullmatch(r"(\S+) (==|!=) '(.*)'", expression):
            equal = self._value(compared[1], context, job) == compared[3]
            return str(equal == (compared[2] == "==")).lower()
        if hashed := re.fullmatch(r"hashFiles\((.*)\)", expression):
            digest = hashlib.sha256()
            for name in re.findall(r"'([^']*)'", hashed[1]):
                digest.update(hashlib.sha256((job.workspace / name).read_bytes()).digest())
            return digest.hexdigest()
        if secret := re.fullmatch(r"secrets\.(\w+)", expression):
            return self.secrets[secret[1]]
        if output := re.fullmatch(r"steps\.(\w+)\.outputs\.([\w-]+)", expression):
            return job.outputs[output[1]][output[2]]
        raise KeyError(f"the runner knows no {expression}")


def _ran(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=STEP_SECONDS,
    )
    assert done.returncode == 0, f"{command[-1]}\nexit {done.returncode}\n{done.stdout}"
    return done.stdout


def _buildx(
    inputs: dict[str, str], environment: dict[str, str], job: Job, builders: list[str]
) -> dict[str, str]:
    name, config = inputs["name"], job.workspace.parent / "buildkitd.toml"
    config.write_text(inputs["buildkitd-config-inline"])
    builders.append(name)
    options = [word for one in inputs["driver-opts"].split() for word in ("--driver-opt", one)]
    # What the action passes where no flags are given.
    flags = " ".join(
        f"--allow-insecure-entitlement {one}" for one in ("security.insecure", "network.host")
    )
    command = ["docker", "buildx", "create", "--name", name, "--driver", "docker-container"]
    command += [*options, "--buildkitd-flags", flags, "--buildkitd-config", str(config), "--use"]
    _ran([*command, "--bootstrap"], job.workspace, environment)
    return {"name": name}


def _login(inputs: dict[str, str], environment: dict[str, str]) -> None:
    command = ["docker", "login", inputs["registry"], "--username", inputs["username"]]
    subprocess.run(
        [*command, "--password-stdin"],
        input=inputs["password"].encode(),
        env=environment,
        check=True,
        capture_output=True,
    )


def run_script(
    command: list[str], folder: Path, repository: Path, variables: Mapping[str, str], builder: str
) -> Job:
    """Run a shell on a clone, on a machine that has Docker and uv; its builder is removed after."""
    job = Job(folder / "workspace")
    source = f"file://{repository}"
    clone = ["git", "clone", "--quiet", "--branch", "main", source, str(job.workspace)]
    subprocess.run(clone, check=True, capture_output=True)
    environment = {**_environment(folder / "home", _tools(folder / "tools")), **variables}
    container = f"buildx_buildkit_{builder}0"
    try:
        job.printed["script"] = _ran(command, job.workspace, environment)
    finally:
        remove("container", container)
        remove("volume", f"{container}_state")
    return job


def run_gitlab(
    text: str,
    name: str,
    folder: Path,
    repository: Path,
    variables: Mapping[str, str],
    builder: str,
) -> Job:
    """Run one job of a ``.gitlab-ci.yml`` on a clone, by the POSIX shell, as GitLab's runner does.

    ``variables`` are the project's. The service Docker in Docker is this machine's engine, so that
    what says where that is is left out.
    """
    jobs = yaml.safe_load(text)
    job = {**jobs[jobs[name]["extends"]], **jobs[name]}
    assert job["services"] == ["docker:28-dind"]
    known = dict(variables)
    for key, value in job["variables"].items():
        if not key.startswith("DOCKER_"):
            known[key] = re.sub(r"\$(\w+)", lambda found: known[found[1]], value)
    script = "\n".join([*job["before_script"], *job["script"]])
    return run_script(["sh", "-ec", script], folder, repository, known, builder)
