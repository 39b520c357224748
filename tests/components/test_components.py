import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tasks.components import containerd, kubelet_config
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tests.support.builders import HOME, build, context, given

GOLDEN = Path(__file__).parent.parent / "golden"
MINORS = ("1.10", "1.13", "1.16", "1.20", "1.24", "1.27", "1.31", "1.35", "1.36")
EVERY_MINOR = facts.minors()
ALL_ON = {
    "api.port": "8080",
    "api.basic_audit": "true",
    "api.swagger_ui": "true",
    "api.host_ip": "192.0.2.1",
    "api.runtime_config": "batch/v2alpha1=true",
    "api.pod_priority_preemption": "true",
    "kubelet.eviction_soft": "memory.available<300Mi",
    "node.image_service_endpoint": "unix:///run/images.sock",
    "start.external_cloud_provider": "true",
    "start.emulated_version": "1.34",
    "api.node_port_range": "30000-30100",
    "api.storage_backend": "etcd2",
    "api.audit_policy_file": "/audit.yaml",
    "api.authorization_webhook_config_file": "/authorization.yaml",
    "api.authentication_webhook_config_file": "/authentication.yaml",
    "api.egress_selector_config_file": "/egress.yaml",
    "certs.kubeconfig_token": "token",
}
DOCKER = {
    "api.authorization_config": "/authorization.yaml",
    "node.container_runtime": "docker",
    "node.docker_opts": "-H unix:///run/docker.sock",
    "node.docker_root": "/docker",
    "node.net_plugin": "kubenet",
    "node.cni_conf_dir": "/networks",
    "node.cni_bin_dir": "/plugins",
    "kubelet.dockerize": "true",
}
RKT = {
    "node.container_runtime": "rkt",
    "node.rkt_path": "/rkt",
    "node.rkt_stage1_image": "stage1",
}
VARIANTS: dict[str, dict[str, str]] = {
    "defaults": {},
    "all-on": ALL_ON,
    "docker": DOCKER,
    "rkt": RKT,
}


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("minor", MINORS)
def test_golden_argv(component: str, minor: str) -> None:
    lines = [item.replace(HOME, "$WORK") for item in build(component, minor).argv]
    assert not any("\n" in line for line in lines)
    text = "".join(f"{line}\n" for line in lines)
    file = GOLDEN / f"{component}-{minor}.txt"
    if os.environ.get("STEPKUBE_UPDATE_GOLDEN") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def test_no_golden_file_is_unused() -> None:
    names = {f"{component}-{minor}.txt" for component in COMPONENTS for minor in MINORS}
    assert {file.name for file in GOLDEN.iterdir()} == names


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_every_flag_has_a_row_in_the_facts(component: str, options: dict[str, str]) -> None:
    for minor in EVERY_MINOR:
        desired = COMPONENTS[component].flags(context(component, minor, **options))
        assert set(desired) <= set(facts.data()["flags"][component])


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_row_of_the_facts_is_used(component: str) -> None:
    used: set[str] = set()
    for minor in EVERY_MINOR:
        for options in VARIANTS.values():
            used |= set(COMPONENTS[component].flags(context(component, minor, **options)))
    assert set(facts.data()["flags"][component]) == used


@pytest.mark.parametrize("component", COMPONENTS)
def test_registry_agrees_with_what_is_built(component: str) -> None:
    spec, built = COMPONENTS[component], build(component)
    assert (built.name, built.after) == (component, spec.after)
    before = list(COMPONENTS)[: list(COMPONENTS).index(component)]
    assert set(spec.after) <= set(before)


@pytest.mark.parametrize("component", COMPONENTS)
def test_certificates_it_needs_are_the_ones_it_reads(component: str) -> None:
    def task(file: Path) -> str:
        return f"kubeconfig-{file.stem}" if file.suffix == ".kubeconfig" else file.stem

    for minor in MINORS:
        read = {task(file) for file in build(component, minor).inputs}
        assert read <= set(COMPONENTS[component].certs)


