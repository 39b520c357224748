"""cloud-controller-manager: refusal settings, the user's program, start and stop."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.check import tasks as check
from tasks.cluster import tasks as cluster
from tasks.components import cloud_controller_manager as ccm
from tasks.components import registry
from tasks.components.base import Component, Context
from tasks.core.errors import Failure
from tasks.debug import preflight
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.runtime import processes
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files, process
from tests.support.ports import free_port

IN_TREE = ("1.10", "1.15", "1.20", "1.25", "1.30")


@pytest.fixture(name="config")
def cloud_config(tmp_path: Path) -> Path:
    path = tmp_path / "cloud.conf"
    path.write_text("[Global]\n")
    return path


def context(minor: str = "1.24", **environ: object) -> Context:
    named = {name: str(value) for name, value in environ.items()}
    chosen = load.load({"STEPKUBE_HOME": "/workspace", **named}, {}, Path("/none.yaml"))
    return Context(chosen, facts.parse(minor), Path("/workspace/bin/cloud-controller-manager"))


def external(minor: str = "1.24", **environ: object) -> Context:
    return context(minor, EXTERNAL_CLOUD_PROVIDER="true", **environ)


def refusal(target: Context) -> str:
    with pytest.raises(Failure) as caught:
        ccm.check(target)
    return str(caught.value)


def flag(built: Component, name: str) -> str:
    (found,) = [word for word in built.argv if word.startswith(f"--{name}=")]
    return found.partition("=")[2]


def test_without_a_cloud_nothing_is_required() -> None:
    ccm.check(context())
    ccm.check(context(CLOUD_PROVIDER="aws"))


@pytest.mark.parametrize(
    ("minor", "provider", "expected"),
    [
        ("1.24", "azur", "did you mean azure?"),
        ("1.26", "openstack", "aws, azure, gce, vsphere"),
        ("1.31", "aws", "Kubernetes 1.31 (it has none)"),
        ("1.31", "aws", "set EXTERNAL_CLOUD_PROVIDER=true"),
    ],
)
def test_a_provider_that_no_component_knows_is_refused(
    minor: str, provider: str, expected: str
) -> None:
    message = refusal(context(minor, CLOUD_PROVIDER=provider))
    assert "the environment (CLOUD_PROVIDER)" in message and expected in message


def test_openstack_needs_a_configuration(config: Path) -> None:
    message = refusal(context(CLOUD_PROVIDER="openstack"))
    assert "(CLOUD_PROVIDER)" in message and "set CLOUD_CONFIG" in message
    message = refusal(context(CLOUD_PROVIDER="openstack", CLOUD_CONFIG="/no/such/file"))
    assert "(CLOUD_CONFIG)" in message and "/no/such/file" in message
    ccm.check(context(CLOUD_PROVIDER="openstack", CLOUD_CONFIG=config))


def test_the_configuration_must_exist(config: Path) -> None:
    message = refusal(external(CLOUD_PROVIDER="aws"))
    assert "(EXTERNAL_CLOUD_PROVIDER)" in message and "set CLOUD_CONFIG" in message
    message = refusal(external(CLOUD_PROVIDER="aws", CLOUD_CONFIG=config.parent))
    assert "(CLOUD_CONFIG)" in message and f" {config.parent} " in message
    ccm.check(external(CLOUD_PROVIDER="aws", CLOUD_CONFIG=config))


@pytest.mark.parametrize("minor", IN_TREE)
def test_a_provider_missing_from_the_tree_is_refused(minor: str, config: Path) -> None:
    message = refusal(external(minor, CLOUD_PROVIDER="nebula", CLOUD_CONFIG=config))
    assert "the environment (CLOUD_PROVIDER): 'nebula' is not a" in message
    assert f"Kubernetes {minor}" in message
    assert ", ".join(facts.minor(minor).cloud_providers) in message
    assert "gce" in message and "EXTERNAL_CLOUD_PROVIDER_BINARY" in message
    message = refusal(external(minor, CLOUD_CONFIG=config))
    assert (
        "(EXTERNAL_CLOUD_PROVIDER)" in message
        and "set CLOUD_PROVIDER" in message
        and "gce" in message
    )


@pytest.mark.parametrize(
    ("provider", "last"),
    [("photon", "1.14"), ("openstack", "1.25"), ("aws", "1.26"), ("vsphere", "1.30")],
)
def test_providers_left_the_tree_one_by_one(provider: str, last: str, config: Path) -> None:
    environ = {"CLOUD_PROVIDER": provider, "CLOUD_CONFIG": config}
    ccm.check(external(last, **environ))
    major, minor = facts.parse(last)
    refusal(external(f"{major}.{minor + 1}", **environ))


@pytest.mark.parametrize("minor", ["1.31", "1.36"])
def test_versions_without_providers_are_refused(minor: str, config: Path) -> None:
    message = refusal(external(minor, CLOUD_PROVIDER="aws", CLOUD_CONFIG=config))
    assert "(EXTERNAL_CLOUD_PROVIDER)" in message and f"Kubernetes {minor}" in message
    assert "set EXTERNAL_CLOUD_PROVIDER_BINARY" in message


def test_a_user_program_may_have_any_provider(config: Path, tmp_path: Path) -> None:
    program = tmp_path / "ccm"
    program.write_text("#!/bin/sh\n")
    environ = {"CLOUD_PROVIDER": "nebula", "CLOUD_CONFIG": config}
    own = external("1.36", EXTERNAL_CLOUD_PROVIDER_BINARY=program, **environ)
    assert f"(EXTERNAL_CLOUD_PROVIDER_BINARY): {program} is not a" in refusal(own)
    program.chmod(0o755)
    ccm.check(own)


def test_flags_of_the_user_come_last(config: Path) -> None:
    built = ccm.build(
        external(
            CLOUD_PROVIDER="aws",
            CLOUD_CONFIG=config,
            CONFIGURE_CLOUD_ROUTES="false",
            CLOUD_CTLRMGR_FLAGS="--allow-untagged-cloud --cluster-name='a b'",
        )
    )
    assert built.argv[-2:] == ("--allow-untagged-cloud", "--cluster-name=a b")
    assert (flag(built, "cloud-provider"), flag(built, "cloud-config")) == ("aws", str(config))
    assert flag(built, "configure-cloud-routes") == "false"
    assert flag(built, "leader-elect") == "false"
    assert config in built.inputs
    with pytest.raises(Failure, match=r"CLOUD_CTLRMGR_FLAGS.*quotation"):
        ccm.build(external(CLOUD_CTLRMGR_FLAGS="'"))


@pytest.mark.parametrize(
    ("minor", "url"),
    [
        ("1.11", "http://127.0.0.1:10253/healthz"),
        ("1.12", "https://127.0.0.1:10258/healthz"),
        ("1.36", "https://127.0.0.1:10258/healthz"),
    ],
)
def test_health(minor: str, url: str) -> None:
    assert ccm.build(context(minor)).health.url == url


@pytest.mark.parametrize("minor", [(1, number) for number in range(10, 37)])
def test_one_loopback_port(minor: facts.Minor) -> None:
    built = ccm.build(context(f"{minor[0]}.{minor[1]}"))
    (port,) = built.ports
    secure = minor >= (1, 12)
    assert flag(built, "secure-port" if secure else "port") == str(port)
    assert flag(built, "bind-address" if secure else "address") == "127.0.0.1"
    assert ("--port=0" in built.argv) == ((1, 12) <= minor <= (1, 23))


@pytest.mark.parametrize(("minor", "plugin"), [("1.13", "aws"), ("1.20", "")])
def test_the_volume_plugin_is_that_of_upstream(minor: str, plugin: str) -> None:
    kcm = registry.COMPONENTS["kube-controller-manager"].build
    built = kcm(external(minor, CLOUD_PROVIDER="aws"))
    assert flag(built, "external-cloud-volume-plugin") == plugin
    assert flag(built, "cloud-provider") == "external"
    named = kcm(external(minor, CLOUD_PROVIDER="aws", EXTERNAL_CLOUD_VOLUME_PLUGIN="gce"))
    assert flag(named, "external-cloud-volume-plugin") == "gce"


def test_the_sample_of_1_20_has_advice(tmp_path: Path) -> None:
    assert "EXTERNAL_CLOUD_PROVIDER_BINARY" in ccm.build(context("1.20")).advice
    assert ccm.build(context("1.19")).advice == ccm.build(context("1.21")).advice == ""
    assert ccm.build(context("1.20", EXTERNAL_CLOUD_PROVIDER_BINARY=tmp_path)).advice == ""


def test_it_starts_in_upstreams_order_and_only_when_enabled() -> None:
    assert ccm.NAME not in cluster.components_to_run(
        context(START_MODE="nokubelet,nokubeproxy").settings
    )
    names = cluster.components_to_run(external(START_MODE="nokubelet,nokubeproxy").settings)
    assert names == [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        ccm.NAME,
        "kube-scheduler",
    ]
    assert ccm.NAME not in cluster.components_to_run(external(START_MODE="kubeletonly").settings)


@pytest.fixture(name="own")
def user_program_environ(tmp_path: Path, toy: Path, config: Path) -> Iterator[dict[str, str]]:
    """Yield variables of an instance of 1.11 with a script as cloud-controller-manager."""
    program = tmp_path / "ccm"
    program.write_text(script(toy))
    program.chmod(0o755)
    environ = {
        "STEPKUBE_HOME": str(tmp_path / "home"),
        "START_MODE": "nokubelet",
        "EXTERNAL_CLOUD_PROVIDER": "true",
        "EXTERNAL_CLOUD_PROVIDER_BINARY": str(program),
        "CLOUD_PROVIDER": "nebula",
        "CLOUD_CONFIG": str(config),
        "STEPKUBE_CLOUD_CONTROLLER_MANAGER_PORT": str(free_port()),
    }
    chosen = load.load(environ)
    lock = dict.fromkeys(("commit", "origin", "requested"), "") | {"tree": str(tmp_path)}
    files.write_json(chosen.paths.lock, {**lock, "version": "v1.11.0"})
    yield environ
    processes.stop(chosen, ccm.NAME)


def script(toy: Path) -> str:
    """Return a script that accepts every flag and serves /healthz on --port."""
    return f"""#!/bin/sh
