"""The sandbox's IPv6 address, for a dual-stack cluster."""

from __future__ import annotations

from ipaddress import IPv6Address
from pathlib import Path

from tasks.core.errors import Failure
from tasks.settings import ip_families, templates
from tasks.settings.load import Settings
from tasks.system import files, procfs
from tasks.system.process import Record
from tasks.system.run import program, run


def ensure(settings: Settings, init: Record) -> None:
    """Give a running sandbox the node's IPv6 address, if its cluster has one and it is missing.

    `init` is the record of the sandbox's PID 1; the sandbox may have been started for a cluster
    with one address range. Raises Failure with the output of ip(8).
    """
    addresses = ip_families.node_addresses(settings)
    if len(addresses) < 2 or _has_address(init, addresses[1]):
        return
    script = settings.paths.config / "sandbox-ipv6.sh"
    files.write_if_changed(script, templates.render("sandbox-ipv6.sh.j2", address=addresses[1]))
    enter = (program("nsenter"), f"--target={init.identity.pid}", "--net", "--mount")
    result = run(*enter, "bash", str(script), check=False)
    if result.code:
        output = (result.stderr + result.stdout).strip()
        raise Failure(
            f"the sandbox of the node got no IPv6 address\n{output}",
            f"set one address range in {ip_families.SERVICES} and {ip_families.PODS}",
        )


def _has_address(init: Record, address: str) -> bool:
    digits = IPv6Address(address).packed.hex()
    table = procfs.read(Path(f"/proc/{init.identity.pid}/net/if_inet6"))
    return any(line.startswith(digits) for line in table.splitlines())
