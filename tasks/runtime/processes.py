"""Start and stop the process of a component; shared by the start and debug tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from tasks.build.tasks import load_binary
from tasks.components.base import Component, Context
from tasks.components.registry import COMPONENTS
from tasks.core import console, timeline
from tasks.core.errors import Failure
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import accepted_flags, connectors, container, port_forwards, sandbox
from tasks.runtime.host_queries import HOST_QUERIES
from tasks.runtime.spawn import Spawn
from tasks.settings.load import Settings
from tasks.system import exits, files, inherited, ports, process, procfs, resources, signals
from tasks.system.process import Record
from tasks.system.procfs import Identity
from tasks.system.run import program


def desired_component(settings: Settings, name: str) -> Component:
    """Return a component as it should run, without the flags that its binary does not know."""
    component = configured_component(settings, name)
    if COMPONENTS[name].module is None:
        return component
    return accepted_flags.with_accepted_flags(settings, component)


def configured_component(settings: Settings, name: str) -> Component:
    """Return a component with all its flags, also those that its binary does not accept."""
    spec = COMPONENTS[name]
    checkout = load_checkout(settings.paths.lock)
    context = Context(settings, checkout.minor, binary(settings, name))
    answers: dict[str, str] = {key: HOST_QUERIES[key].ask(settings) for key in spec.host_queries}
    return spec.build(replace(context, host_answers=answers))


def binary(settings: Settings, name: str) -> Path:
    """Return the path of the program that a component runs."""
    spec = COMPONENTS[name]
    user_program = spec.user_program(settings)
    if user_program is not None:
        return user_program
    match spec.program.kind:
        case "module":
            return load_binary(settings, spec.program.name).path
        case "tool":
            return tool_record.load_tool(settings, spec.program.name).bin
        case "installed":
            return Path(program(spec.program.name))


def fingerprint(component: Component) -> str:
    """Return the digest of everything a process is started with: argv, env, files, networks."""
    rendered = [f"{path}={text}" for path, text in sorted(component.files.items())]
    inputs = [
        f"{path}={files.digest_file(path) if path.is_file() else 'missing'}"
        for path in component.inputs
    ]
    env = [f"{key}={value}" for key, value in sorted(component.env.items())]
    image = [component.image] if component.image else []
    return files.digest(*component.argv, *env, *rendered, *inputs, *image, *component.networks)


def prepare(component: Component) -> None:
    """Write a component's configuration files, create its folders, remove outdated state files."""
    for path, text in component.state_files.items():
        if path.is_file() and text not in path.read_text(errors="replace"):
            console.say(f"  removed {path}: it was written with another policy")
            path.unlink()
    for folder in component.folders:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, text in component.files.items():
        files.write_if_changed(path, text, 0o600)


def is_current(record: Record, component: Component) -> bool:
    """Return whether a process runs with the component's fingerprint, files and full limits."""
    has_files = all(path.is_file() for path in component.files)  # it can read them again
    return has_files and inherited.is_current(record.fingerprint, fingerprint(component))


def start(settings: Settings, component: Component) -> Record:
    """Start a component that does not run, wait until it is ready, and return its record.

    Raises Failure as `begin` and `finish` do.
    """
    record, written = begin(settings, component)
    return finish(settings, component, record, written)


def begin(settings: Settings, component: Component) -> tuple[Record, int]:
    """Start a component that does not run; return its record and the size of its log before.

    It is not ready yet: see `finish`. Raises Failure with the process that uses a port.
    """
    ports.require_short(component.name, component.sockets)
    ports.require_free(component.name, component.ports)
    prepare(component)
    env = process.environment(component.name, settings.paths.instance, component.env)
    written = files.size(settings.paths.log(component.name))
    record = spawn(settings, component.name, component.argv, env, fingerprint(component))
    return record, written


def launch(
    settings: Settings,
    component: Component,
    argv: tuple[str, ...],
    env: Mapping[str, str],
    digest: str,
) -> Record:
    """Start a component with this command line, wait until it is ready, and return its record."""
    written = files.size(settings.paths.log(component.name))
    record = spawn(settings, component.name, argv, env, digest)
    return finish(settings, component, record, written)


