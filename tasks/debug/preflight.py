"""What is known not to work is refused before anything is touched, with cause and fix."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from tasks import delve
from tasks.build import dwarf_check, go_command
from tasks.build.tasks import load_binary
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.debug.journal import Swap
from tasks.settings.load import Settings
from tasks.system import files, ports
from tasks.system.process import Record

YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")


def require_possible(settings: Settings, record: Record, wanted: Swap) -> None:
    """Raise Failure when a swap cannot succeed as far as that can be known."""
    name, tracer = record.component, delve.tracer(record.identity.pid)
    if tracer:
        raise Failure(
            f"{name} is already being traced by {ports.describe(tracer)}",
            "end that debugger first",
        )
    ports.require_free(f"the debugger of {name}", [wanted.port])
    _require_debuggable(settings, record)
    check_go_version(settings, name)
    if wanted.mode == "debug-attach":
        _require_ptrace(name)


def check_go_version(settings: Settings, name: str) -> bool:
    """Tell whether Delve may check the target's Go version: not below its range.

    Delve works on Go 1.15 and later when told not to check; above its range it does not.
    """
    spec = COMPONENTS[name]
    if spec.user_program(settings) is not None:
        return True  # nothing is known of it, so let Delve look
    module = spec.module
    if module is None:
        raise Failure(f"{name} is not built from the Kubernetes source", "debug another component")
    value = files.read_json(settings.paths.tool("delve")) or {}
    built = go_command.go_minor(load_binary(settings, module).go)
    if built > go_command.go_minor(str(value.get("max_go", "99.0"))):
        raise Failure(
            f"Delve {value['version']} knows Go up to {value['max_go']},"
            f" but {name} was built by Go {built[0]}.{built[1]}",
            "doit forget toolchain:delve, then doit toolchain:delve takes a newer one",
        )
    return built >= go_command.go_minor(str(value.get("min_go", "0.0")))


def listen(text: str, default: str, *, allow_remote: bool) -> str:
    """Return the address Delve is to listen on: `port`, `:port` or `address:port`.

    Raises Failure for an address that others reach, unless that was asked for: Delve knows no
    password, whoever reaches it runs code here.
    """
    if not text:
        return default
    host, _, number = text.rpartition(":")
    if not number.isdigit() or not 0 < int(number) < 65536:
        raise Failure(f"--listen {text}: {number!r} is not a port", "for example --listen 39999")
    host = host.strip("[]") or ("0.0.0.0" if text.startswith(":") else "127.0.0.1")  # noqa: S104
    host = {"localhost": "127.0.0.1"}.get(host, host)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise Failure(
            f"--listen {text}: {host!r} is not an IP address", "for example 127.0.0.1:39999"
        ) from None
    if not address.is_loopback and not allow_remote:
        raise Failure(
            f"--listen {text}: Delve asks for no password, so whoever reaches {host} could run"
            " any code here",
            f"use ssh -NL {number}:127.0.0.1:{number} instead, or add --allow-remote",
        )
    return f"[{host}]:{number}" if address.version == 6 else f"{host}:{number}"


def _require_debuggable(settings: Settings, record: Record) -> None:
    """Raise Failure for a binary no debugger can read, in the words of whoever made it."""
    module = COMPONENTS[record.component].module
    made = load_binary(settings, module) if module else None
    try:
        dwarf_check.prove_debuggable(Path(record.exe))
    except Failure as failure:
        if made is None or not made.origin or str(made.path) != record.exe:
            raise
        told = failure.message.replace(record.exe, made.origin, 1)
        hint = f"{failure.hint}, then doit up; or unset build.output (GO_OUT) to have it built here"
        raise Failure(told, hint) from None


def _require_ptrace(name: str) -> None:
    restricted = YAMA.exists() and YAMA.read_text().strip() != "0"
    if os.geteuid() and restricted:
        raise Failure(
            f"this kernel forbids to attach to {name} (yama ptrace_scope)",
            f"use: doit debug:{name} --mode exec; or as root: sysctl kernel.yama.ptrace_scope=0",
        )
