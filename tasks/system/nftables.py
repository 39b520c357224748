"""Opens and closes one port in nftables rules that no firewall program manages; see nft(8).

It is a program, so that the command that closes a port is known before the port is opened:
python -m tasks.system.nftables open|close PORT, or `running`.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from tasks.core.errors import Failure
from tasks.system.run import run

IPTABLES_CHAIN = "INPUT"
"""The chain of iptables: iptables reports it as incompatible after another program changed it."""


def refusing_chains() -> Iterator[tuple[str, str, str]]:
    """Yield family, table and name of every input chain that drops or rejects something."""
    ruleset = _ruleset()
    with_refusal = {_chain_of(rule) for rule in ruleset["rule"] if _refuses(rule)}
    for chain in ruleset["chain"]:
        family, table, name = address = chain["family"], chain["table"], chain["name"]
        is_input = chain.get("hook") == "input" and family in ("inet", "ip", "ip6")
        refuses = chain.get("policy") == "drop" or address in with_refusal
        if is_input and refuses and name != IPTABLES_CHAIN:
            yield family, table, name


def open_port(port: int) -> None:
    """Accept connections to a port, before any other rule. Raises Failure with nft's error."""
    for family, table, chain in refusing_chains():
        run(
            "nft",
            "insert",
            "rule",
            family,
            table,
            chain,
            "tcp",
            "dport",
            str(port),
            "accept",
            "comment",
            f'"{_comment(port)}"',
        )


def close_port(port: int) -> None:
    """Remove the rules that open_port added for a port. Raises Failure with nft's error."""
    for rule in _ruleset()["rule"]:
        if rule.get("comment") == _comment(port):
            run("nft", "delete", "rule", *_chain_of(rule), "handle", str(rule["handle"]))


def _ruleset() -> dict[str, list[dict[str, Any]]]:
    """Return the chains and rules; empty when nft is not installed or not permitted."""
    ruleset: dict[str, list[dict[str, Any]]] = {"chain": [], "rule": []}
    if shutil.which("nft"):
        result = run("nft", "--json", "list", "ruleset", check=False, timeout=10)
        for entry in json.loads(result.stdout or "{}").get("nftables", []):
            for kind, value in entry.items():
                ruleset.setdefault(kind, []).append(value)
    return ruleset


def _chain_of(rule: dict[str, Any]) -> tuple[str, str, str]:
    return rule["family"], rule["table"], rule["chain"]


def _refuses(rule: dict[str, Any]) -> bool:
    return any("drop" in part or "reject" in part for part in rule.get("expr", []))


def _comment(port: int) -> str:
    return f"stepkube {port}"


def main(arguments: list[str]) -> int:
    """Run the command `open PORT`, `close PORT` or `running`; return the exit code."""
    if arguments == ["running"]:
        sys.stdout.write("running\n" if any(refusing_chains()) else "not running\n")
        return 0
    try:
        {"open": open_port, "close": close_port}[arguments[0]](int(arguments[1]))
    except Failure as failure:
        sys.stderr.write(f"{failure.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
