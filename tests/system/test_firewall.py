"""A port is opened in a real nftables, in a network namespace, and closed without a trace."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tasks.settings import load

needs_nft = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft"
)
REFUSES = """
table inet filter {
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established accept
    }
    chain forward { type filter hook forward priority 0; policy drop; }
}
"""
REJECTS = """
table ip mine {
    chain incoming {
        type filter hook input priority 0;
        ct state established accept
        tcp dport 22 accept comment "stepkube 2"
        reject
    }
    chain other { drop; }
}
"""
OPEN = "table ip mine { chain one { type filter hook input priority 0; tcp dport 22 accept; }; }"
OF_IPTABLES = "table ip filter { chain INPUT { type filter hook input priority 0; policy drop; }; }"
SCRIPT = """
import json, socket, subprocess, sys
from tasks.core import console
from tasks.core.errors import Failure
from tasks.system import firewall

def rules():
    return subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True).stdout

def reached():
    try:
        socket.create_connection(server.getsockname(), timeout=0.5).close()
    except OSError:
        return False
    return True

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["nft", "-f", "-"], input=sys.argv[1].encode(), check=True)
server, said = socket.create_server(("127.0.0.1", 0)), []
console.say = said.append
port, before, answers = server.getsockname()[1], rules(), [reached()]
try:
    closing = firewall.closing(port)
    firewall.open_port(port)
    firewall.open_port(port + 1)
    answers.append(reached())
    firewall.close_port(closing)
    answers.append(reached())
    firewall.close_port(firewall.closing(port + 1))
except Failure as failure:
    said.append(failure.message)
print(json.dumps({"same": rules() == before, "answers": answers, "said": said}))
"""


def in_a_namespace(rules: str) -> dict[str, object]:
    """Open and close a port under these rules; return what could be reached when."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT, rules],
        cwd=load.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    assert told["same"], "every rule is as it was"
    return told


@needs_nft
@pytest.mark.parametrize("rules", [REFUSES, REJECTS, REFUSES + REJECTS])
def test_a_port_is_reached_between_opening_and_closing(rules: str) -> None:
    told = in_a_namespace(rules)
    assert told["answers"] == [False, True, False]
    assert "tasks.system.nftables open" in str(told["said"])


@needs_nft
@pytest.mark.parametrize("rules", ["", OPEN, OF_IPTABLES])
def test_rules_that_refuse_nothing_or_are_iptables_own_are_left_alone(rules: str) -> None:
    told = in_a_namespace(rules)
    (said,) = told["said"]  # type: ignore[misc]
    assert "no firewall that could be opened runs here (firewalld, ufw, nftables" in said
