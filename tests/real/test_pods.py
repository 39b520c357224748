"""Real pods on a real node: what they see, what they may, and what they leave behind."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.addons import oci
from tasks.runtime import port_forwards, processes, sandbox
from tasks.system import files, ports, process, procfs
from tasks.system.run import Result, run
from tests.real import host, registry
from tests.real.cluster import Cluster
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="a kubelet needs root"),
]

HERE = Path(__file__).parent
IMAGE = "stepkube.test/pod:1"
NODE = ("containerd", "kubelet", "kube-proxy")
READY = ("probed", "hostport", "hostnetwork", "privileged")
STATIC = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "static"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "pod", "image": IMAGE, "args": ["serve", ":8080"]}],
    },
}


@dataclass(frozen=True)
class Node:
    """The node, a program to run in it, and the host's port that leads to the NodePort."""

    cluster: Cluster
    program: Path
    port: int

    def doit(self, *words: str, **environ: str) -> str:
        """Run doit with the settings of this node."""
        forward = f"{self.port}:30080"
        own = {"START_MODE": "all", "STEPKUBE_NODE_FORWARD": forward}
        return self.cluster.doit(*words, env={**own, **environ})

    def get(self, *words: str) -> Any:
        """Return objects as kubectl has them."""
        return json.loads(self.cluster.kubectl("get", *words, "--output=json"))

    def exec(self, pod: str, *words: str) -> str:
        """Run the program in a pod."""
        return self.cluster.kubectl("exec", pod, "--", "/bin/pod", *words)

    def inside(self, *words: str) -> Result:
        """Run the program in the network of the node."""
        holder = self.cluster.record(sandbox.INIT).identity.pid
        net = f"--net=/proc/{holder}/ns/net"
        return run("nsenter", net, self.program, *words, check=False, timeout=30)

    def web(self) -> list[Any]:
        """Return the pods of the deployment."""
        return list(self.get("pods", "--selector=app=web")["items"])

    def containers(self) -> dict[str, tuple[str, int]]:
        """Return the container of every pod that is to live, and how often it was started anew."""
        pods = [*self.web(), self.get("pod", "hostnetwork"), self.get("pod", "privileged")]
        statuses = {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0] for pod in pods}
        return {
            name: (status["containerID"], status["restartCount"])
            for name, status in statuses.items()
        }


def eventually(holds: Callable[[], bool], what: str, limit: float = 120.0) -> None:
    """Ask again and again until it holds."""
    assert process.until(holds, lambda: True, limit, every=0.2), f"never: {what}"


@pytest.fixture(scope="module")
def before(cluster: Cluster) -> dict[str, str]:
    cluster.doit("down", PRESERVE_ETCD="false")
    return host.snapshot(cluster.settings.name)


@pytest.fixture(scope="module")
def node(cluster: Cluster, before: dict[str, str], program: Path) -> Iterator[Node]:
    """Bring the node up, load the image, and start every pod of the tests."""
    made = Node(cluster, program, free_port())
    made.doit("up")
    archive = program.with_name("image.tar")
    links = {"/bin/tar": "pod"}
    oci.write(archive, oci.Image(IMAGE, {"/bin/pod": program}, ["/bin/pod"], links))
    assert IMAGE in made.doit("load", "--archive", str(archive))
    static = cluster.settings.paths.instance / "manifests" / "static.yaml"
    files.write(static, json.dumps(STATIC))
    eventually(lambda: "default" in cluster.kubectl("get", "serviceaccounts"), "a namespace")
    cluster.kubectl("apply", f"--filename={HERE / 'pods.yaml'}")
    yield made
    static.unlink(missing_ok=True)
    cluster.doit("down", PRESERVE_ETCD="false")