def finish(settings: Settings, component: Component, record: Record, written: int) -> Record:
    """Wait until a started component is ready and return its record.

    Raises Failure with its log, without the `written` bytes of earlier processes, when it does not
    become ready.
    """
    wait_ready(component, record, written)
    exe = procfs.executable(record.identity.pid)
    if exe is not None and exe != record.exe:  # a script replaced itself with the program (exec)
        record = replace(record, exe=exe)
        process.save(settings.paths.run, record)
    return record


def spawn(
    settings: Settings, name: str, argv: tuple[str, ...], env: Mapping[str, str], digest: str
) -> Record:
    """Start the process of a component, write its record and return it."""
    log, cwd = settings.paths.log(name), settings.paths.run / name
    if not COMPONENTS[name].in_container(settings):  # Docker sets the limits of a container
        digest = inherited.with_shortfall(digest)
    record = spawn_function(settings, name)(name, argv, env, cwd=cwd, log=log, fingerprint=digest)
    process.save(settings.paths.run, record)
    return record


def spawn_function(settings: Settings, name: str) -> Spawn:
    """Return the function that starts a component: on the host, in the sandbox or a container."""
    spec = COMPONENTS[name]
    if spec.in_sandbox(settings):
        return partial(sandbox.spawn, settings)
    if spec.in_container(settings):
        return partial(container.spawn, settings)
    if connectors.networks(settings, name):
        return partial(connectors.spawn, settings)
    exit_file = exits.path(settings.paths.run, name)
    return partial(process.spawn, umask=spec.umask, exit_file=exit_file)


def wait_ready(component: Component, record: Record, written: int = 0) -> None:
    """Wait until a component is ready.

    Raises Failure with the last lines of its log, without the `written` bytes of earlier processes.
    """
    limit = component.ready_timeout
    health = COMPONENTS[component.name].health_of(component, record.argv)
    with timeline.span(f"{component.name} becomes ready", "wait", url=health.url):
        ready = process.until(lambda: ports.healthy(health), record.identity.alive, limit)
    if ready:
        return
    log, alive = Path(record.log), record.identity.alive()
    problem = f"did not become ready within {limit:g} s" if alive else "exited"
    hint = component.advice or f"read {log}"
    full = resources.full_disk(log.parent, *component.folders)
    if full is not None:
        problem, hint = f"{problem}: the disk of {full} is full", files.UNWRITABLE_HINT
    words = process.tail(log, start=written)
    raise Failure(f"{component.name} {problem} ({health.url})\n{words}", hint)


def stop(settings: Settings, name: str, record: Record | None = None) -> bool:
    """Stop a component's process and all processes with its mark; return whether one ran.

    `record` is the component's record, if the caller already has it. Raises Failure when the
    process does not stop.
    """
    record = record or process.load(settings.paths.run, name)
    ran = record is not None and record.alive()
    if record is not None and ran and not signals.stop(record.identity):
        pid = record.identity.pid
        raise Failure(f"{name} (pid {pid}) does not stop", f"run: ps -f -p {pid}")
    mark = process.mark(name, settings.paths.instance)
    ran = process.stop_marked(mark, signals.LADDER, survivors(settings, name)) or ran
    process.forget(settings.paths.run, name)
    container.remove(settings, name)
    if COMPONENTS[name].in_sandbox(settings):
        port_forwards.close_ports(settings, name)
    else:
        connectors.stop(settings, name)
    return ran


def survivors(settings: Settings, name: str) -> list[Identity]:
    """Return the helper processes of a component that outlive it, such as containerd-shim."""
    prefix = COMPONENTS[name].survivors
    marked = process.marked(process.mark(name, settings.paths.instance)) if prefix else []
    return [
        identity
        for identity in marked
        if Path(procfs.executable(identity.pid) or "").name.startswith(prefix)
    ]
