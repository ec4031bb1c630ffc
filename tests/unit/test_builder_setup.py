"""What is done with the dedicated builder: facts in, a plan with reasons and commands out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dockyard.builder_description import (
    BuilderContainer,
    BuilderNode,
    ExistingBuilder,
    WantedBuilder,
    create_arguments,
    parse_inspect,
    wanted_builder,
)
from dockyard.builder_endpoint import check_endpoint
from dockyard.builder_plan import Action, BuilderChange, plan_builder
from dockyard.buildkitd_config import buildkit_config
from dockyard.errors import BuilderError, SettingsError
from dockyard.settings import resolve
from support.settings import make_settings

# buildx 0.29.1 with BuildKit 0.32.2; the middle of the certificate is cut.
INSPECTED = """\
Name:          own
Driver:        docker-container
Last Activity: 2026-11-24 21:20:32 +0000 UTC

Nodes:
Name:                  own0
Endpoint:              unix:///var/run/docker.sock
Driver Options:        env.A="a,\\"b\\"" image="dockyard.local/buildkit:v0.32.2" network="host"
Status:                running
BuildKit daemon flags: --allow-insecure-entitlement network.host
BuildKit version:      v0.32.2
Platforms:             linux/amd64, linux/386
Labels:
 org.mobyproject.buildkit.worker.network:          host
GC Policy rule#0:
 All:            true
 Max Used Space: 18.63GiB
File#buildkitd.toml:
 > 
 > [registry]
 > 
 >   [registry."a.example:443"]
 >     ca = ["/etc/buildkit/certs/a.example_443/ca.pem"]
 > 
File#certs/a.example_443/ca.pem:
 > -----BEGIN CERTIFICATE-----
 > MIIC
 > -----END CERTIFICATE-----
 > 
"""  # noqa: W291 - as buildx prints it

REMOVED = """\
Name:          gone
Driver:        remote
Last Activity: 2026-11-24 21:22:40 +0000 UTC

Nodes:
Name:     gone0
Endpoint: tcp://127.0.0.1:9
Status:   inactive
Error:    context deadline exceeded

Name:     gone1
Endpoint: tcp://127.0.0.1:10
Status:   running
"""

IMAGE = "docker.io/moby/buildkit:v0.32.2"
STAND_IN = "dockyard.local/buildkit:v0.32.2"


def wanted(environment: dict[str, str] | None = None, **changes: Any) -> WantedBuilder:
    """The builder that these settings describe, on a disk of 100 GB."""
    settings = make_settings(**{"builder_name": "own", **changes})
    return wanted_builder(
        settings,
        environment or {},
        image=STAND_IN,
        images=(IMAGE, STAND_IN),
        config=buildkit_config(settings, disk=10**11),
        authority="PEM\n" if settings.ca_file else None,
    )


def made_from(one: WantedBuilder, **changes: Any) -> ExistingBuilder:
    """The builder that buildx shows once it was created as wanted; ``changes`` are its node's."""
    files = {"buildkitd.toml": one.config.render()} if one.config else {}
    if one.authority:
        files["certs/any/company.pem"] = one.authority
    node = BuilderNode(
        name=f"{one.name}0",
        endpoint=one.endpoint or "unix:///var/run/docker.sock",
        options=one.options,
        flags=one.flags,
        status="running",
        files=files,
    )
    return ExistingBuilder(one.name, one.driver, (replace(node, **changes),))


def container_of(one: WantedBuilder, **changes: Any) -> BuilderContainer:
    """Its container."""
    made = BuilderContainer(
        name=f"buildx_buildkit_{one.name}0",
        status="running",
        image=one.options["image"],
        network=one.options.get("network", "bridge"),
        config=one.config.render() if one.config else None,
    )
    return replace(made, **changes)


# -------------------- what buildx says


def test_inspect_is_read_whole() -> None:
    found = parse_inspect(INSPECTED)
    assert (found.name, found.driver) == ("own", "docker-container")
    (node,) = found.nodes
    assert node.name == "own0"
    assert node.endpoint == "unix:///var/run/docker.sock"
    assert node.options == {
        "env.A": 'a,"b"',
        "image": "dockyard.local/buildkit:v0.32.2",
        "network": "host",
    }
    assert node.status == "running"
    assert node.flags == ("--allow-insecure-entitlement=network.host",)
    assert 'ca = ["/etc/buildkit/certs/a.example_443/ca.pem"]' in node.files["buildkitd.toml"]
    assert node.files["certs/a.example_443/ca.pem"].startswith("-----BEGIN CERTIFICATE-----\nMIIC")


