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

from tasks import files, kubeconfig, ports, process, templates
from tasks.failure import Failure
from tasks.process import Record
from tasks.run import program
from tasks.settings import Settings

HOLDER, RELAY = "sandbox", "sandbox-relay"
INSIDE = ("containerd", "kubelet", "kube-proxy")
LISTENING = "0A"
"""State of a listening socket in /proc/PID/net/tcp, see proc(5)."""
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
    _bring_out(settings, holder, name)
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
        if relay is None or not relay.alive() or _api(settings) not in relay.argv:
            if relay is not None:
                process.stop(relay.identity)
            _connect(settings, holder)
    return holder


def leave(settings: Settings, name: str) -> None:
    """Give the host's ports of a component that was stopped back."""
    record = process.load(settings.paths.run, _relay_of(name))
    if record is not None:
        process.stop(record.identity)
        process.forget(settings.paths.run, record.component)


def end(settings: Settings) -> bool:
    """End the sandbox with everything in it; True when there was one."""
    ended = False
    for name in (*map(_relay_of, INSIDE), RELAY, HOLDER):
        record = process.load(settings.paths.run, name)
        marked = process.marked(process.mark(name, settings.paths.instance))
        for identity in [*([record.identity] if record else []), *marked]:
            alive = identity.alive()
            process.stop(identity, ((9, 10.0),) if name == HOLDER else process.LADDER)
            ended = ended or alive
        process.forget(settings.paths.run, name)
    return ended


def cgroup(settings: Settings) -> str:
    """Return the control group below which the node keeps all of its own."""
    return f"stepkube-{settings.name}"


def remove_cgroups(settings: Settings) -> None:
    """Remove the control groups that outlive the sandbox, the deepest first."""
    for top in (*CGROUPS.glob(f"*/{cgroup(settings)}"), CGROUPS / cgroup(settings)):
        for folder, _, _ in os.walk(top, topdown=False):
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
        address=settings.node.address,
        gateway=_gateway(settings),
        api=_other_host(settings),
        api_is_address=kubeconfig.is_address(_other_host(settings)),
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
            "set node.sandbox: false to run the node on the host, or"
            " START_MODE=nokubelet,nokubeproxy",
        )
    pid = process.children(outer.identity.pid)[0]
    identity = process.identify(pid)
    if identity is None:
        raise Failure(f"the sandbox ended at once\n{process.tail(log)}", f"read {log}")
    record = replace(outer, identity=identity, exe=process.executable(pid) or outer.exe)
    process.save(paths.run, record)
    return record


def _connect(settings: Settings, holder: Record) -> None:
    """Start the relay that leads the sandbox to kube-apiserver, and nowhere else."""
    relay = _relay(settings, holder, RELAY, [], [_api(settings)])
    process.save(settings.paths.run, relay)
    port, log = settings.api.secure_port, settings.paths.log(RELAY)
    if not process.until(lambda: _listens(holder, port), relay.identity.alive, 10.0, every=0.02):
        raise Failure(f"the relay from the node did not start\n{process.tail(log)}", f"read {log}")


def _bring_out(settings: Settings, holder: Record, name: str) -> None:
    """Bring the ports of a component in the sandbox to the host's loopback."""
    kubelet, proxy = settings.kubelet, settings.proxy
    inward = {"kubelet": [kubelet.port, kubelet.healthz_port], "kube-proxy": [proxy.healthz_port]}
    relay = process.load(settings.paths.run, _relay_of(name))
    if name in inward and not (relay and relay.alive()):
        made = _relay(settings, holder, _relay_of(name), inward[name], [])
        process.save(settings.paths.run, made)


def _relay_of(name: str) -> str:
    return f"{RELAY}-{name}"


def _api(settings: Settings) -> str:
    """Return the relay's mapping that leads to the instance's own kube-apiserver or another."""
    host = "" if settings.start.control_plane else _other_host(settings)
    return f"out:0.0.0.0:{settings.api.secure_port}" + (f":{host}" if host else "")


def _other_host(settings: Settings) -> str:
    """Return what the kubeconfigs call kube-apiserver, unless that is loopback anyway."""
    host = kubeconfig.host(settings, "api.host")
    loopback = kubeconfig.is_address(host) and ipaddress.ip_address(host).is_loopback
    return "" if loopback or host == "localhost" else host


def _listens(holder: Record, port: int) -> bool:
    """Tell whether anybody in the sandbox listens on a TCP port."""
    table = Path(f"/proc/{holder.identity.pid}/net/tcp").read_text().splitlines()[1:]
    sockets = (line.split() for line in table)
    return any(words[1].endswith(f":{port:04X}") and words[3] == LISTENING for words in sockets)


def forward(settings: Settings, name: str, port: int) -> Record:
    """Start a relay of its own for one more port, from the host's loopback into the sandbox."""
    return _relay(settings, ensure(settings), name, [port], [])


def _relay(
    settings: Settings, holder: Record, name: str, inward: list[int], outward: list[str]
) -> Record:
    paths = settings.paths
    ports.require_free("the relay to the node", inward)
    argv = [
        sys.executable, str(Path(__file__).with_name("relay.py")),
        f"/proc/{holder.identity.pid}/ns/net",
        *(f"in:127.0.0.1:{port}" for port in inward), *outward,
    ]  # fmt: skip
    env = process.environment(name, paths.instance, {})
    log = paths.log(name)
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
