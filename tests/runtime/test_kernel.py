import platform
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.components import kube_proxy
from tasks.components.base import Context
from tasks.core.errors import Failure
from tasks.kubernetes.facts import Minor
from tasks.runtime import accepted_flags, kernel, processes
from tasks.system import files
from tests.support.builders import context

RELEASE = Path("lib", "modules", platform.release())


def write(root: Path, what: dict[str, str]) -> None:
    for name, text in what.items():
        files.write(root / name, text)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({}, "this kernel has no module ip_vs"),
        ({"proc/modules": "ip_vs 1 0 - Live\nip_vs_rr 1 0 - Live\n"}, ""),
        ({"sys/module/ip_vs/x": "", "sys/module/ip_vs_rr/x": ""}, ""),
        ({"proc/net/ip_vs": "", f"{RELEASE}/modules.builtin": "kernel/net/ip_vs_rr.ko\n"}, ""),
        ({"proc/net/ip_vs": ""}, "this kernel has no module ip_vs_rr"),
        ({"proc/modules": "ip_vs_x 1 0 - Live\n"}, "this kernel has no module ip_vs"),
        (
            {f"{RELEASE}/modules.dep": "net/ip_vs.ko.xz:\nnet/ip_vs_rr.ko.xz: net/ip_vs.ko.xz\n"},
            "the kernel module ip_vs is not loaded",
        ),
    ],
)
def test_ipvs_modules_are_searched_and_never_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    write(tmp_path, what)
    assert kernel.why_no_ipvs(tmp_path).startswith(expected)
    assert bool(kernel.why_no_ipvs(tmp_path)) == bool(expected)


def test_ipvs_needs_ipset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    write(tmp_path, {"sys/module/ip_vs/x": "", "sys/module/ip_vs_rr/x": ""})
    assert "ipset is not installed" in kernel.why_no_ipvs(tmp_path)


def text(made: Context, *, ipvs: bool) -> str:
    made = replace(made, host_answers={"ipvs": "" if ipvs else "none"})
    return next(iter(kube_proxy.build(made).files.values()))


def test_without_ipvs_iptables_is_used() -> None:
    made = context("kube-proxy", "1.20", proxy__mode="ipvs")
    assert 'mode: "ipvs"' in text(made, ipvs=True)
    assert 'mode: "iptables"' in text(made, ipvs=False)
    other = context("kube-proxy", "1.20", proxy__mode="userspace")
    assert 'mode: "userspace"' in text(other, ipvs=False)


@pytest.mark.parametrize(
    ("version", "options", "refusal"),
    [
        ("1.20", {"proxy__mode": "nftables"}, r"Kubernetes 1\.20 has no mode nftables"),
        ("1.28", {"proxy__mode": "nftables"}, "has no mode nftables"),
        ("1.29", {"proxy__mode": "nftables"}, "feature gate NFTablesProxyMode"),
        ("1.30", {"proxy__mode": "nftables", "start__feature_gates": "NFTablesProxyMode=true"}, ""),
        ("1.30", {"proxy__mode": "nftables", "start__feature_gates": "AllAlpha=true"}, ""),
        ("1.31", {"proxy__mode": "nftables"}, ""),
        ("1.26", {"proxy__mode": "userspace"}, "has no mode userspace"),
        ("1.10", {"proxy__mode": "ipvs"}, ""),
    ],
)
def test_a_mode_must_exist_in_the_version(
    version: str, options: dict[str, str], refusal: str
) -> None:
    made = context("kube-proxy", version, **options)
    if not refusal:
        assert f'mode: "{options["proxy__mode"]}"' in text(made, ipvs=True)
        return
    with pytest.raises(Failure, match=refusal) as caught:
        kube_proxy.build(made)
    assert "proxy.mode" in caught.value.message
    if "gate" in refusal:
        assert "NFTablesProxyMode=true" in caught.value.hint


def test_a_desired_component_uses_the_probe_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "why_no_ipvs", lambda: "none")
    made = context("kube-proxy", "1.20", proxy__mode="ipvs")
    monkeypatch.setattr(processes, "load_checkout", lambda _: SimpleNamespace(minor=Minor(1, 20)))
    monkeypatch.setattr(processes, "binary", lambda *_: Path("/x"))
    monkeypatch.setattr(accepted_flags, "with_accepted_flags", lambda _, component: component)
    files_ = processes.desired_component(made.settings, "kube-proxy").files
    assert 'mode: "iptables"' in next(iter(files_.values()))
