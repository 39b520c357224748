"""Installs packages and starts services with the system's package manager and systemd."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.host import file_changes
from tasks.host.packages import (
    MANAGERS,
    Manager,
    Runtime,
    enable_command,
    epel_release,
    install_commands,
)
from tasks.host.plan import Command, Mirrors
from tasks.system.run import follow, run

SYSTEMD = Path("/run/systemd/system")
OS_RELEASE = Path("/etc/os-release")


def detect_manager() -> Manager:
    """Return the package manager of this system. Raises Failure if none is found."""
    for manager in MANAGERS:
        if shutil.which(manager.program):
            return manager
    names = ", ".join(manager.program for manager in MANAGERS)
    hint = "install the packages of docs/host.md yourself"
    raise Failure(f"no known package manager found: {names}", hint)


def missing(manager: Manager, names: Iterable[str]) -> list[str]:
    """Return the packages that are not installed and that no installed package provides."""
    if manager.family == "rpm":
        return [
            name for name in names if run("rpm", "-q", "--whatprovides", name, check=False).code
        ]
    form = "${db:Status-Status}\t${Package}, ${Provides}\n"
    listed = run("dpkg-query", "--show", f"--showformat={form}").stdout
    lines = re.findall(r"^installed\t(.*)$", listed, re.MULTILINE)
    installed = {item.split()[0] for line in lines for item in line.split(",") if item.strip()}
    return [name for name in names if name not in installed]


def packages_to_install(manager: Manager, runtime: Runtime) -> list[str]:
    """Return the missing packages, without the runtime's package if its program is installed."""
    present = manager.name(runtime.package) if shutil.which(runtime.program) else ""
    return [name for name in missing(manager, manager.names(runtime)) if name != present]


def plan_commands(
    manager: Manager, mirrors: Mirrors, runtime: Runtime, to_install: list[str]
) -> list[Command]:
    """Return the commands that install the packages `to_install` and start the service."""
    release = ""
    if to_install and manager.family == "rpm" and missing(manager, ["epel-release"]):
        text = OS_RELEASE.read_text(errors="replace") if OS_RELEASE.is_file() else ""
        release = epel_release(text, mirrors)
    commands = list(install_commands(manager, to_install, release))
    checks = ("is-enabled", "is-active")
    if SYSTEMD.is_dir() and not all(_systemctl(check, runtime.service) for check in checks):
        commands.append(enable_command(runtime.service))
    return commands


def require_root(commands: Iterable[Command]) -> None:
    """Raise Failure if the user is not root; the hint runs the commands with sudo."""
    if os.geteuid() != 0:
        with_sudo = " && ".join(f"sudo {command}" for command in commands)
        raise Failure("only root can install packages and start services", f"run: {with_sudo}")


def run_commands(
    home: Path, manager: Manager, runtime: Runtime, commands: Iterable[Command]
) -> list[str]:
    """Run the commands and return the packages that are still missing.

    The packages are written to the journal before they are installed, so that the journal also has
    them after an interruption.
    """
    service, package = runtime.service, manager.name(runtime.package)
    absent = packages_to_install(manager, runtime)
    before = file_changes.load(home)
    journal = replace(
        before,
        manager=manager.program if absent else before.manager,
        packages=tuple(dict.fromkeys((*before.packages, *absent))),
    )
    file_changes.save(home, journal)
    for command in commands:
        if command == enable_command(service):
            if package in journal.packages and missing(manager, [package]):
                continue
            journal = replace(journal, services=tuple(dict.fromkeys((*journal.services, service))))
            file_changes.save(home, journal)
        execute(command)
    still = packages_to_install(manager, runtime)
    file_changes.save(
        home, replace(journal, packages=tuple(n for n in journal.packages if n not in still))
    )
    return still


def execute(command: Command) -> None:
    """Run a command and show its output as progress. Raises Failure with the last lines."""
    last: list[str] = []

    def show(line: str) -> None:
        last[:] = [*last[-11:], line]
        console.progress(line)

    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    code = follow(*command.argv, on_line=show, env=env)
    if code:
        output = "\n".join(last)
        raise Failure(f"{command} exited with {code}\n{output}", "see the lines above")


def _systemctl(check: str, service: str) -> bool:
    return run("systemctl", check, "--quiet", service, check=False).code == 0
