"""Opens one port in rules of nftables that nobody manages, and closes it again; see nft(8).

Run as a program, so that closing is one command that is known before anything is opened:
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

OF_IPTABLES = "INPUT"
"""A chain of iptables, which calls it incompatible once another program wrote there."""


def refusing_chains() -> Iterator[tuple[str, str, str]]:
    """Yield family, table and name of every chain that turns away something that comes in."""
    found = _ruleset()
    ending = {_place(rule) for rule in found["rule"] if _turns_away(rule)}
    for chain in found["chain"]:
        family, table, name = place = chain["family"], chain["table"], chain["name"]
        comes_in = chain.get("hook") == "input" and family in ("inet", "ip", "ip6")
        refuses = chain.get("policy") == "drop" or place in ending
        if comes_in and refuses and name != OF_IPTABLES:
            yield family, table, name


def open_port(port: int) -> None:
    """Accept what comes in for a port, before any other rule. Raises Failure in nft's words."""
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
    """Remove the rules for a port that were made here, and no others. Raises Failure like nft."""
    for rule in _ruleset()["rule"]:
        if rule.get("comment") == _comment(port):
            run("nft", "delete", "rule", *_place(rule), "handle", str(rule["handle"]))


def _ruleset() -> dict[str, list[dict[str, Any]]]:
    """Return chains and rules, none where there is no nft or no right to ask it."""
    found: dict[str, list[dict[str, Any]]] = {"chain": [], "rule": []}
    if shutil.which("nft"):
        said = run("nft", "--json", "list", "ruleset", check=False, timeout=10)
        for entry in json.loads(said.stdout or "{}").get("nftables", []):
            for kind, value in entry.items():
                found.setdefault(kind, []).append(value)
    return found


def _place(rule: dict[str, Any]) -> tuple[str, str, str]:
    return rule["family"], rule["table"], rule["chain"]


def _turns_away(rule: dict[str, Any]) -> bool:
    return any("drop" in one or "reject" in one for one in rule.get("expr", []))


def _comment(port: int) -> str:
    return f"stepkube {port}"


def main(words: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    if words == ["running"]:
        sys.stdout.write("running\n" if any(refusing_chains()) else "not running\n")
        return 0
    try:
        {"open": open_port, "close": close_port}[words[0]](int(words[1]))
    except Failure as failure:
        sys.stderr.write(f"{failure.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
