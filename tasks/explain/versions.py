"""Task `versions`: versions of Kubernetes, Go, etcd, Delve and container runtime, with reasons."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.checkout.tasks import normalized_version
from tasks.cli.task import ANSWER, OUTPUT, action
from tasks.components import containerd
from tasks.core import console
from tasks.core.errors import Failure
from tasks.gomod import release
from tasks.gomod.release import Release, dotted
from tasks.kubernetes import facts, version_stamp
from tasks.kubernetes.releases import is_minor
from tasks.kubernetes.tool_record import Tool, load_tool
from tasks.kubernetes.tree import Checkout, load_checkout
from tasks.settings.load import Settings
from tasks.system.run import program, run
from tasks.toolchain import versions

NOT_MADE = "not made yet"
CRI_VERSIONS = {(0, 0, 0): ("v1alpha2",), (1, 6, 0): ("v1alpha2", "v1"), (2, 0, 0): ("v1",)}
"""Versions of the CRI that containerd supports, by first containerd release."""


@dataclass(frozen=True)
class Choice:
    """One version and the reason for it; the fields are JSON keys of `versions`."""

    what: str
    """Name of the program, such as Go."""
    asked: str
    """Requested version."""
    asked_in: str
    """File or setting that requests it."""
    taken: str
    """Version in use."""
    origin: str
    """Where the version in use comes from."""
    why: str
    """Why this version is used for the requested one."""


def choices(settings: Settings) -> list[Choice]:
    """Return the choice of every version; a tool that is not made yet is `not made yet`."""
    checkout = load_checkout(settings.paths.lock)
    go = _load_tool(settings, "go")
    return [
        kubernetes(settings, checkout),
        _choice("Go", *requested_go(checkout.tree), go, why),
        _choice(
            "etcd", *requested_etcd(settings, checkout.tree), _load_tool(settings, "etcd"), why
        ),
        delve(go, _load_tool(settings, "delve")),
        cni(settings),
        runtime(settings, checkout.minor),
    ]


def stamp(checkout: Checkout) -> dict[str, str]:
    """Return the version stamp of a component that is built from the tree now."""
    arguments = ("status", "--porcelain", "--ignore-submodules=all")
    edited = checkout.git.run(*arguments).stdout.strip()
    stamped = version_stamp.values(
        version_stamp.with_new_commits(checkout), dirty=bool(edited), date=""
    )
    return {name: value for name, value in stamped.items() if value}


def kubernetes(settings: Settings, checkout: Checkout) -> Choice:
    """Return why the version in the checkout is used for the requested version."""
    where = f"version ({settings.sources['version']})"
    requested = checkout.requested
    if normalized_version(settings.version) != requested:
        where = f"an earlier run; the next run uses {settings.version}"
    why = f"the branch, tag or commit {requested} of this origin"
    if requested == "auto":
        why = "the newest release of the first origin that can be reached"
    elif is_minor(requested):
        why = f"the newest of {requested} that this origin has"
    elif requested == checkout.version:
        why = "a version that you set is never replaced by another"
    origin = f"{checkout.origin}, commit {checkout.commit[:12]}"
    return Choice("Kubernetes", requested, where, checkout.version, origin, why)


def requested_go(tree: Path) -> tuple[str, str]:
    """Return the Go version that a tree requests, and the file that requests it.

    Raises Failure if no file of the tree does.
    """
    for name, reader in versions.GO_FILES:
        if (tree / name).is_file() and reader((tree / name).read_text(errors="replace")):
            return versions.required_go(tree), name
    return versions.required_go(tree), ""  # raises Failure, which names the files


def requested_etcd(settings: Settings, tree: Path) -> tuple[str, str]:
    """Return the etcd version that the user or else the tree requests, and where."""
    if settings.etcd.version:
        return settings.etcd.version, f"etcd.version ({settings.sources['etcd.version']})"
    return versions.required_etcd(tree), "hack/lib/etcd.sh"


def why(requested: Release, taken: Release) -> str:
    """Return why a Go or etcd is used; only etcd can have a newer minor than requested."""
    if taken == requested:
        return "the requested version"
    if taken[:2] == requested[:2]:
        return "a newer patch of the same minor"
    newer = "a newer etcd works with older Kubernetes minors"
    return f"{newer}, and etcd before 3.5 cannot be built" if requested < (3, 5, 0) else newer


def delve(go: Tool | None, tool: Tool | None) -> Choice:
    """Return whether Delve supports binaries of this Go, and whether its version check is on."""
    if go is None:
        return _choice("Delve", "one that debugs binaries of Go", "", tool, lambda *_: "")
    minor = go.release[:2]

    def reason(_: Release, taken: Release) -> str:
        oldest, newest = versions.delve_range(taken)
        check = "its check of the Go version is on"
        if minor < oldest:
            check = "its check of the Go version is off"
        if minor > newest:
            check = f"cannot debug Go {dotted(minor)}"
        return f"it supports Go {dotted(oldest)} to {dotted(newest)}; {check}"

    return _choice("Delve", f"one that debugs binaries of Go {dotted(minor)}", "", tool, reason)


def cni(settings: Settings) -> Choice:
    """Return which CNI plugins a node uses; every version works with every Kubernetes."""
    installed = containerd.cni_plugins(settings)
    if installed:
        return Choice("CNI plugins", "any", "", "installed", str(installed), "every version works")
    return _choice("CNI plugins", "any", "", _load_tool(settings, "cni"), lambda *_: "the newest")


def runtime(settings: Settings, minor: facts.Minor) -> Choice:
    """Return which container runtime a node uses, and whether the kubelet can use its CRI."""
    kubelet_cri = facts.minor(minor).cri
    requested, where = (
        f"one that supports CRI {' or '.join(kubelet_cri)}",
        "templates/facts.yaml (cri)",
    )
    key, named = "node.container_runtime_endpoint", settings.node.container_runtime_endpoint
    if named:
        return Choice(
            "runtime", requested, where, named, f"{key} ({settings.sources[key]})", "set by you"
        )
    try:
        path = program("containerd")
    except Failure as failure:
        return Choice("containerd", requested, where, "not installed", "", failure.hint)
    output = run(path, "--version", timeout=20).stdout
    found = re.search(r"v?(\d+)\.(\d+)\.(\d+)", output)
    if found is None:
        return Choice("containerd", requested, where, output.strip(), path, "")
    taken = (int(found[1]), int(found[2]), int(found[3]))
    return Choice(
        "containerd", requested, where, dotted(taken), path, why_runtime(kubelet_cri, taken)
    )


def why_runtime(kubelet_cri: tuple[str, ...], taken: Release) -> str:
    """Return which CRI versions a containerd supports, and whether the kubelet supports one."""
    supported = CRI_VERSIONS[max(since for since in CRI_VERSIONS if since <= taken)]
    text = f"it supports CRI {' and '.join(supported)}"
    return text if set(supported) & set(kubelet_cri) else f"{text}, which this kubelet does not"


def _choice(
    what: str,
    requested: str,
    requested_in: str,
    tool: Tool | None,
    why: Callable[[Release, Release], str],
) -> Choice:
    if tool is None:
        return Choice(what, requested, requested_in, NOT_MADE, "", "")
    reason = why(release.release(requested) or (0, 0, 0), tool.release)
    return Choice(what, requested, requested_in, tool.version, tool.origin, reason)


def _load_tool(settings: Settings, name: str) -> Tool | None:
    return load_tool(settings, name) if settings.paths.tool(name).is_file() else None


@action
def print_versions(settings: Settings, output: str) -> None:
    """Print every version with its source and the reason, and the version stamp."""
    checkout = load_checkout(settings.paths.lock)
    found, stamped = choices(settings), stamp(checkout)
    if output == "json":
        tree = {**asdict(checkout), "tree": str(checkout.tree)}
        answer = {
            "checkout": tree,
            "stamp": stamped,
            "choices": [asdict(choice) for choice in found],
        }
        console.say(json.dumps(answer, indent=1))
        return
    for choice in found:
        requested = " in ".join(filter(None, (choice.asked, choice.asked_in)))
        console.say(f"{choice.what:<12} {choice.taken}")
        for title, text in (
            ("asked for", requested),
            ("from", choice.origin),
            ("because", choice.why),
        ):
            if text:
                console.say(f"  {title:<10} {text}")
    console.say(f"{'tree':<12} {checkout.tree}")
    for name, text in stamped.items():
        console.say(f"  {name:<12} {text}")


def task_versions(settings: Settings) -> dict[str, Any]:
    """Return the task that prints all versions and the reasons for them."""
    return {
        "doc": "show which Go, etcd, Delve and containerd the Kubernetes version needs, and why",
        "actions": [(print_versions, [settings])],
        "uptodate": [False],
        "params": [OUTPUT],
        "meta": ANSWER,
    }
