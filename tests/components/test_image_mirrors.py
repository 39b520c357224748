"""Image mirrors: the files from the setting, and the requests of a real containerd."""

import os
import shutil
import subprocess
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.components import containerd, image_mirrors
from tasks.components.base import Context
from tasks.core.errors import Failure
from tasks.kubernetes.facts import Minor
from tasks.runtime import processes
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tasks.system import ports, process, signals

ALL = image_mirrors.ANY_REGISTRY


def load(tmp_path: Path, images: str) -> Settings:
    home = {"STEPKUBE_HOME": str(tmp_path), "STEPKUBE_NODE_SANDBOX": "false"}
    return settings.load({**home, "STEPKUBE_MIRROR_IMAGES": images}, None, Path(os.devnull))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ("", {}),
        ("mirror.test", {ALL: "https://mirror.test/v2"}),
        ("mirror.test:5000/k8s/", {ALL: "https://mirror.test:5000/v2/k8s"}),
        ("http://127.0.0.1:5000", {ALL: "http://127.0.0.1:5000/v2"}),
        ("https://mirror.test/v2/proxy", {ALL: "https://mirror.test/v2/proxy"}),
        (
            "k8s.gcr.io=a.test/x,docker.io=b.test, c.test",
            {
                "k8s.gcr.io": "https://a.test/v2/x",
                "docker.io": "https://b.test/v2",
                ALL: "https://c.test/v2",
            },
        ),
    ],
)
def test_the_mirror_of_each_registry(tmp_path: Path, images: str, expected: dict[str, str]) -> None:
    assert image_mirrors.mirrors(load(tmp_path, images)) == expected


@pytest.mark.parametrize("images", ["ftp://mirror.test", "a b", "docker.io=", "/x=mirror.test"])
def test_an_invalid_mirror_is_refused(tmp_path: Path, images: str) -> None:
    with pytest.raises(Failure, match="STEPKUBE_MIRROR_IMAGES"):
        image_mirrors.mirrors(load(tmp_path, images))


def test_the_file_may_have_a_mapping(tmp_path: Path) -> None:
    file = tmp_path / "stepkube.yaml"
    file.write_text("mirror: {images: {docker.io: b.test, quay.io: 'http://q.test:80/x'}}\n")
    made = settings.load({"STEPKUBE_HOME": str(tmp_path)}, None, file)
    assert made.mirror.images == ("docker.io=b.test", "quay.io=http://q.test:80/x")


@pytest.mark.parametrize(
    ("version", "plugin"),
    [(2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.images")],
)
def test_containerd_reads_the_hosts_files(tmp_path: Path, version: int, plugin: str) -> None:
    made = load(tmp_path, "docker.io=b.test")
    context = Context(made, Minor(1, 20), Path("/usr/bin/containerd"))
    built = containerd.build(context)
    text = containerd.configuration(made, containerd.Tools(version))
    folder = tomllib.loads(text)["plugins"][plugin]["registry"]["config_path"]
    hosts = tomllib.loads(built.files[Path(folder, "docker.io", "hosts.toml")])
    way = {"capabilities": ["pull", "resolve"], "override_path": True}
    api = "https://b.test/v2"
    assert hosts == {"server": api, **way, "host": {api: way}}
    other = containerd.build(Context(load(tmp_path, "c.test"), Minor(1, 20), Path("/x")))
    assert not any(str(path).startswith(folder) for path in other.files), "nothing is left over"
    none = containerd.build(Context(load(tmp_path, ""), Minor(1, 20), Path("/x")))
    assert not any("config_path" in text for text in none.files.values())


@pytest.fixture
def registry() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of an empty registry, and the paths of its requests."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()


@pytest.fixture
def short() -> Iterator[Path]:
    """Yield a folder with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sk-") as folder:
        yield Path(folder)


@pytest.mark.skipif(
    os.geteuid() != 0 or not (shutil.which("containerd") and shutil.which("ctr")),
    reason="a containerd needs root",
)
def test_a_real_containerd_asks_only_the_mirror(
    short: Path, registry: tuple[str, list[str]]
) -> None:
    tmp_path, (address, paths) = short, registry
    made = load(tmp_path, f"registry.k8s.io={address}/k8s,{address}/rest")
    binary = Path(shutil.which("containerd") or "")
    component = containerd.build(Context(made, Minor(1, 20), binary))
    config = next(path for path in component.files if path.name == "containerd.toml")
    # the state must not be in /run, where a real instance may use it
    text = component.files[config].replace("/run/stepkube-default", str(tmp_path / "state"))
    processes.prepare(component)
    config.write_text(text)
    record = process.spawn(
        "containerd",
        component.argv,
        {"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        log=tmp_path / "log",
        fingerprint="",
    )
    try:
        up = process.until(lambda: ports.healthy(component.health), record.identity.alive, 30)
        assert up, process.tail(tmp_path / "log")
        folder = tomllib.loads(text)["plugins"]["io.containerd.grpc.v1.cri"]["registry"]
        for image in ("registry.k8s.io/pause:3.10", "docker.io/library/busybox:1"):
            done = subprocess.run(
                [
                    "ctr",
                    "--address",
                    str(containerd.socket(made)),
                    "images",
                    "pull",
                    "--hosts-dir",
                    folder["config_path"],
                    image,
                ],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode and "not found" in done.stderr, done.stderr
    finally:
        signals.stop(record.identity)
    first = {path.partition("?")[0] for path in paths}
    assert first == {
        "/v2/k8s/pause/manifests/3.10",
        "/v2/rest/library/busybox/manifests/1",
    }
