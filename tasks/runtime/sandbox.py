"""The node's own namespaces: nothing on the host changes, and ending one process ends it all.

The sandbox is a process, PID 1 of its namespaces, and a forwarder that connects the loopback ports
of host and sandbox, so that no network link is made on the host.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tasks.components import forwarding
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.runtime import port_forwards
from tasks.settings import addresses, templates
from tasks.settings.load import Settings
from tasks.system import files, process, procfs, signals
from tasks.system.process import Record
from tasks.system.run import program

HOLDER = "sandbox"
CGROUPS = Path("/sys/fs/cgroup")
NAMESPACES = ("--pid", "--mount", "--net", "--ipc", "--uts")


def spawn(
    settings: Settings,
    component: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: Path,
    log: Path,
    fingerprint: str,
) -> Record:
    """Start a component inside the sandbox, which is made first when it is not there.

    The record names the component itself, not the nsenter(1) that waits for it.
    """
    holder = ensure(settings)
    port_forwards.expose_ports(settings, holder, component)
    cwd.mkdir(parents=True, exist_ok=True)
    enter = [program("nsenter"), f"--target={holder.identity.pid}", *NAMESPACES, f"--wd={cwd}"]
    outer = process.spawn(
        component, [*enter, "--", *argv], env, cwd=cwd, log=log, fingerprint=fingerprint
    )
    started = process.wait_for_program(
        outer, tuple(argv), lambda: procfs.children(outer.identity.pid), 30.0
    )
    if started is None:
        raise Failure(
            f"{component} did not start in the sandbox\n{process.tail(log)}", f"read {log}"
        )
    return started


def ensure(settings: Settings) -> Record:
    """Return the running sandbox, making it and its forwarder when they are not there."""
    run = settings.paths.run
    with files.locked(run / f"{HOLDER}.lock"):
        holder = process.load(run, HOLDER)
        if holder is None or not holder.alive():
            end(settings)
            holder = _make(settings)
        port_forwards.ensure_main(settings, holder)
    return holder


def end(settings: Settings) -> bool:
    """End the sandbox with everything in it; True when there was one."""
    ended = False
    forwarders = map(port_forwards.forwarder_name, _inhabitants())
    for name in (*forwarders, port_forwards.MAIN, HOLDER):
        record = process.load(settings.paths.run, name)
        marked = process.marked(process.mark(name, settings.paths.instance))
        for identity in [*([record.identity] if record else []), *marked]:
            alive = identity.alive()
            signals.stop(identity, signals.KILL if name == HOLDER else signals.LADDER)
            ended = ended or alive
        process.forget(settings.paths.run, name)
    return ended


def end_if_empty(settings: Settings) -> None:
    """End the sandbox, unless a component runs in it, and remove the control groups it left."""
    records = (process.load(settings.paths.run, name) for name in _inhabitants())
    if any(record and record.alive() for record in records):
        return
    if end(settings):
        remove_cgroups(settings)


def _inhabitants() -> list[str]:
    return [spec.name for spec in COMPONENTS.values() if spec.sandboxed]


def cgroup(settings: Settings) -> str:
    """Return the control group below which the node keeps all of its own."""
    return settings.kubelet.cgroup_root.strip("/") or f"stepkube-{settings.name}"


def remove_cgroups(settings: Settings) -> None:
    """Remove the control groups that outlive the sandbox, the deepest first.

    One that the user named stays, for it may have been there before.
    """
    for top in (*CGROUPS.glob(f"*/{cgroup(settings)}"), CGROUPS / cgroup(settings)):
        for folder, _, _ in os.walk(top, topdown=False):
            if settings.kubelet.cgroup_root and folder == str(top):
                continue
            with suppress(OSError):
                Path(folder).rmdir()


def _make(settings: Settings) -> Record:
    """Start PID 1 of the namespaces and wait until it has set them up."""
    paths = settings.paths
    ready = paths.run / "sandbox.ready"
    ready.unlink(missing_ok=True)
    script = paths.config / "sandbox.sh"
    text = templates.render(
        "sandbox.sh.j2",
        home=paths.home,
        ready=ready,
        pod_logs=paths.logs / "pods",
        address=settings.node.address,
        gateway=_gateway(settings),
        api=forwarding.non_loopback_api_host(settings),
        api_is_address=addresses.is_address(forwarding.non_loopback_api_host(settings)),
        hostname=f"stepkube-{settings.name}",
        cgroup=cgroup(settings),
    )
    files.write_if_changed(script, text, 0o700)
    unshare = [program("unshare"), *NAMESPACES, "--fork", "--kill-child"]
    env = process.environment(HOLDER, paths.instance, {})
    log = paths.log(HOLDER)
    outer = process.spawn(
        HOLDER, [*unshare, "bash", str(script)], env, cwd=paths.run, log=log, fingerprint=""
    )
    if not process.until(ready.exists, outer.identity.alive, 60.0, every=0.05):
        signals.stop(outer.identity)
        raise Failure(
            f"the sandbox for the node could not be made\n{process.tail(log)}",
            "set node.sandbox: false to run the node on the host, or"
            " START_MODE=nokubelet,nokubeproxy",
        )
    pid = procfs.children(outer.identity.pid)[0]
    identity = procfs.identify(pid)
    if identity is None:
        raise Failure(f"the sandbox ended at once\n{process.tail(log)}", f"read {log}")
    record = replace(outer, identity=identity, exe=procfs.executable(pid) or outer.exe)
    process.save(paths.run, record)
    return record


def forward(settings: Settings, name: str, port: int) -> Record:
    """Start a forwarder of its own for one more port, from the host's loopback into the sandbox."""
    return port_forwards.start_forwarder(
        settings, ensure(settings), name, [forwarding.inward_mapping(port)]
    )


def _gateway(settings: Settings) -> str:
    """Return another address of the node's network; nobody answers there."""
    network = ipaddress.ip_network(f"{settings.node.address}/24", strict=False)
    return str(network.broadcast_address - 1)
