"""Every variable has an effect or an error, at every version (tests/support/variables.py)."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path

import pytest

from tasks.addons import catalog
from tasks.addons.template_values import fill
from tasks.build import prebuilt
from tasks.certs import certificates, credentials, kubeconfig
from tasks.certs import tasks as certs
from tasks.check import container_runtime, versions
from tasks.check import tasks as check
from tasks.cli import entry
from tasks.cluster import foreground
from tasks.cluster import tasks as cluster
from tasks.components import cloud_controller_manager
from tasks.components.base import Context
from tasks.components.registry import COMPONENTS, debug_offsets
from tasks.core import doit_run
from tasks.core.errors import Failure
from tasks.explain import provenance
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.runtime import kubectl, prerequisites, processes
from tasks.settings import groups
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tasks.settings.table import Row, table
from tasks.system import files, process, procfs, run
from tasks.toolchain import cni
from tests.support.variables import ALWAYS, EFFECTS, NEWEST, OLDEST, SPANS, Effect


def spans() -> dict[str, tuple[str, str, str, str]]:
    """Return, by variable: not in, first in, last in, gone by; empty where it has none."""
    found = dict.fromkeys(ALWAYS.split(), ("", OLDEST, NEWEST, ""))
    for line in SPANS.strip().splitlines()[1:]:
        name, absent, first, last, gone = line.split()
        first, last = first.replace("-", OLDEST), last.replace("-", NEWEST)
        found[name] = (absent.strip("-"), first, last, gone.strip("-"))
    return found


SCRIPT = spans()
HIGHEST_BASE_PORT = 65535 - max(debug_offsets().values())
READY = sorted(EFFECTS)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that every program is installed, and that root asks."""
    monkeypatch.setattr(shutil, "which", lambda name, path=None: str(name))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(prerequisites, "CAPABILITIES", {})


