"""The sandbox: the namespaces of the node, which protect the host from changes.

The sandbox is an init process (PID 1 of its namespaces) and a forwarder between the loopback ports
of host and sandbox, so that the host needs no network link. When init stops, the kernel kills
every process in the sandbox.
"""

from __future__ import annotations

import glob
import ipaddress
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tasks.components import forwarding
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.runtime import port_forwards, sandbox_ipv6
from tasks.settings import addresses, ip_families, templates
from tasks.settings.load import Settings
from tasks.system import exits, files, process, procfs, signals
from tasks.system.process import Record
from tasks.system.run import program

INIT = "sandbox"
"""The name of the sandbox's init process: of its record, log and mark."""
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
    """Start a component in the sandbox; create the sandbox first if it does not exist.

    Returns the record of the component itself, not of the nsenter(1) that waits for it. Raises
    Failure with the end of the log when the component does not start.
    """
    init = ensure(settings)
    port_forwards.expose_ports(settings, init, component)
    cwd.mkdir(parents=True, exist_ok=True)
    enter = [program("nsenter"), f"--target={init.identity.pid}", *NAMESPACES, f"--wd={cwd}"]
    written = files.size(log)
    outer = process.spawn(
        component,
        [*enter, "--", *argv],
        env,
        cwd=cwd,
        log=log,
        fingerprint=fingerprint,
        umask=COMPONENTS[component].umask,
        exit_file=exits.path(settings.paths.run, component),
    )
    started = process.wait_for_program(
        outer, tuple(argv), lambda: procfs.children(outer.identity.pid), 30.0
    )
    if started is None:
        words = process.tail(log, start=written)
        raise Failure(f"{component} did not start in the sandbox\n{words}", f"read {log}")
    return started


def ensure(settings: Settings) -> Record:
    """Return the record of the sandbox's init; start the sandbox and its forwarder if needed."""
    run = settings.paths.run
    with files.locked(run / f"{INIT}.lock"):
        init = process.load(run, INIT)
        if init is None or not init.alive():
            stop(settings)
            init = _start(settings)
        signals.resume(init.identity)
        sandbox_ipv6.ensure(settings, init)
        port_forwards.ensure_main(settings, init)
    return init


def broken(settings: Settings, name: str) -> Mapping[str, str]:
    """Return what a component needs of the sandbox and does not work, each with its problem.

    An init process that a signal stopped does not reap the processes of the pods.
    """
    init = process.load(settings.paths.run, INIT)
    stopped = init is not None and init.alive() and procfs.is_stopped(init.identity.pid)
    problems = {INIT: "was stopped by a signal"} if stopped else {}
    return {**problems, **port_forwards.broken(settings, name)}


def repair(settings: Settings, name: str) -> None:
    """Resume the sandbox; start the forwarders of a component in it that do not work."""
    port_forwards.expose_ports(settings, ensure(settings), name)


def stop(settings: Settings) -> bool:
    """Stop the sandbox with every process in it; return whether it ran."""
    ran = False
    forwarders = map(port_forwards.forwarder_name, _component_names())
    for name in (*forwarders, port_forwards.MAIN, INIT):
        record = process.load(settings.paths.run, name)
        marked = process.marked(process.mark(name, settings.paths.instance))
        for identity in [*([record.identity] if record else []), *marked]:
            alive = identity.alive()
            signals.stop(identity, signals.KILL if name == INIT else signals.LADDER)
            ran = ran or alive
        port_forwards.forget(settings.paths.run, name)
    return ran


def stop_if_empty(settings: Settings) -> None:
    """Stop the sandbox and remove its control groups, unless a component runs in it."""
    records = (process.load(settings.paths.run, name) for name in _component_names())
    if any(record and record.alive() for record in records):
        return
    if stop(settings):
        remove_cgroups(settings)


def _component_names() -> list[str]:
    return [spec.name for spec in COMPONENTS.values() if spec.sandboxed]


def cgroup(settings: Settings) -> str:
    """Return the control group that contains all control groups of the node."""
    return settings.kubelet.cgroup_root.strip("/") or f"stepkube-{settings.name}"


def remove_cgroups(settings: Settings) -> None:
    """Remove the control groups that outlive the sandbox, the deepest first.

    The one in kubelet.cgroup_root stays, because it may have existed before.
    """
    for top in (*CGROUPS.glob(f"*/{glob.escape(cgroup(settings))}"), CGROUPS / cgroup(settings)):
        for folder, _, _ in os.walk(top, topdown=False):
            if settings.kubelet.cgroup_root and folder == str(top):
                continue
            with suppress(OSError):
                Path(folder).rmdir()


def _start(settings: Settings) -> Record:
    """Start PID 1 of the namespaces, wait until it has set them up, and return its record."""
    paths = settings.paths
    ready = paths.run / "sandbox.ready"
    ready.unlink(missing_ok=True)
    script = paths.config / "sandbox.sh"
    text = templates.render(
        "sandbox.sh.j2",
        home=paths.home,
        ready=ready,
        pod_logs=paths.logs / "pods",
        address=ip_families.node_addresses(settings)[0],
        gateway=_gateway(settings),
        api=forwarding.non_loopback_api_host(settings),
        api_is_address=addresses.is_address(forwarding.non_loopback_api_host(settings)),
        hostname=f"stepkube-{settings.name}",
        cgroup=cgroup(settings),
    )
    files.write_if_changed(script, text, 0o700)
    unshare = [program("unshare"), *NAMESPACES, "--fork", "--kill-child"]
    env = process.environment(INIT, paths.instance, {})
    log = paths.log(INIT)
    outer = process.spawn(
        INIT, [*unshare, "bash", str(script)], env, cwd=paths.run, log=log, fingerprint=""
    )
    if not process.until(ready.exists, outer.identity.alive, 60.0, every=0.05):
        signals.stop(outer.identity)
        raise Failure(
            f"the sandbox of the node did not start\n{process.tail(log)}",
            "set node.sandbox: false to run the node on the host, or set"
            " START_MODE=nokubelet,nokubeproxy to run no node",
        )
    pid = procfs.children(outer.identity.pid)[0]
    identity = procfs.identify(pid)
    if identity is None:
        raise Failure(f"the sandbox exited immediately\n{process.tail(log)}", f"read {log}")
    record = replace(outer, identity=identity, exe=procfs.executable(pid) or outer.exe)
    process.save(paths.run, record)
    return record


def forward_port(settings: Settings, name: str, port: int) -> Record:
    """Start a separate forwarder, called `name`, for a loopback port; return its record."""
    return port_forwards.start_forwarder(
        settings, ensure(settings), name, [forwarding.inward_mapping(port)]
    )


def _gateway(settings: Settings) -> str:
    """Return an unused address of the node's network, for the default route."""
    address = ip_families.node_addresses(settings)[0]
    network = ipaddress.ip_network(f"{address}/24", strict=False)
    return str(network.broadcast_address - 1)