def test_a_deployment_with_an_init_container_and_probes(node: Node) -> None:
    node.cluster.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert node.get("deployment", "web")["status"]["readyReplicas"] == 2
    for pod in node.web():
        (first,) = pod["status"]["initContainerStatuses"]
        assert first["state"]["terminated"]["exitCode"] == 0
        assert pod["status"]["podIP"].startswith("10.1.")
    assert node.cluster.kubectl("logs", "deployment/web", "--container=web").endswith(
        "serving :8080\n"
    )


def test_volumes_and_variables(node: Node) -> None:
    pod = node.web()[0]["metadata"]["name"]
    said = node.exec(pod, "cat", "/settings/colour", "/secret/password", "/scratch/first")
    assert said.endswith("bluefor tests onlydone")
    node.exec(pod, "write", "/memory/file", "kept in memory")
    assert "kept in memory" in node.exec(pod, "cat", "/memory/file")
    assert any(
        line.split()[1:3] == ["/memory", "tmpfs"]
        for line in node.exec(pod, "cat", "/proc/mounts").splitlines()
    )
    ip = node.web()[0]["status"]["podIP"]
    asked = ("get", f"http://{ip}:8080/env/COLOUR", f"http://{ip}:8080/env/POD_IP")
    assert node.inside(*asked).stdout == f"blue\n{ip}\n"


def test_probes_decide_on_traffic_and_on_life(node: Node) -> None:
    cluster = node.cluster
    eventually(
        lambda: (
            any(
                one["type"] == "Initialized" and one["status"] == "True"
                for one in node.get("pod", "probed")["status"].get("conditions", [])
            )
            and node.get("pod", "probed")["status"]["phase"] == "Running"
        ),
        "probed runs",
    )
    assert node.get("pod", "probed")["status"]["containerStatuses"][0]["ready"] is False
    node.exec("probed", "write", "/scratch/ready", "yes")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/probed", "--timeout=120s")
    node.exec("probed", "rm", "/scratch/alive")
    eventually(
        lambda: node.get("pod", "probed")["status"]["containerStatuses"][0]["restartCount"] > 0,
        "a container that is not alive is started anew",
    )


def test_jobs_exit_codes_and_limits(node: Node) -> None:
    node.cluster.kubectl("wait", "--for=condition=complete", "job/job", "--timeout=120s")
    assert node.cluster.kubectl("logs", "job/job") == "job done\n"

    def ended(name: str) -> Any:
        state = node.get("pod", name)["status"].get("containerStatuses", [{"state": {}}])[0]
        return state["state"].get("terminated")

    eventually(lambda: ended("failing") is not None, "it ends")
    assert (ended("failing")["exitCode"], ended("failing")["reason"]) == (3, "Error")
    assert node.get("pod", "failing")["status"]["phase"] == "Failed"
    assert node.cluster.kubectl("logs", "failing") == "bad luck\n"


def test_a_container_does_not_get_more_than_its_limit(node: Node) -> None:
    seen: set[tuple[int, str]] = set()

    def killed() -> bool:
        status = node.get("pod", "greedy")["status"].get("containerStatuses", [{}])[0]
        for state in (status.get("state", {}), status.get("lastState", {})):
            if "terminated" in state:
                seen.add((state["terminated"]["exitCode"], state["terminated"]["reason"]))
        return (137, "OOMKilled") in seen

    # containerd 1.6 may tell of the end before it tells why; the container is started anew
    eventually(killed, "it is killed for want of memory", 240)
    assert {code for code, _ in seen} == {137}
    node.cluster.kubectl("delete", "pod", "greedy", "--force", "--grace-period=0")


