"""A port is opened in real nftables in a network namespace; closing it restores the rules."""

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
IPTABLES = "table ip filter { chain INPUT { type filter hook input priority 0; policy drop; }; }"
SCRIPT = """
import json, socket, subprocess, sys
from tasks.core import console
from tasks.core.errors import Failure
from tasks.system import firewall

def rules():
    return subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True).stdout

def reached():
    try:
        socket.create_connection(server.getsockname(), timeout=0.2).close()
    except OSError:
        return False
    return True

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["nft", "-f", "-"], input=sys.argv[1].encode(), check=True)
server, printed = socket.create_server(("127.0.0.1", 0)), []
console.say = printed.append
port, before, answers = server.getsockname()[1], rules(), [reached()]
try:
    command = firewall.close_command(port)
    firewall.open_port(port)
    firewall.open_port(port + 1)
    answers.append(reached())
    firewall.close_port(command)
    answers.append(reached())
    firewall.close_port(firewall.close_command(port + 1))
except Failure as failure:
    printed.append(failure.message)
print(json.dumps({"same": rules() == before, "answers": answers, "printed": printed}))
"""


def in_a_namespace(rules: str) -> dict[str, object]:
    """Open and close a port under these rules; return when the port could be reached."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT, rules],
        cwd=load.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    assert result["same"], "every rule is as before"
    return result


@needs_nft
@pytest.mark.parametrize("rules", [REFUSES, REJECTS, REFUSES + REJECTS])
def test_a_port_is_reached_between_opening_and_closing(rules: str) -> None:
    result = in_a_namespace(rules)
    assert result["answers"] == [False, True, False]
    assert "tasks.system.nftables open" in str(result["printed"])


@needs_nft
@pytest.mark.parametrize("rules", ["", OPEN, IPTABLES])
def test_rules_that_refuse_nothing_do_not_change(rules: str) -> None:
    printed = in_a_namespace(rules)["printed"]
    assert isinstance(printed, list) and len(printed) == 1
    assert "(firewalld, ufw, nftables)" in printed[0]