@pytest.mark.parametrize("component", COMPONENTS)
def test_nothing_is_outside_the_workspace_but_the_sandbox(component: str) -> None:
    built = build(component)
    paths = (*built.files, *built.folders, *built.inputs)
    assert all(path.is_relative_to(HOME) for path in paths)


def test_help_of_the_binary_decides() -> None:
    known = frozenset({"kubeconfig", "v"})
    assert list(given("kube-scheduler", "1.35", known)) == ["v", "kubeconfig"]
    spec = COMPONENTS["kube-scheduler"]
    dropped = spec.dropped(context("kube-scheduler", "1.35", known))
    assert {"vmodule", "secure-port", "port"} <= set(dropped)
    assert "v" not in dropped


def test_help_of_the_binary_adds_what_the_facts_do_not_have() -> None:
    known = frozenset({"shutdown-watch-termination-grace-period"})
    assert list(given("kube-apiserver", "1.20", known))[-1:] == [*known]


def test_a_flag_that_help_hides_is_kept() -> None:
    assert given("kube-scheduler", "1.20", frozenset({"kubeconfig"}))["port"] == "0"
    assert "port" not in given("kube-scheduler", "1.24", frozenset({"kubeconfig"}))


@pytest.mark.parametrize("minor", ["1.10", "1.13", "1.20", "1.35"])
def test_admission_list_of_the_user_is_used(minor: str) -> None:
    listed = given(
        "kube-apiserver", minor, api__enable_admission_plugins="EventRateLimit, LimitRanger"
    )["enable-admission-plugins"].split(",")
    assert listed == [*facts.minor(minor).admission, "EventRateLimit"]


def test_admission_switches_add_up() -> None:
    listed = given(
        "kube-apiserver",
        "1.10",
        api__deny_security_context_admission="true",
        api__psp_admission="true",
        api__node_admission="true",
        api__pod_priority_preemption="true",
        api__enable_admission_plugins="AlwaysPullImages",
    )
    assert listed["enable-admission-plugins"].split(",")[-5:] == [
        "SecurityContextDeny",
        "PodSecurityPolicy",
        "NodeRestriction",
        "Priority",
        "AlwaysPullImages",
    ]
    assert listed["feature-gates"] == "AllAlpha=false,PodPriority=true"
    assert listed["runtime-config"] == (
        "scheduling.k8s.io/v1alpha1=true,"
        "admissionregistration.k8s.io/v1alpha1,settings.k8s.io/v1alpha1"
    )


def test_a_disabled_plugin_is_in_one_list_only() -> None:
    listed = given("kube-apiserver", api__disable_admission_plugins="LimitRanger")
    assert listed["disable-admission-plugins"] == "LimitRanger"
    assert "LimitRanger" not in listed["enable-admission-plugins"].split(",")


def test_a_removed_plugin_is_refused() -> None:
    with pytest.raises(Failure, match=r"1\.25 removed .* PodSecurityPolicy") as caught:
        build("kube-apiserver", "1.25", api__enable_admission_plugins="PodSecurityPolicy")
    assert "api.enable_admission_plugins" in caught.value.message


@pytest.mark.parametrize("switch", ["deny_security_context_admission", "psp_admission"])
def test_a_switch_for_a_removed_plugin_is_refused(switch: str) -> None:
    with pytest.raises(Failure, match=f"api.{switch}"):
        build("kube-apiserver", "1.35", **{f"api__{switch}": "true"})


def test_pause_tolerant() -> None:
    assert given("kube-apiserver", "1.35")["request-timeout"] == "24h"
    assert given("kube-apiserver", "1.35")["shutdown-watch-termination-grace-period"] == "1s"
    assert "shutdown-watch-termination-grace-period" not in given("kube-apiserver", "1.20")
    manager = given("kube-controller-manager")
    assert (manager["leader-elect"], manager["node-monitor-grace-period"]) == ("false", "24h")
    assert given("kube-scheduler")["leader-elect"] == "false"
    assert yaml.safe_load(kubelet_config.configuration(context("kubelet")))[
        "runtimeRequestTimeout"
    ] == ("24h")


