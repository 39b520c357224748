"""Checks before a debug swap: port, binary, Go version, ptrace, address of Delve."""

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
from tasks.kubernetes import tool_record
from tasks.settings.load import Settings
from tasks.system import ports
from tasks.system.process import Record

YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
"""0 if a user may attach to all processes of that user (Yama.rst of the kernel)."""


def require_possible(settings: Settings, record: Record, desired: Swap) -> None:
    """Raise Failure for each known reason why a swap cannot succeed."""
    name, tracer = record.component, delve.tracer(record.identity.pid)
    if tracer:
        raise Failure(
            f"{name} is already being traced by {ports.describe(tracer)}",
            "stop that debugger first",
        )
    ports.require_free(f"the debugger of {name}", [desired.port])
    _require_debuggable(settings, record)
    check_go_version(settings, name)
    if desired.mode == "debug-attach":
        _require_ptrace(name)


def check_go_version(settings: Settings, name: str) -> bool:
    """Return whether Delve checks the Go version of the component: False below Delve's range.

    Without its check, Delve works with Go 1.15 and later. Raises Failure above Delve's range, and
    for a component that is not built from the checkout.
    """
    spec = COMPONENTS[name]
    if spec.user_program(settings) is not None:
        return True  # the Go version of the user's program is unknown: Delve checks it
    module = spec.module
    if module is None:
        raise Failure(f"{name} is not built from the Kubernetes source", "debug another component")
    value = tool_record.read(settings.paths.tool("delve")) or {}
    built = go_command.go_minor(load_binary(settings, module).go)
    if built > go_command.go_minor(str(value.get("max_go", "99.0"))):
        raise Failure(
            f"Delve {value['version']} supports Go up to {value['max_go']},"
            f" but {name} was built by Go {built[0]}.{built[1]}",
            "install a newer Delve; run: doit forget toolchain:delve && doit toolchain:delve",
        )
    return built >= go_command.go_minor(str(value.get("min_go", "0.0")))


def listen_address(text: str, default: str, *, allow_remote: bool) -> str:
    """Return the address for Delve from --listen: `port`, `:port` or `address:port`.

    Raises Failure for an invalid address, and without `allow_remote` for one that is not loopback:
    Delve has no password, so anyone who can connect can run code as this user.
    """
    if not text:
        return default
    host, _, number = text.rpartition(":")
    if not (number.isascii() and number.isdecimal()) or not 0 < int(number) < 65536:
        raise Failure(
            f"--listen {text}: {number!r} is not a port", "use for example --listen 39999"
        )
    host = host.strip("[]") or ("0.0.0.0" if text.startswith(":") else "127.0.0.1")  # noqa: S104
    host = {"localhost": "127.0.0.1"}.get(host, host)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise Failure(
            f"--listen {text}: {host!r} is not an IP address",
            "use for example --listen 127.0.0.1:39999",
        ) from None
    if not address.is_loopback and not allow_remote:
        raise Failure(
            f"--listen {text}: Delve has no password, so anyone who can connect to {host} can run"
            " code as you",
            f"use ssh -NL {number}:127.0.0.1:{number} instead, or add --allow-remote",
        )
    return f"[{host}]:{number}" if address.version == 6 else f"{host}:{number}"


def _require_debuggable(settings: Settings, record: Record) -> None:
    """Raise Failure for a binary that cannot be debugged; it names a prebuilt one by its origin."""
    module = COMPONENTS[record.component].module
    binary = load_binary(settings, module) if module else None
    try:
        dwarf_check.prove_debuggable(Path(record.exe))
    except Failure as failure:
        if binary is None or not binary.origin or str(binary.path) != record.exe:
            raise
        message = failure.message.replace(record.exe, binary.origin, 1)
        hint = f"{failure.hint}, then run: doit up; or unset build.output (GO_OUT) to build it here"
        raise Failure(message, hint) from None


def _require_ptrace(name: str) -> None:
    restricted = YAMA.exists() and YAMA.read_text().strip() != "0"
    if os.geteuid() and restricted:
        raise Failure(
            f"{name}: the kernel allows only root to attach (yama ptrace_scope)",
            f"run: doit debug:{name} --mode exec; or as root: sysctl kernel.yama.ptrace_scope=0",
        )