def test_inspect_of_several_nodes_without_a_connection() -> None:
    found = parse_inspect(REMOVED)
    assert [(node.name, node.status) for node in found.nodes] == [
        ("gone0", "inactive"),
        ("gone1", "running"),
    ]
    assert found.nodes[0].error == "context deadline exceeded"
    assert found.nodes[0].files == {}


# -------------------- the decision


def test_none_is_created() -> None:
    plan = plan_builder(wanted(), None)
    assert plan.action is Action.CREATE
    create, boot = plan.commands("/tmp/config.toml")
    assert create[:4] == ("docker", "buildx", "create", "--name")
    assert create[-2:] == ("--buildkitd-config", "/tmp/config.toml")
    assert boot == ("docker", "buildx", "inspect", "--bootstrap", "own")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network": "host"},
        {"ca_file": Path("/certificates/company.pem"), "image_mirrors": ("one.example",)},
        {"driver_options": {"memory": "2g"}},
    ],
)
def test_one_that_is_as_wanted_is_left_alone(changes: dict[str, Any]) -> None:
    one = wanted(**changes)
    plan = plan_builder(one, made_from(one), container_of(one))
    assert (plan.action, plan.commands("any")) == (Action.LEAVE, ())


def test_the_published_image_is_as_good_as_its_stand_in() -> None:
    one = wanted()
    options = {**one.options, "image": IMAGE}
    existing = made_from(one, options=options)
    assert plan_builder(one, existing, container_of(one, image=IMAGE)).action is Action.LEAVE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cache_budget": 10**9}, "garbage collection"),
        ({"max_parallelism": 3}, "parallelism"),
        ({"image_mirrors": ("one.example",)}, "registries"),
        ({"network": "host"}, "network"),
        ({"driver_options": {"memory": "2g"}}, "memory"),
    ],
)
def test_changed_settings_replace_it_and_keep_its_cache(
    change: dict[str, Any], reason: str
) -> None:
    before, after = wanted(), wanted(**change)
    plan = plan_builder(after, made_from(before), container_of(before))
    assert plan.action is Action.REPLACE
    assert reason in plan.reasons[0]
    assert plan.reasons[-1] == "its cache is kept"
    commands = plan.commands("any")
    assert [command[2] for command in commands] == ["stop", "rm", "create", "inspect"]
    assert "--keep-state" in commands[1]


def test_a_container_that_differs_from_what_buildx_believes_is_seen() -> None:
    one = wanted()
    others = container_of(one, config=wanted(cache_budget=1).config.render())  # type: ignore[union-attr]
    plan = plan_builder(one, made_from(one), others)
    assert (plan.action, plan.reasons[0]) == (Action.REPLACE, "other garbage collection")
    plan = plan_builder(one, made_from(one), container_of(one, config=None))
    assert plan.action is Action.REPLACE
    plan = plan_builder(one, made_from(one), container_of(one, network="host"))
    assert "network" in plan.reasons[0]
    plan = plan_builder(one, made_from(one), container_of(one, image="other"))
    assert "image" in plan.reasons[0]


def test_another_authority_of_the_same_name_is_seen() -> None:
    one = wanted(ca_file=Path("/certificates/company.pem"))
    existing = made_from(replace(one, authority="OLD\n"))
    plan = plan_builder(one, existing, container_of(one))
    assert plan.reasons[0] == "another certificate authority"


def test_a_broken_configuration_is_replaced() -> None:
    one = wanted()
    existing = made_from(one, files={"buildkitd.toml": "worker = ["})
    plan = plan_builder(one, existing, container_of(one))
    assert (plan.action, plan.reasons[0]) == (
        Action.REPLACE,
        "its configuration is not valid TOML",
    )


def test_a_removed_container_is_started_again() -> None:
    one = wanted()
    plan = plan_builder(one, made_from(one, status="inactive"), None)
    assert plan.action is Action.START
    assert "behind buildx's back" in plan.reasons[0]
    assert plan.commands("any") == (("docker", "buildx", "inspect", "--bootstrap", "own"),)