def test_exec_gives_input_output_and_the_exit_code(node: Node, tmp_path: Path) -> None:
    node.cluster.kubectl(
        "wait",
        "--for=condition=Ready",
        "--timeout=120s",
        *(f"pod/{name}" for name in READY if name != "probed"),
    )
    words = ("exec", "-i", "hostport", "--", "/bin/pod", "echo")
    streamed = node.cluster.kubectl_in_background(*words, stdin=subprocess.PIPE)
    text = "".join(f"line {number}\n" for number in range(20_000))
    assert streamed.communicate(text, timeout=120)[0] == text
    said = node.cluster.kubectl("exec", "hostport", "--", "/bin/pod", "exit", "7", "so", code=7)
    assert said.startswith("so\n")
    (tmp_path / "to").write_text("copied")
    node.cluster.kubectl("cp", str(tmp_path / "to"), "hostport:/tmp/file")
    assert node.exec("hostport", "cat", "/tmp/file") == "copied"
    node.cluster.kubectl("cp", "hostport:/tmp/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "copied"


def test_attach_and_follow(node: Node) -> None:
    node.cluster.kubectl("wait", "--for=condition=Ready", "pod/listener", "--timeout=120s")
    words = ("attach", "-i", "listener")
    attached = node.cluster.kubectl_in_background(*words, stdin=subprocess.PIPE)
    assert "over the wire" in attached.communicate("over the wire\n", timeout=120)[0]
    followed = node.cluster.kubectl_in_background("logs", "--follow", "listener")
    assert followed.communicate(timeout=120)[0] == "over the wire\n"
    eventually(lambda: node.get("pod", "listener")["status"]["phase"] == "Succeeded", "it ends")


def test_port_forward(node: Node) -> None:
    forwarding = node.cluster.kubectl_in_background("port-forward", "hostport", ":8080")
    try:
        assert forwarding.stdout is not None
        port = forwarding.stdout.readline().split()[2].rpartition(":")[2]
        for _ in range(3):
            asked = run(node.program, "get", f"http://127.0.0.1:{port}/", timeout=30)
            assert asked.stdout == "hostport\n"
    finally:
        forwarding.terminate()
        forwarding.communicate(timeout=120)


def is_answered(node: Node, url: str) -> bool:
    return node.inside("get", url).code == 0


def test_services_from_everywhere(node: Node) -> None:
    names = {pod["metadata"]["name"] for pod in node.web()}
    address = node.cluster.settings.node.address
    service = node.get("service", "web")["spec"]["clusterIP"]
    urls = (f"http://{service}/", f"http://{address}:30080/")
    for url in urls:
        eventually(partial(is_answered, node, url), f"{url} from the node")
        assert node.inside("get", url).stdout.strip() in names
    assert set(node.exec("hostport", "get", *urls).split()) <= names
    answers = run(node.program, "get", *[f"http://127.0.0.1:{node.port}/"] * 8, timeout=60)
    assert set(answers.stdout.split()) <= names
    # hairpin: a pod reaches itself through its own service
    assert node.exec(min(names), "get", *[urls[0]] * 8).split().count(min(names)) in range(9)


def test_the_api_from_a_pod(node: Node) -> None:
    api = node.get("service", "kubernetes")["spec"]["clusterIP"]
    assert '"gitVersion": "v1.20.2"' in node.exec("hostport", "get", f"https://{api}/version")


def test_ports_and_network_of_the_host_are_the_node_s(node: Node) -> None:
    address = node.cluster.settings.node.address
    assert node.inside("get", f"http://{address}:18080/").stdout == "hostport\n"
    assert node.inside("get", "http://127.0.0.1:18081/").stdout == f"{hostname(node)}\n"
    assert node.get("pod", "hostnetwork")["status"]["podIP"] == address
    assert ports.owner(18080) is None and ports.owner(18081) is None, "the host's own are free"


def hostname(node: Node) -> str:
    return f"stepkube-{node.cluster.settings.name}"


def test_only_a_privileged_pod_has_all_capabilities(node: Node) -> None:
    def capabilities(pod: str) -> int:
        status = node.exec(pod, "cat", "/proc/1/status").splitlines()
        return next(int(line.split()[1], 16) for line in status if line.startswith("CapEff"))

    own = Path("/proc/self/status").read_text().splitlines()
    ours = next(int(line.split()[1], 16) for line in own if line.startswith("CapEff"))
    assert capabilities("privileged") == ours
    assert capabilities("hostport") < ours


def test_a_static_pod_from_the_manifests_folder(node: Node) -> None:
    name = f"static-{node.cluster.settings.kubelet.hostname_override}"
    node.cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")
    assert node.get("pod", name)["metadata"]["annotations"]["kubernetes.io/config.source"] == "file"


def test_the_pause_image_was_built_from_the_tree(node: Node) -> None:
    node.cluster.kubectl("wait", "--for=condition=Ready", "pod/hostport", "--timeout=120s")
    uid = node.get("pod", "hostport")["metadata"]["uid"]
    pauses = [one for one in psutil.process_iter(["exe", "pid"]) if one.info["exe"] == "/pause"]
    ours = [one for one in pauses if uid in procfs.read(Path(f"/proc/{one.pid}/cgroup"))]
    assert len(ours) == 1
    assert ours[0].uids().real == 65535


def test_the_host_looks_as_before_while_pods_run(node: Node, before: dict[str, str]) -> None:
    changed = host.difference(before, host.snapshot(node.cluster.settings.name))
    own = f"/stepkube-{node.cluster.settings.name}"
    assert [name for name in changed if not (name.startswith("cgroup /") and own in name)] == []
    assert changed, "the node's own control groups are seen"
    names = (
        port_forwards.MAIN,
        port_forwards.forwarder_name("kubelet"),
        port_forwards.forwarder_name("kube-proxy"),
    )
    running = [psutil.Process(node.cluster.record(name).identity.pid) for name in names]
    listening = {
        one.laddr
        for relay in running
        for one in relay.net_connections()
        if one.status == psutil.CONN_LISTEN
    }
    assert {laddr.ip for laddr in listening} == {"127.0.0.1"}
    chosen = node.cluster.settings
    assert {laddr.port for laddr in listening} == {
        chosen.kubelet.port,
        chosen.kubelet.healthz_port,
        chosen.proxy.healthz_port,
        node.port,
    }


def test_a_second_up_touches_nothing(node: Node) -> None:
    records = [node.cluster.record(name) for name in (*NODE, sandbox.INIT, port_forwards.MAIN)]
    containers = node.containers()
    said = node.doit("up")
    assert "start:" not in said and "image:" not in said
    assert [node.cluster.record(record.component) for record in records] == records
    assert node.containers() == containers


def test_a_debugged_kubelet_leaves_its_pods_alone(node: Node) -> None:
    containers = node.containers()
    node.doit("debug:kubelet")
    pod = node.web()[0]["metadata"]["name"]
    assert node.exec(pod, "cat", "/settings/colour").endswith("blue")
    node.doit("undebug:kubelet")
    assert node.containers() == containers


def test_pods_outlive_the_kubelet_and_containerd(node: Node) -> None:
    containers = node.containers()
    for name in ("kubelet", "containerd"):
        pid = node.cluster.record(name).identity.pid
        node.doit(f"stop:{name}")
        assert node.inside("get", "http://127.0.0.1:18081/").stdout == f"{hostname(node)}\n"
    node.doit("up")
    assert node.cluster.record(name).identity.pid != pid
    # a kubelet is well, and its node still Ready, before it knows its pods
    kubectl, words = node.cluster.kubectl_in_background, ("--", "/bin/pod", "cat", "/tmp/file")
    eventually(
        lambda: kubectl("exec", "hostport", *words).communicate()[0] == "copied", "its pod is known"
    )
    assert node.cluster.kubectl("logs", "hostnetwork") == "serving :18081\n"
    assert node.containers() == containers


def test_a_deleted_pod_leaves_nothing(node: Node) -> None:
    uid = node.get("pod", "hostport")["metadata"]["uid"]
    # kubelet 1.20 waits for its garbage collection, once a minute, and looks again every 10 s
    node.cluster.kubectl("delete", "pod", "hostport", "--wait=true", "--timeout=120s")
    assert node.inside("get", f"http://{node.cluster.settings.node.address}:18080/").code != 0
    volumes = node.cluster.settings.paths.instance / "kubelet" / "pods" / uid

    def gone() -> bool:
        groups = [group for group in host.cgroups(node.cluster.settings.name) if uid in group]
        return not groups and not volumes.exists()

    eventually(gone, "its control groups and volumes are removed")


def test_down_and_up_bring_the_pods_back_without_a_registry(
    node: Node, before: dict[str, str]
) -> None:
    chosen = node.cluster.settings
    holder = node.cluster.record(sandbox.INIT)
    shims = processes.survivors(chosen, "containerd")
    assert shims
    node.doit("down")
    assert not any(one.alive() for one in (*shims, holder.identity))
    assert host.difference(before, host.snapshot(chosen.name)) == {}
    mark = f"{chosen.paths.instance}:"
    marks = [procfs.environ_of(one.pid).get(process.MARK, "") for one in psutil.process_iter()]
    assert not any(one.startswith(mark) for one in marks)

    said = node.doit("up")
    assert "image:pause" not in said
    eventually(
        lambda: all(
            status["ready"] and status["restartCount"] > 0
            for pod in node.web()
            for status in pod["status"]["containerStatuses"]
        ),
        "the deployment is ready again",
    )
    names = {pod["metadata"]["name"] for pod in node.web()}
    words = (node.program, "get", f"http://127.0.0.1:{node.port}/")
    eventually(
        lambda: run(*words, timeout=30, check=False).stdout.strip() in names, "its service answers"
    )


def test_an_image_is_pulled_through_the_proxy_of_the_host(node: Node, tmp_path: Path) -> None:
    containers = node.containers()
    moved = replace(node, port=free_port())  # with other ports, the relay is started again
    unknown = f"{moved.port}-{os.getpid()}"  # an earlier run may have left its image
    archive, name = tmp_path / "image.tar", f"{registry.HOST}/team/pulled:{unknown}"
    links = {f"/bin/{unknown}": "pod"}
    oci.write(archive, oci.Image(name, {"/bin/pod": node.program}, ["/bin/pod"], links))
    with registry.serving(archive, tmp_path) as (proxy, ca, asked):
        moved.doit("up", HTTPS_PROXY=proxy, NO_PROXY="", SSL_CERT_FILE=str(ca))
        assert ports.owner(node.port) is None
        words = (node.program, "get", f"http://127.0.0.1:{moved.port}/")
        eventually(lambda: run(*words, timeout=30, check=False).code == 0, "the new port answers")
        node.cluster.kubectl(
            "run", "pulled", f"--image={name}", "--restart=Never", "--", "exit", "0", "pulled"
        )
        eventually(
            lambda: node.get("pod", "pulled")["status"]["phase"] == "Succeeded", "it is pulled"
        )
    assert node.cluster.kubectl("logs", "pulled") == "pulled\n"
    assert f"{registry.HOST}:443" in asked
    assert any("/v2/team/pulled/blobs/" in path for path in asked)
    assert node.containers() == containers, "a containerd with other settings keeps its pods"


def test_a_new_cluster_forgets_the_old_one_s_pods(node: Node, before: dict[str, str]) -> None:
    node.cluster.doit("down", PRESERVE_ETCD="false")
    assert host.difference(before, host.snapshot(node.cluster.settings.name)) == {}
    node.doit("up")
    pods = node.cluster.settings.paths.instance / "kubelet" / "pods"
    static = f"static-{node.cluster.settings.kubelet.hostname_override}"
    eventually(
        lambda: len([*pods.iterdir()]) == 1 and static in node.cluster.kubectl("get", "pods"),
        "the kubelet removes what it does not know",
    )
    node.cluster.kubectl("wait", "--for=condition=Ready", f"pod/{static}", "--timeout=120s")
