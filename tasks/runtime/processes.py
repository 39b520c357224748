"""From a desired component to a running process, and back: shared by start and debug."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from tasks.build.tasks import load_binary
from tasks.components import kubelet_config
from tasks.components.base import Component, Context
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import container, port_forwards, sandbox
from tasks.runtime.probes import PROBES
from tasks.settings.load import Settings
from tasks.system import files, mounts, ports, process, procfs, signals
from tasks.system.process import Record, Spawn
from tasks.system.procfs import Identity
from tasks.system.run import program, run

_UNKNOWN = re.compile(r"unknown (?:shorthand )?flag: -?-?'?([a-z0-9-]+)")


def desired_component(settings: Settings, name: str) -> Component:
    """Return a component as it should run now, without the flags that its binary refuses."""
    spec = COMPONENTS[name]
    checkout = load_checkout(settings.paths.lock)
    context = Context(settings, checkout.minor, binary(settings, name))
    probed: dict[str, str] = {probe: PROBES[probe].ask(settings) for probe in spec.probes}
    component = spec.build(replace(context, probed=probed))
    return component if spec.module is None else with_accepted_flags(settings, component)


def binary(settings: Settings, name: str) -> Path:
    """Return the program a component runs."""
    spec = COMPONENTS[name]
    own = spec.user_program(settings)
    if own is not None:
        return own
    match spec.program.kind:
        case "module":
            return load_binary(settings, spec.program.name).path
        case "tool":
            return tool_record.load_tool(settings, spec.program.name).bin
        case "installed":
            return Path(program(spec.program.name))


def with_accepted_flags(settings: Settings, component: Component) -> Component:
    """Drop the flags that the binary itself does not know, as its own parser tells.

    Hidden flags are missing from --help, so the whole command line is tried with --help appended.
    """
    memory = settings.paths.run / f"{component.name}.flags"
    asked = files.digest(*component.argv)
    known = files.read_json(memory) or {}
    if known.get("asked") != asked:
        known = {"asked": asked, "refused": _refused(component)}
        files.write_json(memory, known)
        for flag in known["refused"]:
            console.say(f"  {component.name} does not know --{flag}: left out")
    argv = tuple(word for word in component.argv if _flag(word) not in known["refused"])
    return replace(component, argv=argv)


def _refused(component: Component) -> list[str]:
    refused: list[str] = []
    while True:
        argv = [word for word in component.argv if _flag(word) not in refused]
        env = {"HOME": "/", "PATH": os.defpath}
        answer = run(*argv, "--help", check=False, timeout=60, env=env)
        match = _UNKNOWN.search(answer.stderr + answer.stdout) if answer.code else None
        if match is None or match[1] in refused:
            return refused
        refused.append(match[1])


def _flag(word: str) -> str:
    return word.removeprefix("--").partition("=")[0] if word.startswith("--") else ""


def fingerprint(component: Component) -> str:
    """Return the digest of everything a process is started from: argv, env, files, inputs."""
    rendered = [f"{path}={text}" for path, text in sorted(component.files.items())]
    read = [
        f"{path}={files.digest_file(path) if path.is_file() else 'missing'}"
        for path in component.inputs
    ]
    env = [f"{key}={value}" for key, value in sorted(component.env.items())]
    around = [component.image] if component.image else []
    return files.digest(*component.argv, *env, *rendered, *read, *around)


def prepare(component: Component) -> None:
    """Write a component's configuration files, make its folders, remove what does not fit."""
    for path, text in component.state_files.items():
        if path.is_file() and text not in path.read_text():
            console.say(f"  {path} was of another policy: removed")
            path.unlink()
    for folder in component.folders:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, text in component.files.items():
        files.write_if_changed(path, text, 0o600)


def start(settings: Settings, component: Component) -> Record:
    """Start a component that does not run, and wait until it is ready.

    Raises Failure naming the owner of a busy port, or quoting the log of a process that died.
    """
    ports.require_short(component.name, component.sockets)
    ports.require_free(component.name, component.ports)
    prepare(component)
    env = process.environment(component.name, settings.paths.instance, component.env)
    record = spawn(settings, component.name, component.argv, env, fingerprint(component))
    wait_ready(component, record)
    exe = procfs.executable(record.identity.pid)
    if exe is not None and exe != record.exe:  # a script that has become the program itself
        record = replace(record, exe=exe)
        process.save(settings.paths.run, record)
    return record


def spawn(
    settings: Settings, name: str, argv: tuple[str, ...], env: Mapping[str, str], digest: str
) -> Record:
    """Start the process itself and write its record."""
    log = settings.paths.log(name)
    cwd = settings.paths.run / name
    record = spawn_in_place(settings, name)(name, argv, env, cwd=cwd, log=log, fingerprint=digest)
    process.save(settings.paths.run, record)
    return record


def spawn_in_place(settings: Settings, name: str) -> Spawn:
    """Return what starts a component where it belongs: on the host, or apart from it."""
    spec = COMPONENTS[name]
    if spec.in_sandbox(settings):
        return partial(sandbox.spawn, settings)
    if spec.in_container(settings):
        return partial(container.spawn, settings)
    return process.spawn


def wait_ready(component: Component, record: Record) -> None:
    """Wait for a component's health check. Raises Failure with the last lines of its log."""
    limit = component.ready_timeout
    if process.until(lambda: ports.healthy(component.health), record.identity.alive, limit):
        return
    log = Path(record.log)
    what = f"did not become ready within {limit:g} s" if record.identity.alive() else "ended"
    raise Failure(
        f"{component.name} {what} ({component.health.url})\n{process.tail(log)}",
        component.advice or f"read {log}",
    )


def stop(settings: Settings, name: str, record: Record | None = None) -> bool:
    """Stop a component's process and everything that carries its mark; True when one ran.

    `record` is the component's, where the caller has it already.
    """
    record = record or process.load(settings.paths.run, name)
    ran = record is not None and record.alive()
    if record is not None and ran and not signals.stop(record.identity):
        raise Failure(f"{name} (pid {record.identity.pid}) does not end", "look at it with ps")
    mark = process.mark(name, settings.paths.instance)
    ran = process.stop_marked(mark, signals.LADDER, survivors(settings, name)) or ran
    process.forget(settings.paths.run, name)
    container.remove(settings, name)
    if COMPONENTS[name].in_sandbox(settings):
        port_forwards.close_ports(settings, name)
    return ran


def survivors(settings: Settings, name: str) -> list[Identity]:
    """Return the processes of a component that outlive it: between containerd and its pods."""
    start = COMPONENTS[name].survivors
    marked = process.marked(process.mark(name, settings.paths.instance)) if start else []
    return [one for one in marked if Path(procfs.executable(one.pid) or "").name.startswith(start)]


def end_pods(settings: Settings) -> None:
    """End what outlives the kubelet where no sandbox does it by its end: containers and volumes."""
    container.end_pods(settings)
    for shim in (one for name in COMPONENTS for one in survivors(settings, name)):
        for pid in procfs.children(shim.pid):
            contained = procfs.identify(pid)
            if contained is not None:
                signals.stop(contained, signals.KILL)
        signals.stop(shim, signals.KILL)
    for why in mounts.unmount(kubelet_config.root(settings)):
        console.warn(why)