@pytest.mark.parametrize("minor", MINORS)
def test_only_a_build_without_the_limit_can_be_paused_for_hours(minor: str) -> None:
    limit = COMPONENTS["kube-apiserver"].pause_limit
    assert limit is not None
    assert not limit(context("kube-apiserver", minor))
    for key, value in {
        "debug__lift_write_deadline": "false",
        "debug__pause_tolerant": "false",
        "build__output": "/prebuilt",
    }.items():
        assert limit(context("kube-apiserver", minor, **{key: value})), key


@pytest.mark.parametrize("minor", MINORS)
def test_not_pause_tolerant_is_stock(minor: str) -> None:
    stock = {"debug__pause_tolerant": "false"}
    long = {
        "request-timeout",
        "shutdown-watch-termination-grace-period",
        "leader-elect",
        "node-monitor-grace-period",
        "enable-priority-and-fairness",
        "max-requests-inflight",
        "max-mutating-requests-inflight",
    }
    authorities = {
        "authentication-skip-lookup",
        "client-ca-file",
        "requestheader-client-ca-file",
        "requestheader-allowed-names",
    }
    for component in COMPONENTS:
        tolerant = given(component, minor)
        extra = long if component == "kube-apiserver" else long | authorities
        kept = {name: value for name, value in tolerant.items() if name not in extra}
        assert given(component, minor, **stock) == kept
    rendered = yaml.safe_load(kubelet_config.configuration(context("kubelet", minor, **stock)))
    assert "runtimeRequestTimeout" not in rendered


@pytest.mark.parametrize("minor", ["1.18", "1.19", "1.25", "1.26"])
def test_a_paused_apiserver_has_no_samples_to_add(minor: str) -> None:
    argv = given("kube-apiserver", minor)
    counting = {
        "enable-priority-and-fairness": "false",
        "max-requests-inflight": "0",
        "max-mutating-requests-inflight": "0",
    }
    if minor in {"1.19", "1.25"}:
        assert counting.items() <= argv.items()
    else:
        assert not counting.keys() & argv.keys()


@pytest.mark.parametrize(
    ("component", "minor", "url"),
    [
        ("etcd", "1.20", "https://127.0.0.1:2379/health"),
        ("kube-apiserver", "1.15", "https://127.0.0.1:6443/healthz"),
        ("kube-apiserver", "1.16", "https://127.0.0.1:6443/readyz"),
        ("kube-controller-manager", "1.11", "http://127.0.0.1:10252/healthz"),
        ("kube-controller-manager", "1.12", "https://127.0.0.1:10257/healthz"),
        ("kube-scheduler", "1.12", "http://127.0.0.1:10251/healthz"),
        ("kube-scheduler", "1.13", "https://127.0.0.1:10259/healthz"),
        ("kubelet", "1.20", "http://127.0.0.1:10248/healthz"),
        ("kube-proxy", "1.20", "http://127.0.0.1:10256/healthz"),
        ("containerd", "1.20", "unix:///workspace/instances/default/run/containerd.sock"),
    ],
)
def test_health(component: str, minor: str, url: str) -> None:
    assert build(component, minor).health.url == url


@pytest.mark.parametrize("minor", EVERY_MINOR)
def test_etcd_serves_only_clients_with_a_certificate(minor: facts.Minor) -> None:
    flags, certs = given("etcd", minor), f"{HOME}/instances/default/certs"
    for prefix in ("", "peer-"):
        assert flags[f"{prefix}client-cert-auth"] == "true"
        assert flags[f"{prefix}trusted-ca-file"] == f"{certs}/etcd-ca.crt"
        assert flags[f"{prefix}cert-file"] == f"{certs}/serving-etcd.crt"
        assert flags[f"{prefix}key-file"] == f"{certs}/serving-etcd.key"
    assert not any("http://" in value for value in flags.values())
    api = given("kube-apiserver", minor)
    assert api["etcd-servers"] == flags["advertise-client-urls"] == "https://127.0.0.1:2379"
    assert api["etcd-cafile"] == f"{certs}/etcd-ca.crt"
    client = (Path(certs, "client-etcd.crt"), Path(certs, "client-etcd.key"))
    assert (api["etcd-certfile"], api["etcd-keyfile"]) == tuple(map(str, client))
    assert build("etcd", minor).health.certificate == client
    assert set(client) < set(build("kube-apiserver", minor).inputs)


