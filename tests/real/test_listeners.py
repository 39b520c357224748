"""Another user of the machine gets nothing from any listener of a cluster but its health."""

import base64
import json
import os
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tasks.components import registry
from tasks.settings import cert_files
from tasks.system import ports, process, procfs
from tests.real.cluster import Cluster

pytestmark = pytest.mark.cluster

NAME = "stepkube-test"
HEALTH = {"/healthz", "/livez", "/readyz", "/version"}
PATHS = (
    *HEALTH,
    "/",
    "/api/v1/secrets",
    "/configz",
    "/containerLogs/",
    "/debug/pprof/",
    "/debug/pprof/heap",
    "/health",
    "/logs/",
    "/metrics",
    "/pods",
    "/runningpods/",
    "/stats/summary",
    "/v2/keys/",
    "/v3/cluster/member/list",
)
PROBE = """
import json, socket, ssl, sys, urllib.error, urllib.request
tcp, unix, files, paths = json.load(sys.stdin)
tls = ssl._create_unverified_context()
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
found = {"answers": [], "delve": [], "sockets": [], "files": []}
for port in tcp:
    for scheme in ("http", "https"):
        for path in paths:
            data = b"{}" if path.startswith("/v3/") else None
            try:
                url = "%s://127.0.0.1:%d%s" % (scheme, port, path)
                with opener.open(url, data, timeout=5) as answer:
                    found["answers"].append([port, path, answer.read(200).decode("latin-1")])
            except Exception:
                pass
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.settimeout(2)
            client.sendall(b'{"method":"RPCServer.GetVersion","params":[{}],"id":1}')
            said = client.recv(400)
            if b"result" in said:
                found["delve"].append([port, said.decode("latin-1")])
    except OSError:
        pass
for path in unix:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            found["sockets"].append(path)
    except OSError:
        pass
for path in files:
    try:
        open(path).close()
        found["files"].append(path)
    except OSError:
        pass
print(json.dumps(found))
"""


@pytest.fixture
def other_user() -> Iterator[int]:
    """Return the uid of a new user."""
    if os.geteuid() != 0:
        pytest.skip("only root can create a user")
    if not shutil.which("useradd"):
        pytest.skip("useradd is not installed")
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/false", NAME], check=True)
    try:
        yield int(subprocess.check_output(["id", "-u", NAME]))
    finally:
        subprocess.run(["userdel", NAME], check=True)


def listeners(cluster: Cluster) -> dict[int, str]:
    """Return the ports of this instance on the host, each with its process."""
    found: dict[int, str] = {}
    instance = f"{cluster.settings.paths.instance}:"
    for one in psutil.net_connections("tcp"):
        mark = procfs.environ_of(one.pid).get(process.MARK, "") if one.pid else ""
        if one.laddr and one.status == psutil.CONN_LISTEN and mark.startswith(instance):
            found[one.laddr.port] = mark.removeprefix(instance)
    return found


def probe(cluster: Cluster, uid: int, tcp: list[int]) -> dict[str, Any]:
    """Return what a user gets from the ports, the sockets and the keys of the instance."""
    instance = cluster.settings.paths.instance
    sockets = [str(path) for path in instance.rglob("*") if path.is_socket()]
    secrets = [str(path) for path in cluster.settings.paths.certs.glob("*.k*")]
    assert len(secrets) > 10
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or "python3"
    done = subprocess.run(
        [python, "-c", PROBE],
        input=json.dumps([tcp, sockets, secrets, PATHS]),
        user=uid,
        group=uid,
        extra_groups=[],
        cwd="/",
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_another_user_gets_only_health(cluster: Cluster, other_user: int) -> None:
    cluster.doit("up", START_MODE="all")
    cluster.doit("debug:kube-scheduler", START_MODE="all")
    found = listeners(cluster)
    settings = cluster.settings
    debugger = registry.debug_port(settings, "kube-scheduler")
    assert {settings.etcd.port, settings.api.secure_port, settings.kubelet.port, debugger} <= set(
        found
    )
    got = probe(cluster, other_user, list(found))
    cluster.doit("undebug:kube-scheduler", START_MODE="all")
    assert got["answers"], "the probe reaches the health ports"
    assert [answer for answer in got["answers"] if answer[1] not in HEALTH] == [], found
    assert (got["delve"], got["sockets"], got["files"]) == ([], [], [])


def test_the_probe_sees_an_open_port(cluster: Cluster, other_user: int) -> None:
    cluster.doit("up")
    argv, port = cluster.record("etcd").argv, cluster.settings.etcd.port
    assert not probe(cluster, other_user, [port])["answers"]
    cluster.doit("down")
    with etcd_without_tls(cluster, argv):
        answers = probe(cluster, other_user, [port])["answers"]
    assert [port, "/v3/cluster/member/list"] in [answer[:2] for answer in answers]


def test_objects_of_an_etcd_without_tls_stay(cluster: Cluster) -> None:
    cluster.doit("up")
    argv = cluster.record("etcd").argv
    cluster.doit("down", PRESERVE_ETCD="false")
    with etcd_without_tls(cluster, argv):
        for number in range(100):
            etcd(cluster, "http", "kv/put", key=f"test/{number:03}", value=str(number))
    cluster.doit("up")
    (member,) = etcd(cluster, "https", "cluster/member/list")["members"]
    assert member["peerURLs"] == ["http://127.0.0.1:0"], "the member of the earlier release"
    assert count(cluster, "https", "test/") == 100
    stored = count(cluster, "https", "/registry/clusterroles/")  # no leases, which come and go
    assert stored > 30
    cluster.doit("down")
    with etcd_without_tls(cluster, argv):
        assert count(cluster, "http", "test/") == 100
        assert count(cluster, "http", "/registry/clusterroles/") >= stored
    cluster.doit("up")
    assert count(cluster, "https", "test/") == 100
    cluster.doit("down", PRESERVE_ETCD="false")


@contextmanager
def etcd_without_tls(cluster: Cluster, argv: tuple[str, ...]) -> Iterator[None]:
    """Run the etcd of the stopped cluster with the flags of a release that used no TLS."""
    plain = [item.replace("https://", "http://") for item in argv]
    flags = [item for item in plain if "-file=" not in item and "cert-auth" not in item]
    assert len(flags) == len(argv) - 8
    run = subprocess.Popen(flags, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    health = ports.Health(f"http://127.0.0.1:{cluster.settings.etcd.port}/health")
    try:
        assert process.until(lambda: ports.healthy(health), lambda: run.poll() is None, 60.0)
        yield
    finally:
        run.terminate()
        run.wait(60)


def count(cluster: Cluster, scheme: str, prefix: str) -> int:
    """Return how many keys of etcd start with a prefix that ends with a slash."""
    found = etcd(cluster, scheme, "kv/range", key=prefix, range_end=prefix[:-1] + "0")
    return len(found.get("kvs", ()))


def etcd(cluster: Cluster, scheme: str, path: str, **body: str) -> dict[str, Any]:
    """Return the answer of etcd's JSON gateway to the client that kube-apiserver is."""
    authority, crt, key = cert_files.etcd_client(cluster.settings)
    context = ssl.create_default_context(cafile=str(authority))
    context.load_cert_chain(crt, key)
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in body.items()}
    url = f"{scheme}://127.0.0.1:{cluster.settings.etcd.port}/v3/{path}"
    with urllib.request.urlopen(url, json.dumps(encoded).encode(), 30, context=context) as answer:
        read: dict[str, Any] = json.load(answer)
        return read
