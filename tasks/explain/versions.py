"""Which Kubernetes was taken; which Go, etcd, Delve and container runtime that led to, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.checkout.tasks import normal
from tasks.components import containerd
from tasks.core import console
from tasks.core.errors import Failure
from tasks.gomod import release
from tasks.gomod.release import Release, dotted
from tasks.kubernetes import facts, version_stamp
from tasks.kubernetes.releases import is_minor
from tasks.kubernetes.tool_record import Tool, load_tool
from tasks.kubernetes.tree import Checkout, load_checkout
from tasks.settings.load import Settings, current
from tasks.system.run import program, run
from tasks.toolchain import versions

NOT_MADE = "not made yet"
SPEAKS = {(0, 0, 0): ("v1alpha2",), (1, 6, 0): ("v1alpha2", "v1"), (2, 0, 0): ("v1",)}
"""First containerd release, and the versions of the CRI it speaks."""


@dataclass(frozen=True)
class Choice:
    """One step of the resolver: what was asked for and where; what was taken, where from, why."""

    what: str
    asked: str
    asked_in: str
    taken: str
    origin: str
    why: str


def choices(settings: Settings) -> list[Choice]:
    """Return every step of the resolver, as far as it came."""
    checkout = load_checkout(settings.paths.lock)
    go = _made(settings, "go")
    return [
        kubernetes(settings, checkout),
        _choice("Go", *asked_go(checkout.tree), go, why),
        _choice("etcd", *asked_etcd(settings, checkout.tree), _made(settings, "etcd"), why),
        delve(go, _made(settings, "delve")),
        cni(settings),
        runtime(settings, checkout.minor),
    ]


def stamp(checkout: Checkout) -> dict[str, str]:
    """Return what a component built of the tree as it is now says of its own version."""
    words = ("--no-optional-locks", "status", "--porcelain")
    edited = run(*checkout.git, *words, cwd=checkout.tree).stdout.strip()
    stamped = version_stamp.values(version_stamp.stamp_now(checkout), dirty=bool(edited), date="")
    return {name: value for name, value in stamped.items() if value}


def kubernetes(settings: Settings, taken: Checkout) -> Choice:
    """Say how the version that is checked out follows from the one asked for."""
    where = f"version ({settings.sources['version']})"
    if normal(settings.version) != taken.requested:
        where = f"an earlier run; the next one takes {settings.version}"
    why = f"what {taken.requested} is at that origin"
    if taken.requested == "auto":
        why = "what the first origin that can be reached has to offer"
    elif is_minor(taken.requested):
        why = f"the newest of {taken.requested} that this origin has"
    elif taken.requested == taken.version:
        why = "a version that is named is never replaced by another"
    origin = f"{taken.origin}, commit {taken.commit[:12]}"
    return Choice("Kubernetes", taken.requested, where, taken.version, origin, why)


def asked_go(tree: Path) -> tuple[str, str]:
    """Return the Go that a tree asks for, and the file that says so."""
    for name, reader in versions.GO_FILES:
        if (tree / name).is_file() and reader((tree / name).read_text(errors="replace")):
            return versions.required_go(tree), name
    return versions.required_go(tree), ""  # it fails, and says where it looked


def asked_etcd(settings: Settings, tree: Path) -> tuple[str, str]:
    """Return the etcd that the user or else the tree asks for, and where."""
    if settings.etcd.version:
        return settings.etcd.version, f"etcd.version ({settings.sources['etcd.version']})"
    return versions.required_etcd(tree), "hack/lib/etcd.sh"


def why(asked: Release, taken: Release) -> str:
    """Say why this Go or etcd will do; only an etcd may be of a newer line than asked for."""
    if taken == asked:
        return "as asked"
    if taken[:2] == asked[:2]:
        return "a newer patch of the same line"
    newer = "a newer etcd serves older minors"
    return f"{newer}, and none before 3.5 can be built" if asked < (3, 5, 0) else newer


def delve(go: Tool | None, made: Tool | None) -> Choice:
    """Say whether Delve knows the binaries that this Go makes, and may check that it does."""
    if go is None:
        return _choice("Delve", "one that debugs what Go makes", "", made, lambda *_: "")
    line = go.release[:2]

    def knows(_: Release, taken: Release) -> str:
        oldest, newest = versions.delve_range(taken)
        told = "checks this Go itself" if line >= oldest else "is told not to check"
        told = told if line <= newest else f"cannot debug Go {dotted(line)}"
        return f"it knows Go {dotted(oldest)} to {dotted(newest)}, and {told}"

    return _choice("Delve", f"one that debugs what Go {dotted(line)} makes", "", made, knows)


def cni(settings: Settings) -> Choice:
    """Say which CNI plugins a node uses; they depend on no Kubernetes version."""
    installed = containerd.plugins(settings)
    if installed:
        return Choice("CNI plugins", "any", "", "installed", str(installed), "any will do")
    return _choice("CNI plugins", "any", "", _made(settings, "cni"), lambda *_: "the newest")


def runtime(settings: Settings, minor: facts.Minor) -> Choice:
    """Say which container runtime a node uses, and whether the kubelet can talk to it."""
    spoken = facts.minor(minor).cri
    asked, where = f"one that speaks CRI {' or '.join(spoken)}", "templates/facts.yaml (cri)"
    key, named = "node.container_runtime_endpoint", settings.node.container_runtime_endpoint
    if named:
        return Choice("runtime", asked, where, named, f"{key} ({settings.sources[key]})", "named")
    try:
        path = program("containerd")
    except Failure as failure:
        return Choice("containerd", asked, where, "not installed", "", failure.hint)
    said = run(path, "--version", timeout=20).stdout
    found = re.search(r"v?(\d+)\.(\d+)\.(\d+)", said)
    if found is None:
        return Choice("containerd", asked, where, said.strip(), path, "")
    taken = (int(found[1]), int(found[2]), int(found[3]))
    return Choice("containerd", asked, where, dotted(taken), path, why_runtime(spoken, taken))


def why_runtime(spoken: tuple[str, ...], taken: Release) -> str:
    """Say which versions of the CRI a containerd speaks, and whether that is enough."""
    speaks = SPEAKS[max(since for since in SPEAKS if since <= taken)]
    said = f"it speaks {' and '.join(speaks)}"
    return said if set(speaks) & set(spoken) else f"{said}, which this kubelet does not"


def _choice(
    what: str, asked: str, asked_in: str, made: Tool | None, why: Callable[[Release, Release], str]
) -> Choice:
    if made is None:
        return Choice(what, asked, asked_in, NOT_MADE, "", "")
    reason = why(release.release(asked) or (0, 0, 0), made.release)
    return Choice(what, asked, asked_in, made.version, made.origin, reason)


def _made(settings: Settings, name: str) -> Tool | None:
    return load_tool(settings, name) if settings.paths.tool(name).is_file() else None


@console.action
def print_versions(settings: Settings, output: str) -> None:
    """Print what was chosen, from where, and why."""
    checkout = load_checkout(settings.paths.lock)
    found, stamped = choices(settings), stamp(checkout)
    if output == "json":
        tree = {**asdict(checkout), "tree": str(checkout.tree)}
        answer = {"checkout": tree, "stamp": stamped, "choices": [asdict(one) for one in found]}
        console.say(json.dumps(answer, indent=1))
        return
    for one in found:
        asked = " in ".join(filter(None, (one.asked, one.asked_in)))
        console.say(f"{one.what:<12} {one.taken}")
        for title, text in (("asked for", asked), ("from", one.origin), ("because", one.why)):
            if text:
                console.say(f"  {title:<10} {text}")
    console.say(f"{'tree':<12} {checkout.tree}")
    for name, text in stamped.items():
        console.say(f"  {name:<12} {text}")


def task_versions() -> dict[str, Any]:
    """Return the task that prints how one version led to the others."""
    return {
        "doc": "show which Go, etcd, Delve and containerd the Kubernetes version led to, and why",
        "actions": [(print_versions, [current()])],
        "uptodate": [False],
        "params": [console.OUTPUT],
        "meta": console.ANSWER,
    }