def test_an_etcd_without_tls_has_its_own_health_check() -> None:
    built, spec = build("etcd"), COMPONENTS["etcd"]
    assert spec.health_of(built, built.argv) == built.health
    plain = tuple(item.replace("https://", "http://") for item in built.argv)
    health = spec.health_of(built, plain)
    assert (health.url, health.certificate) == ("http://127.0.0.1:2379/health", None)


@pytest.mark.parametrize("minor", EVERY_MINOR)
@pytest.mark.parametrize("component", ["kube-controller-manager", "kube-scheduler"])
def test_a_port_for_everybody_serves_no_profiles(component: str, minor: facts.Minor) -> None:
    flags = given(component, minor)
    assert flags.get("profiling") == (None if "secure-port" in flags else "false")


def test_the_kubelet_serves_no_cadvisor() -> None:
    assert given("kubelet", "1.10")["cadvisor-port"] == "0"
    assert "cadvisor-port" not in given("kubelet", "1.12")


@pytest.mark.parametrize("minor", EVERY_MINOR)
@pytest.mark.parametrize("component", ["kube-controller-manager", "kube-scheduler"])
def test_one_loopback_port(component: str, minor: facts.Minor) -> None:
    accepted, built = given(component, minor), build(component, minor)
    (port,) = built.ports
    assert f"127.0.0.1:{port}/" in built.health.url
    if "secure-port" in accepted:
        assert (accepted["secure-port"], accepted["bind-address"]) == (str(port), "127.0.0.1")
        assert accepted.get("port", "0") == "0"
    else:
        assert (accepted["port"], accepted["address"]) == (str(port), "127.0.0.1")


def test_insecure_port_of_the_api() -> None:
    assert build("kube-apiserver", "1.19", api__port="8080").ports == (6443, 8080)
    assert given("kube-apiserver", "1.19", api__port="8080")["insecure-port"] == "8080"
    assert given("kube-apiserver", "1.20", api__port="8080")["insecure-port"] == "0"
    assert build("kube-apiserver", "1.20", api__port="8080").ports == (6443,)
    assert "insecure-port" not in given("kube-apiserver", "1.24")
    (note,) = build("kube-apiserver", "1.19", api__port="8080").notes
    assert "api.port" in note and "8080" in note
    assert not build("kube-apiserver", "1.19").notes
    assert not build("kube-apiserver", "1.20", api__port="8080").notes


def test_advertised_address() -> None:
    def advertised(**options: str) -> str | None:
        return given("kube-apiserver", **options).get("advertise-address")

    assert advertised() == "10.99.0.1"
    assert advertised(start__mode="nokubelet") == "10.99.0.1"
    assert advertised(node__sandbox="false") is None
    assert advertised(node__sandbox="false", api__host_ip="192.0.2.1") == "192.0.2.1"
    assert advertised(api__advertise_address="192.0.2.2") == "192.0.2.2"


def test_a_server_on_all_addresses_is_checked_on_loopback() -> None:
    everywhere = build("kube-apiserver", "1.35", api__bind_address="0.0.0.0")
    assert everywhere.health.url == "https://127.0.0.1:6443/readyz"
    six = build("kube-apiserver", "1.35", api__bind_address="::")
    assert six.health.url == "https://[::1]:6443/readyz"


def test_without_anonymous_callers_a_refusal_means_ready() -> None:
    assert build("kube-apiserver", api__authorization_mode="AlwaysAllow").health.accept == (
        200,
        401,
    )


def test_cors_default_fits_every_version() -> None:
    for origin in given("kube-apiserver", "1.35")["cors-allowed-origins"].split(","):
        assert origin.startswith("//")
        assert origin.endswith("$")


