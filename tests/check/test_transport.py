"""Which settings are named in a warning: downloads without TLS, or without a checksum database."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.check import transport
from tasks.settings import load
from tests.support.doit import doit


def warned(**environ: str) -> list[str]:
    chosen = load.load({"STEPKUBE_HOME": "/nowhere", **environ}, {}, Path(os.devnull))
    return list(transport.warnings(chosen))


PLAIN = "http://u:p4ss@mirror.example.org/x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOPROXY", f"https://proxy.golang.org,{PLAIN}"),
        ("GOSUMDB", f"sum.golang.org {PLAIN}"),
        ("GOSUMDB", "off"),
        ("STEPKUBE_MIRROR_GO", PLAIN),
        ("STEPKUBE_MIRROR_CNI", PLAIN),
        ("STEPKUBE_MIRROR_GIT", PLAIN),
        ("STEPKUBE_MIRROR_IMAGES", "registry.k8s.io=http://mirror.example.org/k8s"),
        ("STEPKUBE_ORIGIN_GIT", PLAIN),
        ("STEPKUBE_ORIGIN_GIT", "git://mirror.example.org/x"),
        ("STEPKUBE_ORIGIN_TARBALL", f"{PLAIN}.tar.gz"),
    ],
)
def test_what_is_not_protected_is_named(name: str, value: str) -> None:
    (warning,) = warned(**{name: value})
    assert name in warning and "p4ss" not in warning


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"GOPROXY": "http://127.0.0.1:8080", "STEPKUBE_ORIGIN_GIT": "http://localhost/x,/srv/k8s"},
        {"STEPKUBE_MIRROR_GO": "file:///srv/go,http://[::1]/go"},
        {"STEPKUBE_ORIGIN_GIT": "ssh://git@example.org/x,git@example.org:x"},
        {"STEPKUBE_ORIGIN_TARBALL": PLAIN, "STEPKUBE_ORIGIN_TARBALL_SHA256": "0" * 64},
    ],
)
def test_what_is_protected_is_not_named(environ: dict[str, str]) -> None:
    assert warned(**environ) == []


def test_the_warning_is_printed_by_each_run(tmp_path: Path) -> None:
    for _ in range(2):
        done = doit(tmp_path / "home", "check", STEPKUBE_MIRROR_GO="http://mirror.example.org")
        assert done.returncode == 0 and "STEPKUBE_MIRROR_GO" in done.stderr


@pytest.mark.parametrize("key", ["mirror.goproxy", "mirror.git", "origin.git", "origin.tarball"])
@pytest.mark.parametrize("address", ["http://[", "https://[::1/x", "https://host:99999/x"])
def test_an_address_that_has_no_host_is_refused(tmp_path: Path, key: str, address: str) -> None:
    done = doit(tmp_path, "check", f"{key}={address}")
    assert done.returncode == 1, done
    assert key in done.stderr and address in done.stderr and "Traceback" not in done.stderr
