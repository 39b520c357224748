"""When the settings are judged: before anything is fetched, built or started."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tasks.check import tasks as check
from tasks.checkout import tasks as checkout
from tasks.cluster import tasks as cluster
from tasks.core.errors import Failure
from tasks.explain import tasks as explain
from tasks.kubernetes.facts import Minor
from tasks.kubernetes.tree import Checkout
from tasks.runtime import prerequisites
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tasks.system import files
from tests.support.doit import Done, doit


def load(home: Path, **environ: str) -> Settings:
    return settings.load({"STEPKUBE_HOME": str(home), **environ}, {}, Path(os.devnull))


def lock(chosen: Settings, version: str, requested: str) -> Checkout:
    taken = Checkout(Path("/"), version, "0" * 40, "test", requested)
    files.write_json(chosen.paths.lock, {**asdict(taken), "tree": "/"})
    return taken


@pytest.mark.parametrize("task", ["up", "checkout", "build:kubelet", "start:etcd"])
def test_a_pinned_release_is_judged_before_anything_is_fetched(tmp_path: Path, task: str) -> None:
    done = doit(tmp_path, task, STEPKUBE_VERSION="v1.20.2", ENABLE_TRACING="true")
    assert done.returncode == 1
    assert "the environment (ENABLE_TRACING): Kubernetes 1.20 does not know ENABLE_TRACING" in (
        done.stderr
    )
    assert "1.25 and newer do" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [name for name in ("src", "bin", "toolchain") if (tmp_path / name).exists()]


@pytest.mark.parametrize("version", ["auto", "master"])
def test_what_is_wrong_in_every_version_is_judged_without_one(tmp_path: Path, version: str) -> None:
    def judged(**environ: str) -> Done:
        return doit(tmp_path, "check", STEPKUBE_VERSION=version, **environ)

    wrong = judged(FEATURE_GATES="A", ETCD_PORT="6443")
    assert wrong.returncode == 1
    assert "ETCD_PORT" not in wrong.stderr, "ports are checked when the rest is right"
    assert "(FEATURE_GATES): 'A'" in wrong.stderr
    assert "(ETCD_PORT): port 6443" in judged(ETCD_PORT="6443").stderr
    # these are wrong in some versions, and right in others
    for right in (
        {"PSP_ADMISSION": "true"},
        {"ENABLE_TRACING": "true"},
        {"KUBE_PROXY_MODE": "nftables"},
        {},
    ):
        assert judged(**right).returncode == 0, right


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FEATURE_GATES", "A=true,A=false"),
        ("EVICTION_HARD", "memory.available<1Gi,memory.available<2Gi"),
    ],
)
def test_a_name_that_is_set_twice_is_refused(tmp_path: Path, variable: str, value: str) -> None:
    (failure,) = check.problems(load(tmp_path, **{variable: value}), Minor(1, 20))
    assert variable in failure.message and "twice" in failure.message


@pytest.mark.parametrize("name", ["--help", "a..b", "a b", "a\nb", "x:y", "v1.20.2.lock"])
def test_a_version_that_git_cannot_have_is_refused(tmp_path: Path, name: str) -> None:
    (failure,) = check.problems(load(tmp_path, STEPKUBE_VERSION=name), Minor(1, 20))
    assert "STEPKUBE_VERSION" in failure.message and repr(name) in failure.message


@pytest.mark.parametrize("name", ["auto", "v1.20.2", "1.20", "release-1.30", "topic/x_y", "abc123"])
def test_a_version_can_be_a_release_a_branch_or_a_commit(tmp_path: Path, name: str) -> None:
    assert list(check.problems(load(tmp_path, STEPKUBE_VERSION=name), Minor(1, 20))) == []


def test_a_grace_period_belongs_to_a_soft_threshold(tmp_path: Path) -> None:
    def messages(period: str) -> list[str]:
        key = "STEPKUBE_KUBELET_EVICTION_SOFT_GRACE_PERIOD"
        made = load(tmp_path, EVICTION_SOFT="memory.available<1Gi", **{key: period})
        return [str(failure) for failure in check.problems(made, Minor(1, 20))]

    assert messages("2m") == messages("memory.available=2m") == []
    assert any("nodefs.available" in message for message in messages("nodefs.available=2m"))
    assert any("soon" in message for message in messages("memory.available=soon"))


def test_what_was_checked_out_tells_the_version_of_a_branch(tmp_path: Path) -> None:
    chosen = load(tmp_path, STEPKUBE_VERSION="master")
    assert check.minor(chosen) is None
    lock(chosen, "v1.35.0-alpha.0", "master")
    assert check.minor(chosen) == (1, 35)
    assert check.minor(load(tmp_path, STEPKUBE_VERSION="other")) is None
    assert check.minor(load(tmp_path, STEPKUBE_VERSION="1.20")) == (1, 20)


def test_a_version_that_only_the_checkout_tells_is_judged_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = load(tmp_path, PSP_ADMISSION="true")
    monkeypatch.setattr(checkout, "check_out", lambda _: lock(chosen, "v1.30.1", "auto"))
    failed = checkout.make(chosen)
    assert "PSP_ADMISSION; 1.10 to 1.24 do" in str(failed)
    assert check.minor(chosen) == (1, 30), "and is known from then on"


def test_no_component_is_started_with_settings_that_do_not_suit(tmp_path: Path) -> None:
    chosen = load(tmp_path, PSP_ADMISSION="true")
    lock(chosen, "v1.30.1", "auto")
    assert "PSP_ADMISSION" in str(cluster.reconcile(chosen, "etcd"))
    assert not list(chosen.paths.run.glob("*.json"))


def test_config_marks_what_the_version_does_not_know(tmp_path: Path) -> None:
    given = {"LEADER_ELECT": "true", "NODE_PORT_RANGE": "31000-31009"}
    done = doit(tmp_path, "config", STEPKUBE_VERSION="v1.20.2", **given)
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "NOT KNOWN" in lines["start.leader_elect"]
    assert "1.29 and newer" in lines["start.leader_elect"]
    assert "NOT KNOWN" not in lines["api.node_port_range"]


def test_explain_says_what_the_version_does_not_know(tmp_path: Path) -> None:
    chosen = load(tmp_path, STEPKUBE_VERSION="v1.20.2", LEADER_ELECT="true")
    lock(chosen, "v1.20.2", "v1.20.2")
    assert "1.20 does not know LEADER_ELECT" in explain.explain_component(chosen, "kube-proxy").note


def test_what_does_not_build_runs_whatever_the_settings_are(tmp_path: Path) -> None:
    given = {"STEPKUBE_VERSION": "v1.36.0", "PSP_ADMISSION": "true"}
    for words in (["down"], ["status"], ["list"], ["config"]):
        assert doit(tmp_path, *words, **given).returncode == 0


def test_a_removed_admission_plugin_is_found_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"ENABLE_ADMISSION_PLUGINS.* 1\.20 .*PodPreset"):
        check.require(load(tmp_path, ENABLE_ADMISSION_PLUGINS="PodPreset"), Minor(1, 20))


def test_a_kubectl_that_is_not_there_is_found_before_the_build(tmp_path: Path) -> None:
    (said,) = check.problems(load(tmp_path, KUBECTL="/no/such"), Minor(1, 20))
    assert "the environment (KUBECTL): /no/such" in str(said)
    assert not check.problems(load(tmp_path, KUBECTL=sys.executable), Minor(1, 20))


def test_a_kubelet_that_needs_c_cannot_be_built_without(tmp_path: Path) -> None:
    never = load(tmp_path, STEPKUBE_BUILD_CGO="never")
    (failure,) = check.problems(never, Minor(1, 19))
    assert "STEPKUBE_BUILD_CGO" in failure.message and "1.20" in failure.hint
    assert not check.problems(never, Minor(1, 20))
    assert not check.problems(load(tmp_path, STEPKUBE_BUILD_CGO="always"), Minor(1, 19))


def test_a_runtime_of_the_user_needs_no_containerd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        shutil,
        "which",
        lambda name: None if name in prerequisites.RUNTIME_PROGRAMS else f"/bin/{name}",
    )
    assert prerequisites.missing(load(Path("/"))) == ["containerd", "runc"]
    for own in ({"CONTAINER_RUNTIME": "docker"}, {"CONTAINER_RUNTIME_ENDPOINT": "unix:///x"}):
        assert prerequisites.missing(load(Path("/"), **own)) == []
        assert prerequisites.node_components(load(Path("/"), **own)) == ["kubelet", "kube-proxy"]


def test_a_workspace_that_make_cannot_handle_is_refused_at_once(tmp_path: Path) -> None:
    def check(home: str, version: str, **environ: str) -> Done:
        return doit(tmp_path / home, "check", STEPKUBE_VERSION=version, **environ)

    for home in ("with blank", "a$b", "a#b", "it's"):
        refused = check(home, "v1.20.2")
        assert refused.returncode == 1, home
        assert "STEPKUBE_HOME" in refused.stderr and "make" in refused.stderr
        assert check(home, "v1.24.0").returncode == 0
    assert check("wörk-1.0_x+y,z@=", "v1.20.2").returncode == 1, "make splits at ="
    assert check("wörk-1.0_x+y,z@", "v1.20.2").returncode == 0
    assert "STEPKUBE_HOME" in check("a:b", "v1.30.0").stderr
    tree = tmp_path / "tree"
    files.write(tree / "pkg/generated/openapi/zz_generated.openapi.go", "")
    done = check("with blank", "v1.20.2", STEPKUBE_ORIGIN_PATH=str(tree))
    assert done.returncode == 0, "the tree has its generated code"
    newline = str(tmp_path / "a\nb")
    assert "ORIGIN_PATH" in check("home", "v1.30.0", STEPKUBE_ORIGIN_PATH=newline).stderr
