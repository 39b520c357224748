"""What a user writes in stepkube.yaml, as lists and mappings, is taken like its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.components import kubelet_config
from tasks.core.errors import Failure
from tasks.settings import load as settings
from tasks.settings.load import Settings


def load(tmp_path: Path, text: str, **environ: str) -> Settings:
    file = tmp_path / "stepkube.yaml"
    file.write_text(text)
    return settings.load({"STEPKUBE_CONFIG": str(file), **environ})


@pytest.mark.parametrize(
    ("key", "yaml", "expected"),
    [
        ("start.feature_gates", "{AllAlpha: false, A: yes}", "AllAlpha=false,A=true"),
        ("start.feature_gates", "[A=true, {B: False}]", "A=true,B=false"),
        ("start.feature_gates", "'A=true, B=false'", "A=true,B=false"),
        ("api.runtime_config", "{api/all: true, batch/v2alpha1: }", "api/all=true,batch/v2alpha1"),
        ("api.runtime_config", "[batch/v2alpha1, api/ga=false]", "batch/v2alpha1,api/ga=false"),
        ("api.enable_admission_plugins", "[EventRateLimit, PodNodeSelector]", None),
        ("api.disable_admission_plugins", "[LimitRanger]", None),
        ("api.authorization_mode", "[Node, RBAC]", None),
        ("api.cors_allowed_origins", "['//a$', '//b$']", "//a$,//b$"),
        ("api.service_cluster_ip_range", "[10.0.0.0/24, fd00:1::/112]", None),
        ("controller_manager.cluster_cidr", "[10.1.0.0/16, fd00:2::/64]", None),
        ("controller_manager.controllers", "['*', -ttl]", "*,-ttl"),
        ("node.address", "[10.99.0.1, fd99::1]", None),
        ("kubelet.eviction_hard", "{memory.available: 100Mi, nodefs.inodesFree: 1%}", None),
        ("kubelet.eviction_soft", "[memory.available<1Gi]", None),
        ("kubelet.eviction_soft_grace_period", "{memory.available: 2m}", "memory.available=2m"),
        ("kubelet.eviction_soft_grace_period", "30s", "30s"),
        ("kubelet.cpumanager_policy_options", "{full-pcpus-only: true}", "full-pcpus-only=true"),
        ("logs.spec", "{token_controller*: 5, kubelet: 9}", "token_controller*=5,kubelet=9"),
        ("mirror.goproxy", "[https://a.example, direct]", "https://a.example,direct"),
        (
            "kubelet.flags",
            "[--max-pods=5, '--node-labels=a b']",
            "--max-pods=5 '--node-labels=a b'",
        ),
        ("kubelet.flags", "[--max-pods, 5]", "--max-pods 5"),
        (
            "kubelet.flags",
            "{max-pods: 5, fail-swap-on: no, --node-labels: {a: b, c: on}}",
            "--max-pods=5 --fail-swap-on=false --node-labels=a=b,c=true",
        ),
        ("kubelet.flags", "{register-with-taints: [a=b:NoSchedule, c=d:NoExecute]}", None),
        ("cloud_controller_manager.flags", "{v: 4, allocate-node-cidrs: }", None),
        ("node.forward", "[30080, 8080:53]", ("30080", "8080:53")),
        ("node.forward", "30080", ("30080",)),
        ("mirror.images", "{registry.k8s.io: m.example/k8s}", ("registry.k8s.io=m.example/k8s",)),
        ("origin.git", "", ()),
    ],
)
def test_a_list_or_a_mapping_is_the_same_as_its_text(
    tmp_path: Path, key: str, yaml: str, expected: Any
) -> None:
    group, name = key.split(".")
    found = load(tmp_path, f"{group}:\n  {name}: {yaml}\n").value(key)
    same = {
        "kubelet.eviction_hard": "memory.available<100Mi,nodefs.inodesFree<1%",
        "kubelet.flags": "--register-with-taints=a=b:NoSchedule"
        " --register-with-taints=c=d:NoExecute",
        "cloud_controller_manager.flags": "--v=4 --allocate-node-cidrs",
    }
    assert found == (expected if expected is not None else same.get(key, _plain(yaml)))


def _plain(yaml: str) -> str:
    return ",".join(item.strip() for item in yaml.strip("[]").split(","))


@pytest.mark.parametrize(
    ("key", "yaml", "expected"),
    [
        ("version", "0123456", "0123456"),
        ("version", "1.30", "1.30"),
        ("mirror.gosumdb", "off", "off"),
        ("build.version_stamp", "2020-01-02", "2020-01-02"),
        ("kubelet.hostname_override", "no", "no"),
        ("start.leader_elect", "yes", "true"),
        ("start.leader_elect", "False", "false"),
        ("start.daemon", "off", False),
        ("logs.level", "'4'", 4),
        ("origin.timeout", "2.5", 2.5),
        ("api.host_ip", "fd00::1", "fd00::1"),
        ("logs.level", "", 3),
        ("start.daemon", "", True),
        ("origin.apt", "", ""),
    ],
)
def test_a_single_value_is_read_as_it_is_written(
    tmp_path: Path, key: str, yaml: str, expected: Any
) -> None:
    assert load(tmp_path, f"{key}: {yaml}\n").value(key) == expected


def test_a_group_whose_keys_are_comments_is_empty(tmp_path: Path) -> None:
    assert load(tmp_path, "kubelet:\n  # port: 1\nlogs: {level: 4}").logs.level == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("api: {enable_admission_plugins: {A: true}}", ["api.enable_admission_plugins", "list"]),
        ("api: {cors_allowed_origins: ['//a{1,2}$']}", ["api.cors_allowed_origins", "comma"]),
        ("start: {feature_gates: {A: {B: true}}}", ["start.feature_gates", "text"]),
        ("start: {feature_gates: [[A]]}", ["start.feature_gates", "text"]),
        ("api: {host_ip: [127.0.0.1]}", ["api.host_ip", "text"]),
        ("kubelet: {port: [1, 2]}", ["kubelet.port", "whole number"]),
    ],
)
def test_another_form_is_refused_with_its_key(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(Failure) as caught:
        load(tmp_path, text)
    for word in words:
        assert word in caught.value.message


def test_soft_thresholds_have_one_period_or_one_each(tmp_path: Path) -> None:
    soft = "kubelet: {eviction_soft: {memory.available: 1Gi, nodefs.available: 1Gi}"
    one = load(tmp_path, f"{soft}}}")
    assert kubelet_config.grace_periods(one) == {
        "memory.available": "90s",
        "nodefs.available": "90s",
    }
    period = "eviction_soft_grace_period: {memory.available: 2m, nodefs.available: 30s}"
    each = load(tmp_path, f"{soft}, {period}}}")
    assert kubelet_config.grace_periods(each)["nodefs.available"] == "30s"