for word; do case "$word" in --help) exit 0 ;; --port=*) port=$word ;; esac; done
exec {toy} $port
"""


def record(chosen: Settings) -> process.Record:
    found = process.load(chosen.paths.run, ccm.NAME)
    assert found is not None
    return found


def test_a_changed_program_of_the_user_is_restarted(own: dict[str, str], toy: Path) -> None:
    chosen = load.load(own)
    assert ccm.SPEC.built_module(chosen) is None
    assert preflight.check_go_version(chosen, ccm.NAME)
    check.require(chosen, Minor(1, 11))
    assert cluster.reconcile(chosen, ccm.NAME) is None
    first = record(chosen)
    assert first.alive() and first.argv[0] == own["EXTERNAL_CLOUD_PROVIDER_BINARY"]
    assert "--cloud-provider=nebula" in first.argv
    assert cluster.is_running(chosen, ccm.NAME)
    Path(own["EXTERNAL_CLOUD_PROVIDER_BINARY"]).write_text(script(toy) + "# newer\n")
    assert not cluster.is_running(chosen, ccm.NAME)
    assert cluster.reconcile(chosen, ccm.NAME) is None
    assert record(chosen).identity != first.identity and not first.identity.alive()


@pytest.mark.parametrize("way", [cluster.up, cluster.down])
def test_it_stops_with_its_option_and_with_the_cluster(
    own: dict[str, str], way: Callable[[load.Settings], object]
) -> None:
    chosen = load.load(own)
    assert cluster.reconcile(chosen, ccm.NAME) is None
    running = record(chosen).identity
    off = load.load({**own, "EXTERNAL_CLOUD_PROVIDER": "false"})
    assert way(off) is None
    assert not running.alive()
    assert process.load(chosen.paths.run, ccm.NAME) is None


def test_the_log_of_a_program_that_exits_is_printed(own: dict[str, str]) -> None:
    chosen = load.load(own)
    program = Path(own["EXTERNAL_CLOUD_PROVIDER_BINARY"])
    program.write_text('#!/bin/sh\n[ "$1" ] && echo no cloud here >&2\nexit 1\n')
    failed = cluster.reconcile(chosen, ccm.NAME)
    assert "no cloud here" in failed.get_msg()
    assert str(chosen.paths.log(ccm.NAME)) in failed.get_msg()


def test_settings_that_cannot_work_are_refused_first() -> None:
    with pytest.raises(Failure, match=r"EXTERNAL_CLOUD_PROVIDER.* CLOUD_PROVIDER"):
        check.require(external().settings, Minor(1, 20))
