"""The node's own namespaces: nothing on the host changes, and ending one process ends it all.

The sandbox is a process, PID 1 of its namespaces, and a relay that connects the loopback ports of
host and sandbox, so that no network link is made on the host.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tasks import files, ports, process, templates
from tasks.components import containerd
from tasks.components.kubelet import TRACES
from tasks.failure import Failure
from tasks.process import Record
from tasks.run import program
from tasks.settings import Settings

HOLDER, RELAY = "sandbox", "sandbox-relay"
INSIDE = ("containerd", "kubelet", "kube-proxy")
CGROUPS = Path("/sys/fs/cgroup")
NAMESPACES = ("--pid", "--mount", "--net", "--ipc", "--uts")


def holds(settings: Settings, name: str) -> bool:
    """Tell whether a component runs inside the sandbox."""
    return settings.node.sandbox and name in INSIDE


def spawn(
    settings: Settings,
    name: str,
    argv: tuple[str, ...],
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
    cwd.mkdir(parents=True, exist_ok=True)
    enter = [program("nsenter"), f"--target={holder.identity.pid}", *NAMESPACES, f"--wd={cwd}"]
    outer = process.spawn(name, [*enter, "--", *argv], env, cwd=cwd, log=log, fingerprint="")

    def inner() -> bool:
        return any(process.argv_of(pid) == argv for pid in process.children(outer.identity.pid))

    if not process.until(inner, outer.identity.alive, 10.0, every=0.02):
        raise Failure(f"{name} did not start in the sandbox\n{process.tail(log)}", f"read {log}")
    pid = process.children(outer.identity.pid)[0]
    identity = process.identify(pid)
    if identity is None:
        raise Failure(f"{name} ended at once\n{process.tail(log)}", f"read {log}")
    exe = process.executable(pid) or argv[0]
    return replace(
        outer, identity=identity, argv=argv, exe=exe, cwd=str(cwd), fingerprint=fingerprint
    )


def ensure(settings: Settings) -> Record:
    """Return the running sandbox, making it and its relay when they are not there."""
    run = settings.paths.run
    with files.locked(run / f"{HOLDER}.lock"):
        holder = process.load(run, HOLDER)
        if holder is None or not holder.alive():
            end(settings)
            holder = _make(settings)
        relay = process.load(run, RELAY)
        if relay is not None and relay.argv != _command(holder, mappings(settings)):
            process.stop(relay.identity)  # node.forward has other ports now
        if relay is None or not relay.alive():
            process.save(run, _relay(settings, holder, RELAY, mappings(settings)))
    return holder


def end(settings: Settings) -> bool:
    """End the sandbox with everything in it; True when there was one."""
    ended = False
    for name in (RELAY, HOLDER):
        record = process.load(settings.paths.run, name)
        marked = process.marked(process.mark(name, settings.paths.instance))
        for identity in [*([record.identity] if record else []), *marked]:
            alive = identity.alive()
            process.stop(identity, process.KILL if name == HOLDER else process.LADDER)
            ended = ended or alive
        process.forget(settings.paths.run, name)
    return ended


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
    if not process.until(ready.exists, outer.identity.alive, 20.0, every=0.05):
        process.stop(outer.identity)
        raise Failure(
            f"the sandbox for the node could not be made\n{process.tail(log)}",
            "set node.sandbox: false to run the node on the host, or START_MODE=nokubelet",
        )
    pid = process.children(outer.identity.pid)[0]
    identity = process.identify(pid)
    if identity is None:
        raise Failure(f"the sandbox ended at once\n{process.tail(log)}", f"read {log}")
    record = replace(outer, identity=identity, exe=process.executable(pid) or outer.exe)
    process.save(paths.run, record)
    return record


def forward(settings: Settings, name: str, port: int) -> Record:
    """Start a relay of its own for one more port, from the host's loopback into the sandbox."""
    return _relay(settings, ensure(settings), name, [_inward(port)])


def mappings(settings: Settings) -> list[str]:
    """Return what relay.py connects: the node's own ports, the API, and what the user forwards.

    Forwarded ports lead to the node's address: not every kube-proxy serves NodePorts on loopback.
    """
    kubelet, api = settings.kubelet, settings.api.secure_port
    own = [kubelet.port, kubelet.healthz_port, settings.proxy.healthz_port]
    own += [kubelet.read_only_port] if kubelet.read_only_port else []
    found = [*map(_inward, own), f"out:0.0.0.0:{api}:127.0.0.1:{api}"]
    if kubelet.tracing:
        found.append(f"out:127.0.0.1:{TRACES}:127.0.0.1:{TRACES}")
    if settings.node.pull:
        found.append(f"proxy:127.0.0.1:{containerd.PROXY_PORT}")
    for words in settings.node.forward:
        host, _, inside = words.partition(":")
        for number in (host, inside or host):
            if not number.isdigit() or not 0 < int(number) < 65536:
                source = settings.sources.get("node.forward", "node.forward")
                raise Failure(
                    f"{source}: {words!r} is not a port", "for example 30080, or 8080:30080"
                )
        found.append(f"in:127.0.0.1:{host}:{settings.node.address}:{inside or host}")
    return found


def _proxies() -> dict[str, str]:
    """Return how the host reaches the world."""
    wanted = ("http_proxy", "https_proxy", "no_proxy")
    return {name: value for name, value in os.environ.items() if name.lower() in wanted}


def _inward(port: int) -> str:
    return f"in:127.0.0.1:{port}:127.0.0.1:{port}"


def _command(holder: Record, wanted: list[str]) -> tuple[str, ...]:
    script = str(Path(__file__).with_name("relay.py"))
    return (sys.executable, script, f"/proc/{holder.identity.pid}/ns/net", *wanted)


def _relay(settings: Settings, holder: Record, name: str, wanted: list[str]) -> Record:
    paths = settings.paths
    inward = [int(words.split(":")[2]) for words in wanted if words.startswith("in:")]
    ports.require_free("the relay to the node", inward)
    env = process.environment(name, paths.instance, _proxies() if name == RELAY else {})
    log = paths.log(name)
    argv = _command(holder, wanted)
    record = process.spawn(name, argv, env, cwd=paths.run, log=log, fingerprint="")
    up = process.until(
        lambda: all(ports.owner(port) is not None for port in inward), record.identity.alive, 10.0
    )
    if not up:
        raise Failure(f"the relay to the node did not start\n{process.tail(log)}", f"read {log}")
    return record


def _gateway(settings: Settings) -> str:
    """Return another address of the node's network; nobody answers there."""
    network = ipaddress.ip_network(f"{settings.node.address}/24", strict=False)
    return str(network.broadcast_address - 1)
