"""Causes of flags, variables and file lines: the experiments, and the output of `doit explain`."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tasks.components import containerd
from tasks.components.base import Context
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.explain import provenance
from tasks.explain import tasks as explain
from tasks.explain.provenance import DROPPED, FLAGS, Cause, Item
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.settings import groups
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tasks.settings.table import table

HOME = "/workspace"
MINORS = ("1.10", "1.20", "1.35")
GROUPS = (
    "api",
    "controller_manager",
    "cloud_controller_manager",
    "scheduler",
    "kubelet",
    "proxy",
    "etcd",
    "dns",
    "logs",
)
ELSEWHERE = {
    "api.host": "kubeconfigs and certificates",
    "api.first_service_cluster_ip": "certificate of kube-apiserver",
    "api.wait": "how long `start` waits",
    "api.probe_timeout": "how long one health check can take",
    "logs.timeline": "what the tool itself writes",
    "logs.verbose": "what the tool itself prints",
    "etcd.preserve": "what `down` removes",
    "etcd.version": "which etcd the toolchain has",
    "dns.addon": "an addon's manifest",
    "dns.memory_limit": "an addon's manifest",
}
"""Settings that have an effect, but do not change a component."""
KUBE = [name for name, spec in COMPONENTS.items() if spec.module]


@pytest.fixture(scope="module", autouse=True)
def made_once() -> Iterator[None]:
    """Make the table of settings, and the changes of settings, once: some ten thousand are made."""
    changes: dict[str, list[tuple[Cause, Settings]]] = {}
    change = provenance.settings_changed

    def changed(base: Settings) -> list[tuple[Cause, Settings]]:
        key = repr(base)
        if key not in changes:
            changes[key] = list(change(base))
        return changes[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "table", functools.cache(table))
        patch.setattr(provenance, "settings_changed", changed)
        yield


def load(environ: Mapping[str, str] | None = None, /, **words: str) -> Settings:
    dotted = {key.replace("__", "."): value for key, value in words.items()}
    return settings.load({"STEPKUBE_HOME": HOME, **(environ or {})}, dotted, Path(os.devnull))


def traced(component: str, minor: str, chosen: Settings) -> dict[str, tuple[Item, ...]]:
    context = Context(chosen, facts.parse(minor), Path(f"{HOME}/bin/{component}"))
    return provenance.trace(context, COMPONENTS[component].build)


def causes(sections: Mapping[str, tuple[Item, ...]], section: str, text: str) -> dict[str, str]:
    """Return name -> source of the causes of the one item that starts with `text`."""
    (item,) = [item for item in sections[section] if item.text.lstrip(" -").startswith(text)]
    return {cause.name: cause.source for cause in item.origins}


def from_environment(variable: str) -> str:
    return f"the environment ({variable})"


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("component", KUBE)
def test_log_level_is_the_cause_of_v(component: str, minor: str) -> None:
    found = causes(traced(component, minor, load({"LOG_LEVEL": "5"})), FLAGS, "v=5")
    assert found == {"logs.level": from_environment("LOG_LEVEL")}


@pytest.mark.parametrize(
    ("component", "minor", "given", "place", "key"),
    [
        (
            "kube-apiserver",
            "1.20",
            "API_SECURE_PORT=7443",
            "flags|secure-port=7443",
            "api.secure_port",
        ),
        ("kube-apiserver", "1.20", "API_SECURE_PORT=7443", "ports|7443", "api.secure_port"),
        (
            "kube-apiserver",
            "1.20",
            "API_SECURE_PORT=7443",
            "health|https://127.0.0.1:7443/",
            "api.secure_port",
        ),
        (
            "kube-apiserver",
            "1.35",
            "FEATURE_GATES=A=true",
            "flags|feature-gates=A=true",
            "start.feature_gates",
        ),
        (
            "kube-controller-manager",
            "1.10",
            "FEATURE_GATES=A=true",
            "flags|feature-gates",
            "start.feature_gates",
        ),
        (
            "kube-controller-manager",
            "1.20",
            "KCM_SECURE_PORT=7257",
            "flags|secure-port=7257",
            "controller_manager.secure_port",
        ),
        (
            "kube-scheduler",
            "1.35",
            "SCHEDULER_SECURE_PORT=7259",
            "flags|secure-port=7259",
            "scheduler.secure_port",
        ),
        (
            "kube-scheduler",
            "1.20",
            "KUBE_CACHE_MUTATION_DETECTOR=true",
            "environment|KUBE_CACHE_MUTATION_DETECTOR",
            "start.cache_mutation_detector",
        ),
        ("kubelet", "1.20", "KUBELET_PORT=7250", "file kubelet.yaml|port: 7250", "kubelet.port"),
        (
            "kubelet",
            "1.35",
            "FEATURE_GATES=A=true",
            "file kubelet.yaml|featureGates",
            "start.feature_gates",
        ),
        ("kubelet", "1.20", "KUBELET_FLAGS=--max-pods=5", "flags|max-pods=5", "kubelet.flags"),
        ("kube-proxy", "1.10", "KUBE_PROXY_MODE=ipvs", "file kube-proxy.yaml|mode", "proxy.mode"),
        ("etcd", "1.35", "ETCD_PORT=7379", "flags|listen-client-urls", "etcd.port"),
        (
            "containerd",
            "1.20",
            "CLUSTER_CIDR=10.2.0.0/16",
            'file 10-stepkube.conflist|"ranges"',
            "controller_manager.cluster_cidr",
        ),
    ],
)
def test_a_setting_is_a_cause_with_its_source(
    component: str, minor: str, given: str, place: str, key: str
) -> None:
    variable, _, value = given.partition("=")
    found = causes(traced(component, minor, load({variable: value})), *place.split("|"))
    assert found[key] == from_environment(variable)


def test_the_source_is_the_command_line_or_the_file(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("logs: {level: 7, spec: 'a=1'}\n")
    chosen = settings.load({"STEPKUBE_HOME": HOME}, {"logs.spec": "b=2"}, file)
    sections = traced("kube-scheduler", "1.20", chosen)
    assert causes(sections, FLAGS, "v=7") == {"logs.level": f"{file} (logs.level)"}
    assert causes(sections, FLAGS, "vmodule=b=2") == {"logs.spec": "the command line (logs.spec=)"}


@pytest.mark.parametrize("name", ["default", "other"])
def test_the_instance_is_a_cause_of_paths_and_ports(name: str) -> None:
    chosen = load(instance=name)
    sections = traced("kube-apiserver", "1.20", chosen)
    assert causes(sections, FLAGS, "cert-dir") == {name: HOME, "certs.dir": "default"}
    port = f"secure-port={chosen.api.secure_port}"
    assert causes(sections, FLAGS, port) == {name: HOME, "api.secure_port": "default"}


def test_a_port_that_is_set_is_not_caused_by_the_instance() -> None:
    sections = traced("kube-apiserver", "1.20", load(instance="other", api__secure_port="7443"))
    assert causes(sections, FLAGS, "secure-port") == {
        "api.secure_port": "the command line (api.secure_port=)"
    }


@pytest.mark.parametrize(
    ("component", "minor", "place", "fact", "since"),
    [
        ("kube-apiserver", "1.20", "flags|service-account-issuer", "issued_tokens", "1.20"),
        ("kube-apiserver", "1.10", "flags|enable-admission-plugins", "admission", "1.10"),
        ("kube-apiserver", "1.35", "flags|enable-admission-plugins", "admission", "1.24"),
        ("kube-apiserver", "1.20", "flags|insecure-port", "insecure_port", "1.20"),
        ("kube-apiserver", "1.35", "health|https", "health", "1.16"),
        ("kube-scheduler", "1.10", "flags|port=10251", "health", "1.10"),
        ("kubelet", "1.20", "file kubelet.yaml|apiVersion", "kubelet_config", "1.10"),
    ],
)
def test_a_fact_is_a_cause_with_its_evidence(
    component: str, minor: str, place: str, fact: str, since: str
) -> None:
    found = causes(traced(component, minor, load()), *place.split("|"))
    eras = facts.data()["facts"].get(fact) or facts.data()["health"][component]
    evidence = [provenance.EVIDENCE[letter] for letter in eras[since][1].split(",")]
    assert found[fact] == f"since {since}: {', '.join(evidence)}"


@pytest.mark.parametrize("component", ["kube-apiserver", "kubelet"])
def test_pause_tolerance_is_a_cause(component: str) -> None:
    found = causes(traced(component, "1.20", load()), "environment", "HTTP2_READ_IDLE")
    assert found == {"debug.pause_tolerant": "default"}


@pytest.mark.parametrize(
    ("component", "minor", "dropped"),
    [
        ("kube-apiserver", "1.10", {"shutdown-watch-termination-grace-period": "since 1.27"}),
        ("kube-apiserver", "1.35", {"cloud-provider": "until 1.32", "cloud-config": "until 1.32"}),
        ("kube-controller-manager", "1.10", {"cert-dir": "since 1.12"}),
        ("kube-controller-manager", "1.35", {"port": "until 1.23"}),
        ("kube-scheduler", "1.35", {"port": "until 1.23"}),
        ("kube-scheduler", "1.10", {}),
        ("kubelet", "1.10", {}),
        (
            "kubelet",
            "1.35",
            {
                "allow-privileged": "until 1.14",
                "cadvisor-port": "until 1.11",
                "chaos-chance": "until 1.21",
                "cloud-config": "until 1.33",
                "keep-terminated-pod-volumes": "until 1.11",
                "container-runtime": "until 1.26",
                "pod-infra-container-image": "until 1.34",
            },
        ),
        ("etcd", "1.10", {"log-level": "since 1.17"}),
        ("etcd", "1.35", {}),
    ],
)
def test_dropped_flags_have_a_cause(component: str, minor: str, dropped: dict[str, str]) -> None:
    items = traced(component, minor, load())[DROPPED]
    reasons = {
        item.text.removeprefix("--").partition("=")[0]: cause.source.partition(":")[0]
        for item in items
        for cause in item.origins
        if cause.kind == "version"
    }
    assert reasons == dropped
    assert len(items) == len(dropped)


def test_a_refused_flag_is_dropped() -> None:
    sections = {FLAGS: (Item("--v=3", ()), Item("--new=x=y", ())), DROPPED: ()}
    moved = explain.move_refused(sections, frozenset({"new"}), Path("/bin/kubelet"))
    assert moved[FLAGS] == (Item("--v=3", ()),)
    ((text, (cause,)),) = [(item.text, item.origins) for item in moved[DROPPED]]
    assert (text, cause.kind, cause.name) == ("--new=x=y", "refusal", "/bin/kubelet")


def test_the_cni_plugins_are_a_cause_for_containerd() -> None:
    cause = Cause("tool", "CNI plugins", "/usr/lib/cni")
    context = Context(load(), Minor(1, 20), Path("/usr/bin/containerd"))
    other = dataclasses.replace(context, host_answers={"cni": "/other"})
    sections = provenance.trace(context, containerd.build, {cause: other})
    assert causes(sections, "file containerd.toml", "bin_dir") == {
        "CNI plugins": "/usr/lib/cni",
        "node.cni_bin_dir": "default",
    }


def test_networks_of_the_sandbox_have_the_cause_that_their_setting_is() -> None:
    sections = traced("kube-scheduler", "1.20", load({"CLUSTER_CIDR": "10.7.0.0/16"}))
    found = causes(sections, "connects to in the sandbox", "10.7.0.0/16")
    assert found["controller_manager.cluster_cidr"] == from_environment("CLUSTER_CIDR")
    assert "node.sandbox" in found


@pytest.fixture(scope="module", name="effective")
def effective_settings() -> set[str]:
    """Return the settings that change a component of any minor, with usual or unusual settings."""
    found = set()
    unusual = {
        "start__external_cloud_provider": "true",
        "dns__nodelocal": "true",
        "kubelet__eviction_soft": "memory.available<1Gi",
        "kubelet__dockerize": "true",
    }
    for base in (load(), load(node__sandbox="false", **unusual)):
        changes = list(provenance.settings_changed(base))
        for minor, spec in itertools.product(MINORS, COMPONENTS.values()):
            context = Context(base, facts.parse(minor), Path("/bin/x"))
            stock = provenance.view(context, spec.build)
            for cause, chosen in changes:
                changed = dataclasses.replace(context, settings=chosen)
                with suppress(Failure):  # this minor no longer has an admission plugin
                    if provenance.view(changed, spec.build) != stock:
                        found.add(cause.name)
    return found


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_changes_a_component(group: str, effective: set[str]) -> None:
    mine = {f"{group}.{item.name}" for item in dataclasses.fields(groups.GROUPS[group])}
    assert mine - effective == mine & set(ELSEWHERE)


def test_a_view_shows_flags_order_and_files() -> None:
    for name, spec in COMPONENTS.items():
        context = Context(load(), Minor(1, 20), Path("/bin/x"))
        built, sections = spec.build(context), provenance.view(context, spec.build)
        assert sections[FLAGS] == built.argv[1:], name
        assert sections["starts after"] == built.after, name
        assert {Path(file) for file in sections["files"]} == set(built.files), name


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ((), "always"),
        (
            (Cause("setting", "a.b", "default"), Cause("setting", "a.c", "default")),
            "default of a.b, a.c",
        ),
        (
            (Cause("instance", "default", HOME), Cause("setting", "a.b", "stepkube.yaml (a.b)")),
            "a.b from stepkube.yaml (a.b); instance default",
        ),
        ((Cause("fact", "admission", "since 1.24: tried"),), "fact admission (since 1.24: tried)"),
    ],
)
def test_causes_as_text(found: tuple[Cause, ...], text: str) -> None:
    assert explain.causes_text(found) == text
