"""Settings of the source tree, the mirrors and the build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import Pair, option

Order = Literal["auto", "path", "bundle", "tarball", "git", "apt", "goproxy"]

GUESS = "guess"
"""Value of build.output that looks below the tree's _output, like upstream's -O."""


@dataclass(frozen=True)
class Origin:
    """Where the Kubernetes source comes from."""

    order: Order = option(
        "auto",
        "which origin to use; auto takes path, else tries bundle, tarball, git, apt, goproxy",
    )
    path: str = option("", "a worktree you already have; it is used in place")
    bundle: str = option(
        "", "a file that `doit bundle` made; it is verified and taken over", "STEPKUBE_BUNDLE"
    )
    tarball: str = option("", "a source archive: a local file or an http(s) address")
    tarball_sha256: str = option(
        "",
        "its sha256; empty means the .sha256 or .sha512 beside it, which only a local file"
        " may lack",
    )
    git: tuple[str, ...] = option(
        ("https://github.com/kubernetes/kubernetes.git",),
        "git URLs or local repositories, tried in order",
    )
    apt: str = option("kubernetes", "name of the distribution's source package; empty for none")
    timeout: float = option(5.0, "seconds to wait for a git origin to answer before the next one")


@dataclass(frozen=True)
class Mirror:
    """Where downloads come from; every one of them is verified, whatever the mirror."""

    goproxy: str = option("https://proxy.golang.org,direct", "Go module proxies", "GOPROXY")
    gosumdb: str = option("sum.golang.org", "Go checksum database; off only if you must", "GOSUMDB")
    go: tuple[str, ...] = option(
        ("https://go.dev/dl",), "folders that hold Go release archives, tried in order"
    )
    cni: tuple[str, ...] = option(
        ("https://github.com/containernetworking/plugins/releases/download",),
        "folders that hold release archives of CNI plugins, for when a digest of one is given",
    )
    apt: str = option("", "Debian archive; empty means the one the system uses")
    apt_archive: tuple[str, ...] = option(
        ("bullseye", "bookworm"), "further Debian suites to look for older Go releases in"
    )
    rpm: str = option("", "host that stands in for the RPM distribution's, for mirror")
    epel: str = option("", "host that stands in for EPEL's, for mirror")
    git: tuple[str, ...] = option((), "git URLs that are tried before those of origin.git")
    images: tuple[Pair, ...] = option(
        (),
        "what stands in for image registries: mirror.example.org/k8s for all,"
        " registry.k8s.io=mirror.example.org/k8s for one",
    )
    ca_bundle: str = option("", "file with extra certificate authorities", "SSL_CERT_FILE")
    timeout: float = option(30.0, "seconds without a byte before a download counts as stuck")


@dataclass(frozen=True)
class Build:
    """How the modules are compiled."""

    jobs: int = option(0, "parallel compilations; 0 takes cores and memory into account")
    version_stamp: str = option("", "version to stamp when the tree does not tell its own")
    version_file: str = option(
        "", "file of KUBE_GIT_...='...' lines to stamp as they stand", "KUBE_GIT_VERSION_FILE"
    )
    output: str = option(
        "",
        "folder of binaries made elsewhere, used instead of building; guess looks in the tree",
        "GO_OUT",
    )
    keep: int = option(20, "gigabytes of built binaries to keep before the oldest go")
