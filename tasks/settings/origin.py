"""Settings of the source tree, the mirrors and the build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import Items, Location, Pair, Repository, UserPath, option

Order = Literal["auto", "path", "bundle", "tarball", "git", "apt", "goproxy"]

Cgo = Literal["auto", "always", "never"]

GUESS = "guess"
"""Value of build.output: use the newest binaries in _output of the tree, like upstream's -O."""


@dataclass(frozen=True)
class Origin:
    """Origins of the Kubernetes source."""

    order: Order = option(
        "auto",
        "origin to use; auto means path if it is set, else the first that works of bundle,"
        " tarball, git, apt, goproxy",
    )
    path: UserPath = option("", "existing worktree, which is used in place")
    bundle: UserPath = option(
        "", "file from `doit bundle`, which is verified and imported", "STEPKUBE_BUNDLE"
    )
    tarball: Location = option("", "source archive: a local file or an http(s) URL")
    tarball_sha256: str = option(
        "",
        "SHA-256 of the source archive; empty means the .sha256 or .sha512 file next to it, which"
        " a URL must have",
    )
    git: tuple[Repository, ...] = option(
        ("https://github.com/kubernetes/kubernetes.git",),
        "git URLs or local repositories, tried in order",
    )
    apt: str = option("kubernetes", "name of the distribution's source package; empty for none")
    timeout: float = option(
        5.0, "seconds to wait for the answer of a git origin before the next one is tried"
    )


@dataclass(frozen=True)
class Mirror:
    """Mirrors for downloads; every download is verified."""

    goproxy: Items = option("https://proxy.golang.org,direct", "Go module proxies", "GOPROXY")
    gosumdb: str = option(
        "sum.golang.org", "Go checksum database; off disables the check", "GOSUMDB"
    )
    go: tuple[str, ...] = option(
        ("https://go.dev/dl",), "URLs of folders with Go release archives, tried in order"
    )
    cni: tuple[str, ...] = option(
        ("https://github.com/containernetworking/plugins/releases/download",),
        "URLs of folders with release archives of CNI plugins, used if a digest of one is set",
    )
    apt: str = option("", "Debian archive; empty means the one that the system uses")
    apt_archive: tuple[str, ...] = option(
        ("bullseye", "bookworm"), "more Debian suites in which older Go releases are searched"
    )
    rpm: str = option("", "host that replaces the host of the RPM distribution, for `doit mirror`")
    epel: str = option("", "host that replaces the host of EPEL, for `doit mirror`")
    git: tuple[Repository, ...] = option((), "git URLs that are tried before those of origin.git")
    images: tuple[Pair, ...] = option(
        (),
        "mirrors of image registries: mirror.example.org/k8s for all,"
        " registry.k8s.io=mirror.example.org/k8s for one",
    )
    ca_bundle: UserPath = option("", "file with additional CA certificates", "SSL_CERT_FILE")
    timeout: float = option(30.0, "seconds without data after which a download fails")


@dataclass(frozen=True)
class Build:
    """The build of the modules."""

    jobs: int = option(
        0, "number of parallel compilations; 0 means a number for the cores and memory"
    )
    cgo: Cgo = option(
        "auto",
        "link C code into the modules that upstream's make links with it, such as the kubelet; auto"
        " means only up to 1.19",
    )
    version_stamp: str = option("", "version for the binaries if the tree does not contain it")
    version_file: UserPath = option(
        "",
        "file with KUBE_GIT_...='...' lines, which are used unchanged in the binaries",
        "KUBE_GIT_VERSION_FILE",
    )
    output: UserPath = option(
        "",
        "folder of existing binaries to use instead of a build; guess means the newest in _output"
        " of the tree",
        "GO_OUT",
        word=GUESS,
    )
    keep: int = option(
        20, "gigabytes of built binaries to keep; the oldest unused ones beyond this are removed"
    )