def test_debug_variables_reach_the_components() -> None:
    stock = {"start__cache_mutation_detector": "true", "debug__pause_tolerant": "false"}
    assert build("kube-apiserver", **stock).env == {
        "KUBE_CACHE_MUTATION_DETECTOR": "true",
        "KUBE_PANIC_WATCH_DECODE_ERROR": "true",
    }


def test_pause_tolerant_clients_wait_for_a_silent_server() -> None:
    assert build("kube-scheduler").env["HTTP2_READ_IDLE_TIMEOUT_SECONDS"] == "0"
    stock = build("kube-scheduler", debug__pause_tolerant="false").env
    assert "HTTP2_READ_IDLE_TIMEOUT_SECONDS" not in stock


def test_relative_files_of_the_user_become_absolute() -> None:
    key = given("kube-apiserver", certs__service_account_key="sa.key")["service-account-key-file"]
    assert key == str(Path.cwd() / "sa.key")


@pytest.mark.parametrize("minor", EVERY_MINOR)
def test_kubelet_configuration(minor: facts.Minor) -> None:
    built = build("kubelet", minor)
    ((file, text),) = built.files.items()
    assert f"--config={file}" in built.argv
    config = yaml.safe_load(text)
    assert config["apiVersion"] == "kubelet.config.k8s.io/v1beta1"
    assert config["address"] == "0.0.0.0"
    assert config["evictionHard"]["memory.available"] == "100Mi"
    assert config["evictionHard"]["nodefs.available"] == "500Mi", "no share of a large disk"
    assert config["featureGates"] == {"AllAlpha": False}
    assert config["authentication"]["x509"]["clientCAFile"].endswith("/client-ca.crt")
    assert ("failCgroupV1" in config) == (minor >= (1, 31))
    accepted = given("kubelet", minor)
    endpoint = f"unix://{HOME}/instances/default/run/containerd.sock"
    assert ("containerRuntimeEndpoint" in config) != ("container-runtime-endpoint" in accepted)
    assert endpoint in (
        config.get("containerRuntimeEndpoint"),
        accepted.get("container-runtime-endpoint"),
    )
    assert accepted.get("container-runtime") == ("remote" if minor < (1, 27) else None)


def test_kubelet_of_another_runtime() -> None:
    endpoint = "unix:///run/crio/crio.sock"
    built = build("kubelet", node__container_runtime_endpoint=endpoint)
    assert f"--container-runtime-endpoint={endpoint}" in built.argv
    assert built.after == ("kube-apiserver",)


def test_kubelet_without_a_sandbox() -> None:
    built = build("kubelet", node__sandbox="false")
    assert not any(item.startswith("--node-ip") for item in built.argv)
    (text,) = built.files.values()
    config = yaml.safe_load(text)
    assert (config["address"], config["resolvConf"]) == ("127.0.0.1", "/etc/resolv.conf")
    assert built.ports == (10250, 10248)


def test_kubelet_flags_of_the_user_come_last() -> None:
    argv = build("kubelet", kubelet__flags="--max-pods=5 --node-labels='a=b c'").argv
    assert argv[-2:] == ("--max-pods=5", "--node-labels=a=b c")
    with pytest.raises(Failure, match=r"kubelet\.flags.*quotation"):
        build("kubelet", kubelet__flags="'")


def test_kubelet_switches() -> None:
    config = yaml.safe_load(
        kubelet_config.configuration(
            context(
                "kubelet",
                kubelet__cgroups_per_qos="false",
                kubelet__authorization_webhook="false",
                kubelet__eviction_hard="",
                kubelet__eviction_soft="memory.available<300Mi",
            )
        )
    )
    assert config["enforceNodeAllocatable"] == []
    assert config["authorization"] == {"mode": "AlwaysAllow"}
    assert config["evictionHard"] == {}
    assert config["evictionSoft"] == {"memory.available": "300Mi"}


def test_kubelet_sockets() -> None:
    (path,) = build("kubelet").sockets
    assert path == Path("/workspace/instances/default/kubelet/pod-resources/kubelet.sock")