@pytest.fixture(name="places", scope="module")
def made_places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what examples can name: a file, a folder of networks and one of plugins."""
    top = tmp_path_factory.mktemp("places")
    for name in ("file", "cni/10-mine.conflist", "plugins/loopback"):
        files.write(top / name, "")
    return {name: str(top / name) for name in ("file", "cni", "plugins")}


def filled(text: str, places: Mapping[str, str]) -> str:
    return re.sub(r"\{(file|cni|plugins)\}", lambda found: places[found[1]], text)


def load(environ: Mapping[str, str], places: Mapping[str, str] | None = None) -> Settings:
    given = {name: filled(value, places or {}) for name, value in environ.items()}
    return settings.load({"STEPKUBE_HOME": "/workspace", **given}, {}, Path(os.devnull))


def words(chosen: Settings, minor: str) -> Counter[str]:
    """Return everything that a cluster of these settings is made of, and what is made for it."""
    found: list[str] = []
    for name, spec in COMPONENTS.items():
        context = Context(chosen, facts.parse(minor), Path(f"/bin/{name}"))
        view = provenance.view(context, spec.build)
        found += [
            f"{name} {section} {word}"
            for section, told in view.items()
            if section != provenance.DROPPED
            for word in told
        ]
        found.append(f"{name} timeout {spec.build(context).health.timeout}")
    found += [f"certificate {astuple(one)}" for one in certificates.certificates(chosen)]
    pair = Path("/crt"), Path("/key")
    found += [
        f"server {kubeconfig.server(chosen, 'admin')}",
        f"admin logs in by {credentials.admin_credentials(chosen, *pair)}",
        f"user logs in by {credentials.user_credentials(chosen)}",
        f"CNI plugins {tuple(cni.requested_version(chosen).values())}",
        f"logs {chosen.paths.logs}",
        f"patience {patience(chosen, minor)}",
    ]
    for name, addon in catalog.ADDONS.items():
        files_of = addon.file_sets(chosen, facts.minor(minor))
        found.append(f"addon {name} {files_of}" if addon.enabled(chosen) else f"no {name}")
    found.append(f"cloud program {cloud_controller_manager.user_binary(chosen)}")
    if chosen.start.kubectl:
        found.append(f"kubectl {kubectl.client(chosen)}")
    return Counter(found)


def patience(chosen: Settings, minor: str) -> float:
    """Return how long the start of kube-apiserver is waited for, in seconds."""
    asked: list[float] = []
    context = Context(chosen, facts.parse(minor), Path("/bin/kube-apiserver"))
    component = COMPONENTS["kube-apiserver"].build(context)

    def watch(_ready: object, _alive: object, limit: float) -> bool:
        asked.append(limit)
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "until", watch)
        record = process.Record.__new__(process.Record)
        object.__setattr__(record, "identity", procfs.identify(os.getpid()))
        object.__setattr__(record, "argv", component.argv)
        processes.wait_ready(component, record)
    return asked[0]


def within(minor: str, effect: Effect) -> bool:
    first, last = effect.works
    return facts.parse(first) <= facts.parse(minor) <= facts.parse(last)


def test_these_are_all_variables_and_no_other() -> None:
    assert len(SCRIPT) == 135
    assert set(SCRIPT) == set(EFFECTS)
    assert set(EFFECTS) <= {row.env for row in table()}


@pytest.mark.parametrize("name", READY)
def test_a_variable_has_an_effect_in_every_version(name: str, places: dict[str, str]) -> None:
    effect, (_, first, last, _) = EFFECTS[name], SCRIPT[name]
    edges = set(effect.works) - {OLDEST, NEWEST}
    for minor in {first, last} | edges:
        chosen = load({**effect.needs, name: effect.value}, places)
        problems = "\n".join(map(str, check.problems(chosen, facts.parse(minor))))
        if effect.refused or not within(minor, effect):
            assert name in problems, minor
            assert effect.refused in problems
            continue
        assert not problems or effect.alone
        if not effect.alone:
            before = words(load(effect.needs, places), minor)
            new = words(chosen, minor) - before
            shows = filled(effect.shows, places)
            assert [word for word in new if shows in word], f"{minor}: {sorted(new)}"


@pytest.mark.parametrize("name", READY)
def test_a_variable_that_a_version_does_not_know_is_an_error(
    name: str, places: dict[str, str]
) -> None:
    effect, (absent, first, _, gone) = EFFECTS[name], SCRIPT[name]
    for minor in filter(None, (absent, gone)):
        chosen = load({**effect.needs, name: effect.value}, places)
        found = [
            str(one)
            for one in versions.unknown_settings(chosen, facts.parse(minor))
            if name in str(one)
        ]
        if effect.everywhere:
            assert not found
            continue
        (text,) = found
        assert f"the environment ({name})" in text
        assert f"Kubernetes {minor}" in text
        assert "fix: " in text
        # it names versions, and the one at hand is not among them
        assert re.search(r"\d\.\d+( to \d\.\d+| and newer)?;? (do|does)\b|that of \d", text), text
        there = versions.refusal(row(name), f"the environment ({name})", facts.parse(first))
        assert there is None or not within(first, effect)


def row(name: str) -> Row:
    (found,) = [row for row in table() if row.env == name]
    return found


@pytest.mark.parametrize("name", READY)
def test_an_empty_variable_and_the_default_are_no_error(name: str) -> None:
    for minor in (OLDEST, "1.20", NEWEST):
        assert not check.problems(load({name: ""}), facts.parse(minor))
        default = row(name).default
        text = str(default).lower() if isinstance(default, bool) else str(default)
        text = ",".join(default) if isinstance(default, tuple) else text
        assert not list(versions.unknown_settings(load({name: text}), facts.parse(minor)))


def test_every_variable_of_upstream_has_a_row_here() -> None:
    own = {row.env for row in table() if not row.is_stepkube_variable}
    outside = {
        "GOPROXY",
        "GOSUMDB",
        "SSL_CERT_FILE",
        "ETCD_HOST",
        "ETCD_PORT",
        "ETCD_VERSION",
        "ETCD_LOGLEVEL",
        "KUBE_GIT_VERSION_FILE",
    }
    assert own - outside == set(EFFECTS)


# --- those that show elsewhere ------------------------------------------------------------------


def test_preserve_etcd(tmp_path: Path) -> None:
    for told, kept in (("true", True), ("false", False)):
        environ = {"STEPKUBE_HOME": str(tmp_path), "PRESERVE_ETCD": told}
        chosen = settings.load(environ, {}, Path(os.devnull))
        files.write(chosen.paths.etcd / "member", "")
        assert cluster.down(chosen) is None
        assert chosen.paths.etcd.exists() is kept


def test_start_mode() -> None:
    assert "kubelet" in cluster.components_to_run(load({}))
    assert cluster.components_to_run(load({"START_MODE": "kubeletonly"})) == [
        "containerd",
        "kubelet",
    ]
    assert "kubelet" not in cluster.components_to_run(load({"START_MODE": "nokubelet"}))


def test_enable_daemon() -> None:
    state = doit_run.current()
    state.dependencies, state.selected = {"up": ()}, ("up",)
    assert foreground.stays_in_foreground(load({"ENABLE_DAEMON": "false"}))
    assert not foreground.stays_in_foreground(load({}))


def test_go_out(tmp_path: Path) -> None:
    files.write(tmp_path / "kubelet", "")
    chosen = load({"GO_OUT": str(tmp_path)})
    assert prebuilt.is_used(chosen) and not prebuilt.is_used(load({}))
    assert prebuilt.binary_path(chosen, "kubelet") == tmp_path / "kubelet"


def test_kube_dns_memory_limit(tmp_path: Path) -> None:
    files.write(tmp_path / "dns.yaml.in", "memory: __DNS__MEMORY__LIMIT__\n")
    filled_in = fill(tmp_path / "dns.yaml.in", load({"KUBE_DNS_MEMORY_LIMIT": "99Mi"}))
    assert filled_in == "memory: 99Mi\n"


@pytest.mark.parametrize(("told", "same"), [("true", True), ("false", False)])
def test_reuse_certs(tmp_path: Path, told: str, same: bool) -> None:
    chosen = settings.load(
        {"STEPKUBE_HOME": str(tmp_path), "REUSE_CERTS": told}, {}, Path(os.devnull)
    )
    (task,) = [task for task in certs.task_certs(chosen) if task["name"] == "server-ca"]
    assert (False in task["uptodate"]) is not same
    made = []
    for _ in range(2):
        [(function, words)] = task["actions"]
        assert function(*words) is None
        made.append((chosen.paths.certs / "server-ca.crt").read_bytes())
    assert (made[0] == made[1]) is same


def test_kube_verbose(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/bin/{name}")
    for level, said in ((1, ""), (2, "+ true 'a b'\n")):
        entry.set_verbosity(load({"KUBE_VERBOSE": str(level)}).logs.verbose)
        run.run("true", "a b")
        assert capsys.readouterr().err == said


@pytest.mark.parametrize("arch", ["amd64", "arm64", "ppc64le", "s390x"])
def test_digest_of_cni_plugins(monkeypatch: pytest.MonkeyPatch, arch: str) -> None:
    name = f"CNI_PLUGINS_{arch.upper()}_SHA256SUM"
    (problem,) = check.problems(load({name: "a1"}), Minor(1, 28))
    assert name in str(problem) and "CNI_PLUGINS_VERSION" in problem.hint
    chosen = load({name: "a1", "CNI_PLUGINS_VERSION": "v1.5.1"})
    assert not check.problems(chosen, Minor(1, 28))
    for here in ("amd64", "arm64"):
        for module in (cni, container_runtime):
            monkeypatch.setattr(module, "architecture", lambda here=here: here)
        assert cni.requested_version(chosen)["digest"] == ("a1" if arch == here else "")


# --- versions -----------------------------------------------------------------------------------


def refused(minor: str, environ: Mapping[str, str], **more: str) -> str:
    dotted = {key.replace("__", "."): value for key, value in more.items()}
    chosen = settings.load({"STEPKUBE_HOME": "/w", **environ}, dotted, Path(os.devnull))
    with pytest.raises(Failure) as caught:
        check.require(chosen, facts.parse(minor))
    return str(caught.value)


def test_a_key_works_where_only_the_variable_is_not_known() -> None:
    said = refused("1.20", {"KCM_SECURE_PORT": "7257"})
    assert "hack/local-up-cluster.sh of Kubernetes 1.20 does not know KCM_SECURE_PORT" in said
    assert "set controller_manager.secure_port in stepkube.yaml" in said
    by_key = {"controller_manager.secure_port": "7257"}
    chosen = settings.load({"STEPKUBE_HOME": "/w"}, by_key, Path(os.devnull))
    assert not check.problems(chosen, Minor(1, 20))


def test_a_key_that_the_version_cannot_do_is_an_error_too() -> None:
    said = refused("1.20", {}, kubelet__tracing="true")
    assert "the command line (kubelet.tracing=)" in said
    assert "Kubernetes 1.20 does not know kubelet.tracing; 1.25 and newer do" in said


@pytest.mark.parametrize(
    ("minor", "old", "new"),
    [("1.30", "CNI_CONF_DIR", "CNI_CONFIG_DIR"), ("1.20", "CNI_CONFIG_DIR", "CNI_CONF_DIR")],
)
def test_a_renamed_variable_is_told_by_its_other_name(minor: str, old: str, new: str) -> None:
    assert f"fix: use {new}" in refused(minor, {old: "/x"})


def test_every_problem_is_said_at_once() -> None:
    said = refused("1.36", {"PSP_ADMISSION": "true", "NET_PLUGIN": "cni"})
    assert "2 settings" in said
    assert "PSP_ADMISSION; 1.10 to 1.24 do" in said
    assert "NET_PLUGIN; 1.10 to 1.23 do" in said


def test_variables_of_every_shell_are_never_wrong() -> None:
    for minor in (OLDEST, "1.20", NEWEST):
        given = {"USER": "nobody-here", "TMP_DIR": "/tmp"}
        assert not check.problems(load(given), facts.parse(minor))


# --- contradictions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"AUTHORIZATION_CONFIG": "{file}", "AUTHORIZATION_MODE": "RBAC"},
            "unset api.authorization_config or api.authorization_mode",
        ),
        ({"AUTHORIZATION_MODE": "RBAC,Webhook"}, "AUTHORIZATION_WEBHOOK_CONFIG_FILE"),
        ({"AUTHORIZATION_WEBHOOK_CONFIG_FILE": "{file}"}, "AUTHORIZATION_MODE=Node,RBAC,Webhook"),
        ({"AUDIT_POLICY_FILE": "/no/such"}, "AUDIT_POLICY_FILE): /no/such"),
        ({"CLUSTER_SIGNING_CERT_FILE": "{file}"}, "set CLUSTER_SIGNING_KEY_FILE too"),
        ({"CLUSTER_SIGNING_KEY_FILE": "{file}"}, "set CLUSTER_SIGNING_CERT_FILE too"),
        (
            {"ENABLE_ADMISSION_PLUGINS": "A", "DISABLE_ADMISSION_PLUGINS": "B,A"},
            "(DISABLE_ADMISSION_PLUGINS): the admission plugin A ",
        ),
        ({"SERVICE_CLUSTER_IP_RANGE": "10.96.0.0/16"}, "FIRST_SERVICE_CLUSTER_IP=10.96.0.1"),
        ({"FIRST_SERVICE_CLUSTER_IP": "10.9.0.1"}, "(FIRST_SERVICE_CLUSTER_IP): 10.9.0.1"),
        ({"KUBE_DNS_SERVER_IP": "10.9.0.1"}, "KUBE_DNS_SERVER_IP=10.0.0.10"),
        ({"SERVICE_CLUSTER_IP_RANGE": "ten"}, "SERVICE_CLUSTER_IP_RANGE): 'ten'"),
        ({"NODE_PORT_RANGE": "32767-30000"}, "NODE_PORT_RANGE): '32767-30000'"),
        ({"NODE_PORT_RANGE": "some"}, "for example 30000-32767"),
        ({"NODE_PORT_RANGE": "65000+999"}, "NODE_PORT_RANGE): '65000+999'"),
        ({"RUNTIME_REQUEST_TIMEOUT": "2 minutes"}, "RUNTIME_REQUEST_TIMEOUT): '2 minutes'"),
        ({"EVICTION_HARD": "memory.available>1Gi"}, "EVICTION_HARD): 'memory.available>1Gi'"),
        ({"EVICTION_SOFT": "memory.available"}, "for example memory.available<300Mi"),
        ({"FEATURE_GATES": "A"}, "FEATURE_GATES): 'A'"),
        ({"FEATURE_GATES": "A=true,B=maybe"}, "FEATURE_GATES): 'B=maybe'"),
        ({"AUTHORIZATION_MODE": "Node,RBCA"}, "did you mean RBAC?"),
        ({"API_BIND_ADDR": "all"}, "API_BIND_ADDR): 'all' is not an IP address"),
        ({"ADVERTISE_ADDRESS": "10.0.0"}, "'10.0.0' is not an IP address"),
        ({"KUBELET_HOST": "here"}, "'here' is not an IP address"),
        ({"ETCD_HOST": "a.example"}, "'a.example' is not an IP address"),
        ({"CLUSTER_CIDR": "10.1"}, "CLUSTER_CIDR): '10.1'"),
        ({"KUBE_DNS_NAME": "a..b"}, "KUBE_DNS_NAME): 'a..b' is not a domain"),
        ({"KUBE_DNS_MEMORY_LIMIT": "lots"}, "'lots' is not a quantity"),
        ({"KUBE_ENABLE_NODELOCAL_DNS": "true", "KUBE_LOCAL_DNS_IP": "x"}, "not an IP address"),
        ({"ETCD_PORT": "6443"}, "(ETCD_PORT): port 6443 is used twice (etcd, kube-apiserver)"),
        ({"API_SECURE_PORT": "10250"}, "the default of kubelet.port: port 10250"),
        ({"KUBELET_PORT": "7250", "KUBELET_HEALTHZ_PORT": "7250"}, "port 7250"),
        ({"STEPKUBE_NODE_FORWARD": "6443"}, "(STEPKUBE_NODE_FORWARD): port 6443"),
        ({"STEPKUBE_NODE_FORWARD": "30080,30080:80"}, "(STEPKUBE_NODE_FORWARD): port 30080"),
        ({"STEPKUBE_NODE_FORWARD": "web"}, "'web' is not a port"),
        ({"STEPKUBE_DEBUG_BASE_PORT": "65530"}, f"use {HIGHEST_BASE_PORT} or less"),
        ({"WAIT_FOR_URL_API_SERVER": "0"}, "WAIT_FOR_URL_API_SERVER): 0 "),
        ({"STEPKUBE_BUILD_JOBS": "-1"}, "use 0 to 1024"),
        ({"CONTAINER_RUNTIME_ENDPOINT": "crio.sock"}, "CONTAINER_RUNTIME_ENDPOINT): 'crio.sock'"),
        ({"KUBELET_FLAGS": "max-pods=7"}, "KUBELET_FLAGS): 'max-pods=7'"),
        ({"GO_OUT": "/no/such"}, "GO_OUT): /no/such"),
        ({"EMULATED_VERSION": "1.99"}, "Kubernetes 1.36 cannot emulate 1.99"),
        ({"EMULATED_VERSION": "next"}, "EMULATED_VERSION): 'next'"),
        ({"CPUMANAGER_POLICY": "static"}, "KUBELET_FLAGS=--kube-reserved=cpu=500m"),
        ({"CPUMANAGER_POLICY_OPTIONS": "a=true"}, "set CPUMANAGER_POLICY=static"),
        ({"CGROUP_ROOT": "/a", "CGROUPS_PER_QOS": "false"}, "set CGROUPS_PER_QOS=true"),
        (
            {"LIMITED_SWAP": "true", "FAIL_SWAP_ON": "true"},
            "(LIMITED_SWAP) and the environment (FAIL_SWAP_ON)",
        ),
        ({"KUBELET_FLAGS": "'"}, "KUBELET_FLAGS"),
        (
            {"API_CORS_ALLOWED_ORIGINS": "//a.example$,/localhost(:[0-9]+)?$"},
            "refuses '/localhost(:[0-9]+)?$'",
        ),
        (
            {"CONTAINER_RUNTIME_ENDPOINT": "unix:///run/containerd/containerd.sock"},
            "STEPKUBE_NODE_SANDBOX=false",
        ),
        ({"CNI_CONFIG_DIR": "/no/such"}, "CNI_CONFIG_DIR): /no/such"),
        ({"KUBECONFIG_TOKEN": "two words"}, "openssl rand -hex"),
        ({"AUTH_ARGS": "--client-key={file}"}, "AUTH_ARGS): --client-certificate"),
        ({"AUTH_ARGS": "--password=x"}, "AUTH_ARGS): --password"),
        ({"AUTH_ARGS": "'"}, "quoting"),
    ],
)
def test_contradictions(environ: dict[str, str], expected: str, places: dict[str, str]) -> None:
    found = check.problems(load(environ, places), Minor(1, 36))
    assert expected in "\n".join(map(str, found))
    assert all(one.hint for one in found)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"CONTAINER_RUNTIME": "docker"}, "STEPKUBE_NODE_SANDBOX=false"),
        ({"CONTAINER_RUNTIME": "rkt", "STEPKUBE_NODE_SANDBOX": "false"}, "only 1.10"),
        ({"NET_PLUGIN": "kubenet"}, "CONTAINER_RUNTIME=docker"),
        ({"DOCKER_OPTS": "-H unix:///x"}, "set CONTAINER_RUNTIME=docker"),
        (
            {
                "CONTAINER_RUNTIME": "docker",
                "STEPKUBE_NODE_SANDBOX": "false",
                "DOCKER_OPTS": "--debug",
            },
            "options of Docker: '--debug'",
        ),
        ({"LIMITED_SWAP": "true"}, "Kubernetes 1.20 does not know LIMITED_SWAP; 1.22 and newer"),
    ],
)
def test_contradictions_of_an_older_version(environ: dict[str, str], expected: str) -> None:
    assert expected in "\n".join(map(str, check.problems(load(environ), Minor(1, 20))))


@pytest.mark.parametrize(
    "environ",
    [
        {"API_SECURE_PORT": "10250", "START_MODE": "nokubelet"},
        {"KCM_SECURE_PORT": "10252"},
        {"STEPKUBE_CLOUD_CONTROLLER_MANAGER_SECURE_PORT": "6443"},
        {"FEATURE_GATES": "A=TRUE, B=f"},
        {"EVICTION_HARD": "memory.available<5%, nodefs.available<1.5Gi"},
        {"ETCD_HOST": "localhost"},
        {"KUBE_ENABLE_CLUSTER_DNS": "false", "KUBE_DNS_NAME": "a..b"},
    ],
)
def test_no_contradictions(environ: dict[str, str]) -> None:
    assert not check.problems(load(environ), Minor(1, 36))


def test_a_soft_threshold_has_a_grace_period() -> None:
    for period in ("90s", "7s"):
        given = {
            "EVICTION_SOFT": "memory.available<1Gi,nodefs.available<9%",
            "STEPKUBE_KUBELET_EVICTION_SOFT_GRACE_PERIOD": period,
        }
        periods = f'{{"memory.available": "{period}", "nodefs.available": "{period}"}}'
        for minor in (OLDEST, NEWEST):
            found = words(load(given), minor)
            assert f"kubelet file kubelet.yaml evictionSoftGracePeriod: {periods}" in found


def test_every_spelling_of_a_gate_means_what_go_makes_of_it() -> None:
    found = words(load({"FEATURE_GATES": "A=TRUE,B=f,C=0,D=1"}), "1.35")
    assert "kube-scheduler flags --feature-gates=A=true,B=false,C=false,D=true" in found


def test_emulating_an_older_minor_may_be_written_as_the_flag() -> None:
    for text in ("1.34", "v1.34", "kube=1.34"):
        assert not check.problems(load({"EMULATED_VERSION": text}), Minor(1, 35))
        assert "kube-apiserver flags --emulated-version=kube=1.34" in words(
            load({"EMULATED_VERSION": text}), "1.35"
        )


def test_an_explicit_leader_election_wins_over_pause_tolerance() -> None:
    for told in ("true", "false"):
        given = {"LEADER_ELECT": told, "STEPKUBE_DEBUG_PAUSE_TOLERANT": str(told == "true")}
        assert f"kube-scheduler flags --leader-elect={told}" in words(load(given), "1.35")


def test_the_groups_are_the_fields_of_the_settings() -> None:
    assert set(groups.GROUPS) <= set(Settings.__dataclass_fields__)