def test_a_stopped_one_is_started() -> None:
    one = wanted()
    stopped = container_of(one, status="exited")
    plan = plan_builder(one, made_from(one, status="stopped"), stopped)
    assert (plan.action, plan.reasons) == (Action.START, ("it was stopped",))


def test_one_that_does_not_stay_up_is_made_again() -> None:
    one = wanted()
    plan = plan_builder(one, made_from(one), container_of(one, status="restarting"))
    assert plan.action is Action.REPLACE


def test_a_container_left_behind_makes_way() -> None:
    one = wanted()
    plan = plan_builder(one, None, container_of(one))
    assert plan.action is Action.CREATE
    commands = plan.commands("any")
    assert commands[1] == ("docker", "container", "rm", "buildx_buildkit_own0")
    assert [command[2] for command in commands] == ["stop", "rm", "create", "inspect"]


def test_another_driver_is_replaced() -> None:
    one = wanted()
    existing = ExistingBuilder("own", "remote", (BuilderNode("own0"),))
    plan = plan_builder(one, existing)
    assert (plan.action, plan.reasons) == (Action.REPLACE, ("its driver was remote",))


def test_a_nodes_own_name_is_kept_with_its_volume() -> None:
    one = wanted(cache_budget=1)
    existing = made_from(wanted(), name="theirs")
    create = plan_builder(one, existing, container_of(wanted())).commands("any")[2]
    assert create[create.index("--node") + 1] == "theirs"


def test_what_is_not_ours_is_refused() -> None:
    one = wanted()
    with pytest.raises(BuilderError, match="2 nodes"):
        plan_builder(one, replace(parse_inspect(REMOVED), name="own"))
    with pytest.raises(BuilderError, match="engine's own"):
        plan_builder(one, ExistingBuilder("own", "docker", (BuilderNode("own"),)))


# -------------------- what is wanted


def test_host_networking_needs_option_and_entitlement() -> None:
    one = wanted(network="host")
    arguments = create_arguments(one, "any")
    assert "network=host" in arguments
    flags = arguments[arguments.index("--buildkitd-flags") + 1]
    assert flags == "--allow-insecure-entitlement=network.host"
    assert "--buildkitd-flags" not in create_arguments(wanted(), "any")


def test_proxies_are_passed_on_without_passwords() -> None:
    environment = {
        "http_proxy": "http://proxy:3128",
        "HTTPS_PROXY": "http://me:s3cr3t@proxy:3128",
        "NO_PROXY": "localhost,127.0.0.1",
    }
    one = wanted(environment)
    arguments = create_arguments(one, "any")
    assert "env.HTTP_PROXY=http://proxy:3128" in arguments
    # buildx splits an option at commas unless it is quoted as CSV.
    assert '"env.NO_PROXY=localhost,127.0.0.1"' in arguments
    assert "s3cr3t" not in " ".join((*arguments, *one.notes))
    assert "HTTPS_PROXY" in one.notes[0]


def test_remote_gets_its_tls_files_and_no_configuration() -> None:
    one = wanted(
        driver="remote",
        builder_endpoint="tcp://builder:1234",
        builder_ca_file=Path("/tls/ca.pem"),
        builder_cert_file=Path("/tls/cert.pem"),
        builder_key_file=Path("/tls/key.pem"),
        builder_server_name="builder.internal",
        network="host",
    )
    assert create_arguments(one, "any") == (
        *("docker", "buildx", "create", "--name", "own", "--driver", "remote"),
        *("--driver-opt", "cacert=/tls/ca.pem"),
        *("--driver-opt", "cert=/tls/cert.pem"),
        *("--driver-opt", "key=/tls/key.pem"),
        *("--driver-opt", "servername=builder.internal"),
        "tcp://builder:1234",
    )
    moved = replace(one, endpoint="tcp://other:1234")
    assert "endpoint" in plan_builder(moved, made_from(one)).reasons[0]
    assert plan_builder(one, made_from(one)).action is Action.LEAVE