def test_proxy_configuration() -> None:
    built = build("kube-proxy", "1.31", proxy__mode="nftables")
    (text,) = built.files.values()
    config = yaml.safe_load(text)
    assert config["mode"] == "nftables"
    assert config["conntrack"] == {
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    }
    assert config["clientConnection"]["kubeconfig"].endswith("/kube-proxy.kubeconfig")
    assert config["metricsBindAddress"] == "127.0.0.1:10249"
    assert yaml.safe_load(next(iter(build("kube-proxy").files.values())))["mode"] == "iptables"


@pytest.mark.parametrize(
    ("version", "images", "runtime"),
    [
        (2, "io.containerd.grpc.v1.cri", "io.containerd.grpc.v1.cri"),
        (3, "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"),
    ],
)
def test_containerd_configuration(version: int, images: str, runtime: str) -> None:
    given_context = replace(context("containerd"), host_answers={"cni": "/opt/cni"})
    built = containerd.build(given_context)
    written = built.files[Path(built.argv[1].removeprefix("--config="))]
    chosen, cni = given_context.settings, Path("/opt/cni")
    assert written == containerd.configuration(chosen, containerd.Tools(cni=cni))
    tools = containerd.Tools(version, "/usr/sbin/runc", cni)
    config = tomllib.loads(containerd.configuration(chosen, tools))
    plugins = config["plugins"]
    assert config["version"] == version
    assert plugins[runtime]["restrict_oom_score_adj"] is True
    assert plugins[runtime]["disable_apparmor"] is True
    options = plugins[runtime]["containerd"]["runtimes"]["runc"]["options"]
    assert options == {"SystemdCgroup": False, "BinaryName": "/usr/sbin/runc"}
    pause = plugins[images].get("sandbox_image") or plugins[images]["pinned_images"]["sandbox"]
    assert pause == containerd.PAUSE_IMAGE
    cni = plugins[runtime]["cni"]
    assert "/opt/cni" in (cni.get("bin_dir"), *cni.get("bin_dirs", ()))
    network = json.loads(built.files[Path(cni["conf_dir"]) / "10-stepkube.conflist"])
    assert [plugin["type"] for plugin in network["plugins"]] == ["bridge", "portmap"]
    assert network["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.1.0.0/16"}]]


def test_two_instances_on_the_host_share_no_folder() -> None:
    chosen = context("containerd", node__sandbox="false", instance="other").settings
    config = tomllib.loads(containerd.configuration(chosen, containerd.Tools()))
    assert config["state"] == "/run/stepkube-other"
    assert config["root"] == f"{HOME}/instances/other/containerd"
    assert config["grpc"]["address"] == f"{HOME}/instances/other/run/containerd.sock"


@pytest.mark.parametrize("component", ["kubelet", "kube-proxy"])
def test_the_forwarder_uses_the_ports_of_the_sandbox(component: str) -> None:
    assert build(component).ports == ()
    assert build(component, node__sandbox="false").ports


def test_containerd_and_kubelet_use_the_same_pause_image() -> None:
    named = "mirror.example.org/pause:3.9"
    chosen = {"node__pause_image": named}
    made = context("containerd", **chosen).settings
    plugins = tomllib.loads(containerd.configuration(made, containerd.Tools()))["plugins"]
    assert plugins["io.containerd.grpc.v1.cri"]["sandbox_image"] == named
    assert given("kubelet", **chosen)["pod-infra-container-image"] == named


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"HTTP_PROXY", "HTTPS_PROXY"}),
        ({"node__pull": "false"}, set()),
        ({"node__sandbox": "false"}, set()),
        ({"node__pull": "false", "mirror__ca_bundle": "/etc/ca.pem"}, {"SSL_CERT_FILE"}),
    ],
)
def test_containerd_uses_the_proxy_of_the_forwarder(
    options: dict[str, str], names: set[str]
) -> None:
    env = build("containerd", **options).env
    assert set(env) == names
    assert env.get("HTTPS_PROXY", "http://127.0.0.1:3128") == "http://127.0.0.1:3128"
