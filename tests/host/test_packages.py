"""Packages and the firewall, with fake package managers."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.host import file_changes, install, packages
from tasks.settings import load
from tests.support.hostfiles import SET, UNSET, Doit

FAKES = {
    "apt-get": 'case $1 in install) shift 3; printf "%s\\n" "$@" >>$STATE;; esac',
    "dpkg-query": 'while read -r name; do printf "installed\\t%s, \\n" $name; done <$STATE',
    "dnf": "shift 3; for name; do [ $name = runc ] || echo $name >>$STATE; done",
    "rpm": "while read -r name; do [ $name != $3 ] || exit 0; done <$STATE; exit 1",
    "systemctl": "case $1 in enable) >$STATE.up;; *) [ -e $STATE.up ];; esac",
    "firewall-cmd": "[ $1 != --state ] || echo running",
}


@pytest.fixture(name="pretend")
def fake_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Callable[[], list[str]]]:
    """Return a function that puts only the named fake programs in PATH; it returns their log."""

    def pretend(*names: str, installed: str = "git\nmake\ngcc\n") -> Callable[[], list[str]]:
        folder, log = tmp_path / "bin", tmp_path / "log"
        folder.mkdir()
        (tmp_path / "installed").write_text(installed)
        for name in names:
            script = folder / name
            script.write_text(f'#!/bin/sh\necho "{name} $*" >>{log}\n{FAKES[name]}\n')
            script.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setenv("STATE", str(tmp_path / "installed"))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        systemd = tmp_path / "systemd"
        if "systemctl" in names:
            systemd.mkdir()
        monkeypatch.setattr(install, "SYSTEMD", systemd)
        release = tmp_path / "os-release"
        release.write_text('ID="rocky"\nVERSION_ID="9.4"\n')
        monkeypatch.setattr(install, "OS_RELEASE", release)
        changing = ("apt-get", "dnf", "systemctl enable", "firewall-cmd --zone")
        return lambda: [
            line
            for line in (log.read_text().splitlines() if log.exists() else [])
            if line.startswith(changing)
        ]

    return pretend


Pretend = Callable[..., Callable[[], list[str]]]


def test_apt_installs_missing_packages_once(doit: Doit, pretend: Pretend, home: Path) -> None:
    ran = pretend("apt-get", "dpkg-query", "systemctl")
    output = doit("packages", "--dry-run")
    assert ran() == [] and "missing  containerd" in output and "present  git" in output
    doit("packages")
    names = (
        "containerd runc containernetworking-plugins iptables nftables conntrack socat iproute2"
        " ethtool libc6-dev"
    )
    assert ran() == [
        "apt-get update",
        f"apt-get install --yes --no-install-recommends {names}",
        "systemctl enable --now containerd",
    ]
    assert f"apt-get install --yes --no-install-recommends {names} " in output, "the exact command"
    doit("packages")
    assert len(ran()) == 3, "a second run does nothing"
    assert file_changes.load(home).packages == tuple(names.split())
    output = doit("clean", "packages")
    assert f"apt-get remove --yes {names} " in output and "disable --now containerd" in output
    assert len(ran()) == 3, "the user removes them"


def test_docker_is_installed_and_started_if_it_is_the_runtime(
    doit: Doit, pretend: Pretend, home: Path
) -> None:
    environ = {"STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull}
    loaded = load.load({**environ, "CONTAINER_RUNTIME": "docker"})
    ran = pretend("apt-get", "dpkg-query", "systemctl")
    doit("packages", settings=loaded)
    _, install_command, enable_command = ran()
    assert " docker.io runc " in install_command and " containerd " not in install_command
    assert enable_command == "systemctl enable --now docker"
    assert "docker.io" in file_changes.load(home).packages
    assert "disable --now docker" in doit("clean", "packages", settings=loaded)


def test_a_runtime_from_another_package_is_not_replaced(pretend: Pretend) -> None:
    pretend("apt-get", "dpkg-query")
    manager, runtime = install.detect_manager(), packages.RUNTIMES["docker"]
    assert "docker.io" in install.packages_to_install(manager, runtime)
    dockerd = Path(os.environ["PATH"]) / "dockerd"
    dockerd.write_text("#!/bin/sh\n")
    dockerd.chmod(0o755)
    assert "docker.io" not in install.packages_to_install(manager, runtime)
    assert "socat" in install.packages_to_install(manager, runtime)


def test_dnf_adds_epel_and_reports_unknown_packages(
    doit: Doit, pretend: Pretend, home: Path
) -> None:
    ran = pretend("dnf", "rpm")
    output = doit("packages", code=1)
    assert "systemd does not run" in output
    first, second = ran()
    epel = "http://epel.test/all/epel/epel-release-latest-9.noarch.rpm"
    assert first == f"dnf install -y --setopt=strict=0 {epel}"
    assert "containerd runc" in second and "conntrack-tools" in second
    assert "no repository of this system has: runc\n" in output
    assert "runc" not in file_changes.load(home).packages


def test_epel_is_a_package_name_or_an_address() -> None:
    assert packages.epel_release('ID="centos"\nVERSION_ID="7"\n', UNSET) == "epel-release"
    assert packages.epel_release("ID=rhel\nVERSION_ID=8.9\n", UNSET).endswith("latest-8.noarch.rpm")
    assert packages.epel_release("ID=fedora\nVERSION_ID=41\n", SET) == ""


def test_a_package_that_another_package_provides_is_not_missing(pretend: Pretend) -> None:
    pretend("apt-get", "dpkg-query", installed="containerd.io,containerd,runc(=1)\n")
    listing = "installed\tcontainerd.io, containerd, runc (= 1.1)\nconfig-files\tsocat, \n"
    script = Path(os.environ["PATH"]) / "dpkg-query"
    script.write_text(f"#!/bin/sh\nprintf '{listing}'\n")
    names = ["containerd", "runc", "socat"]
    assert install.missing(install.detect_manager(), names) == ["socat"]


def test_packages_needs_root_and_prints_the_command(
    doit: Doit, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = pretend("apt-get", "dpkg-query")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    output = doit("packages", code=1)
    assert "sudo apt-get update && sudo apt-get install --yes" in output
    assert ran() == []


def test_a_system_without_a_known_manager_is_reported(pretend: Pretend) -> None:
    pretend()
    with pytest.raises(Failure, match="apt-get, dnf, yum"):
        install.detect_manager()


def test_the_firewall_opens_the_ports_of_delve_and_closes_them(
    doit: Doit, pretend: Pretend, home: Path
) -> None:
    ran = pretend("firewall-cmd")
    assert "39999/tcp" in doit("firewall", "--dry-run") and ran() == []
    doit("firewall", "--port", "39999")
    assert ran() == ["firewall-cmd --zone=public --add-port=39999/tcp"]
    doit("firewall")
    assert len(file_changes.load(home).ports) == 6
    doit("firewall", "--close", "--port", "39997")
    assert ran()[-1] == "firewall-cmd --zone=public --remove-port=39997/tcp"
    doit("clean", "firewall")
    assert sum("--remove-port" in line for line in ran()) == 6
    assert not (home / "host.json").exists()


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_an_invalid_port_is_refused(doit: Doit, pretend: Pretend, port: str) -> None:
    ran = pretend("firewall-cmd")
    output = doit("firewall", f"--port={port}", code=1)
    assert f"--port: {port} is not a port" in output and "fix: use 1 to 65535" in output
    assert ran() == []


def test_without_a_firewall_nothing_is_opened(doit: Doit, pretend: Pretend) -> None:
    pretend()
    output = doit("firewall")
    assert "no port was opened: " in output and "firewalld, ufw, nftables" in output