def test_kubernetes_gets_its_options_and_the_configuration() -> None:
    options = {"namespace": "builds", "replicas": "2", "nodeselector": "disk=ssd,zone=a"}
    environment = {"HTTP_PROXY": "http://proxy:3128"}
    one = wanted(environment, driver="kubernetes", driver_options=options, network="host")
    assert create_arguments(one, "/tmp/config.toml") == (
        *("docker", "buildx", "create", "--name", "own", "--driver", "kubernetes"),
        *("--driver-opt", f"image={STAND_IN}"),
        *("--driver-opt", "namespace=builds"),
        *("--driver-opt", "replicas=2"),
        *("--driver-opt", '"nodeselector=disk=ssd,zone=a"'),
        *("--buildkitd-flags", "--allow-insecure-entitlement=network.host"),
        *("--buildkitd-config", "/tmp/config.toml"),
    )
    assert plan_builder(one, made_from(one)).action is Action.LEAVE


# -------------------- what is said


def test_a_dry_run_speaks_of_what_would_be() -> None:
    change = BuilderChange("own", "docker-container", Action.REPLACE, ("other flags",))
    assert change.lines() == ["builder   own (docker-container) changed: other flags"]
    (line,) = replace(change, dry_run=True).lines()
    assert "would be changed" in line
    assert change.as_json()["action"] == "replace"


# -------------------- settings and TLS files


def settings_from(**environment: str) -> Any:
    return resolve(
        root=Path("/repository"),
        environment=environment,
        dotenv={},
        pyproject={},
        flags={},
        exists=lambda path: True,
    )


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"DOCKYARD_DRIVER": "remote"}, "needs to know where its BuildKit is"),
        ({"DOCKYARD_MAX_PARALLELISM": "0"}, "at least 1"),
    ],
)
def test_settings_that_cannot_be(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings_from(**environment)


def test_a_remote_builder_by_name_needs_no_endpoint() -> None:
    settings = settings_from(DOCKYARD_DRIVER="remote", DOCKYARD_BUILDER="theirs")
    assert settings.builder_endpoint is None


def write_garbage(folder: Path) -> dict[str, Path]:
    names = ("builder_ca_file", "builder_cert_file", "builder_key_file")
    for name in names:
        (folder / name).write_text("no PEM\n")
    return {name: folder / name for name in names}


@pytest.mark.parametrize(
    ("spoil", "messages"),
    [
        (lambda files: files["builder_key_file"].unlink(), ["DOCKYARD_BUILDER_KEY_FILE"]),
        (
            lambda files: [path.unlink() for path in files.values()],
            ["BUILDER_CA_FILE", "BUILDER_CERT_FILE", "BUILDER_KEY_FILE"],
        ),
        (lambda files: files.pop("builder_ca_file"), ["BUILDER_CA_FILE: TLS to a remote"]),
        (lambda files: files.pop("builder_key_file"), ["KEY_FILE: a certificate and its key"]),
        (lambda files: files.pop("builder_cert_file"), ["CERT_FILE: a certificate and its key"]),
        (lambda files: None, ["BUILDER_CA_FILE.*is not a PEM file"]),
    ],
    ids=["one missing", "all missing", "no authority", "no key", "no certificate", "no PEM"],
)
def test_tls_files_are_checked_before_any_connection(
    tmp_path: Path, spoil: Callable[[dict[str, Path]], Any], messages: list[str]
) -> None:
    files = write_garbage(tmp_path)
    spoil(files)
    settings = make_settings(driver="remote", builder_endpoint="tcp://127.0.0.1:1", **files)
    with pytest.raises(BuilderError) as caught:
        check_endpoint(settings)
    for message in messages:
        assert caught.match(message)


def test_an_address_without_a_port_is_refused() -> None:
    settings = make_settings(driver="remote", builder_endpoint="tcp://builder.example")
    with pytest.raises(BuilderError, match="no tcp address"):
        check_endpoint(settings)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env.HTTPS_PROXY", "http://me:planted@proxy.example"),
        ("env.AZURE_CLIENT_SECRET", "planted"),
        ("env.DEPLOY", "ghp_" + "planted" * 6),
    ],
)
def test_an_option_with_a_secret_is_refused_without_telling_it(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{key} holds a secret") as caught:
        wanted(driver_options={key: value})
    assert "planted" not in str(caught.value)


def test_an_option_that_names_where_a_secret_is_passes() -> None:
    options = {"key": "certs/client.pem", "env.AWS_WEB_IDENTITY_TOKEN_FILE": "/run/token"}
    assert options.items() <= wanted(driver_options=options).options.items()
