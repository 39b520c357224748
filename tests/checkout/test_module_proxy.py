"""A release from a Go module proxy: a folder with zips and a signed checksum database."""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.build import layout
from tasks.checkout import tasks as checkout
from tasks.core.errors import Failure
from tests.support import miniature
from tests.support.kubernetes_proxy import API, HASH, TREE, Proxy


@pytest.fixture
def proxy(tmp_path: Path) -> Proxy:
    return Proxy(tmp_path / "proxy")


@pytest.mark.parametrize("version", ["v1.30.2", "1.30.2", "auto"])
def test_a_release_is_assembled_from_go_modules(tmp_path: Path, proxy: Proxy, version: str) -> None:
    chosen = proxy.settings(tmp_path, version)
    got = checkout.check_out(chosen)
    assert (got.version, got.minor, got.origin) == ("v1.30.2", (1, 30), "the Go module proxy")
    assert (got.tree / "staging/src/k8s.io/api/api.go").read_text() == "package api\n"
    assert (got.tree / "staging/README.md").is_file()
    assert not (got.tree / "vendor").exists(), "go would take the list for the packages"
    assert "GOPROXY" not in layout.layout_of(chosen.paths, got).environment({})
    assert os.access(got.tree / "hack/run.sh", os.X_OK)
    assert not os.access(got.tree / "go.mod", os.X_OK)
    assert miniature.git(got.tree, "status", "--porcelain", "--ignored") == ""
    assert miniature.git(got.tree, "log", "-1", "--format=%cs %s") == (
        "2024-06-11 Import k8s.io/kubernetes v1.30.2"
    )
    assert got.commit == miniature.git(got.tree, "rev-parse", "HEAD")
    miniature.git(got.tree, "pack-refs", "--all")
    assert checkout.check_out(chosen).commit == got.commit
    assert list((chosen.paths.cache / "downloads").iterdir()) == []


def test_the_commit_is_upstreams_if_the_proxy_has_it(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "proxy", Origin={"VCS": "git", "Hash": HASH})
    got = checkout.check_out(proxy.settings(tmp_path))
    assert got.commit == HASH
    script = (got.tree / "hack/lib/version.sh").read_text()
    assert f"KUBE_GIT_COMMIT='{HASH}'" in script and "'tag: v1.30.2' =~ tag:" in script
    assert "[[ '%' ==" in script


def test_an_assembled_release_needs_no_proxy(tmp_path: Path, proxy: Proxy) -> None:
    first = checkout.check_out(proxy.settings(tmp_path, "v1.30.2"))
    (first.tree / "go.mod").write_text("edited")
    nowhere = proxy.settings(tmp_path, "v1.30.2", GOPROXY=(tmp_path / "gone").as_uri())
    assert checkout.check_out(nowhere) == first
    assert (first.tree / "go.mod").read_text() == "edited"


def test_a_wrong_hash_is_refused_and_leaves_nothing(tmp_path: Path, proxy: Proxy) -> None:
    proxy.zip(API, proxy.staged, {"api.go": "package evil\n"})
    chosen = proxy.settings(tmp_path)
    with pytest.raises(Failure, match=r"checksum database .*h1:"):
        checkout.check_out(chosen)
    left = [path.name for path in chosen.paths.source.iterdir()]
    assert left == [".modules.lock"]


@contextmanager
def over_http(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback without a log; other paths are answered with 404."""
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": print_nothing})
    serve = functools.partial(handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def print_nothing(*_: object) -> None:
    pass


@pytest.mark.parametrize("served", [True, False])
def test_only_a_sample_can_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], served: bool
) -> None:
    line = "\tk8s.io/sample-x => ./staging/src/k8s.io/sample-x\n)"
    tree = {**TREE, "go.mod": TREE["go.mod"].replace(")", line)}
    proxy = Proxy(tmp_path / "proxy", tree=tree)
    with over_http(proxy.folder) as address:
        chosen = proxy.settings(tmp_path, GOPROXY=address if served else proxy.folder.as_uri())
        got = checkout.check_out(chosen)
        output = capsys.readouterr().out
        assert "k8s.io/sample-x v0.30.2 was not found" in output
        left = got.tree / "staging/src/k8s.io/sample-x/go.mod"
        assert left.read_text() == "module k8s.io/sample-x\n", "go.work may name the folder"
        shutil.rmtree(chosen.paths.source)
        (proxy.folder / API / "@v/v0.30.2.zip").unlink()
        with pytest.raises(Failure, match=r"api/@v/v0\.30\.2\.zip.*(answered 404|no such file)"):
            checkout.check_out(chosen)
    assert [path.name for path in chosen.paths.source.iterdir()] == [".modules.lock"]


@pytest.mark.parametrize("version", ["v1.23.9", "master", HASH])
def test_versions_that_a_proxy_cannot_have_are_not_tried(
    tmp_path: Path, proxy: Proxy, version: str
) -> None:
    with pytest.raises(Failure, match=rf"releases from v1\.24\.0 on, not {version}"):
        checkout.check_out(proxy.settings(tmp_path, version))


@pytest.mark.parametrize("environ", [{}, {"GOPROXY": "file:///gone"}])
def test_a_release_that_does_not_exist_is_refused(
    tmp_path: Path, proxy: Proxy, environ: dict[str, str]
) -> None:
    with pytest.raises(Failure, match=r"no origin has Kubernetes v1\.30\.9:") as caught:
        checkout.check_out(proxy.settings(tmp_path, "v1.30.9", **environ))
    assert "the Go module proxy: " in caught.value.message


def test_git_is_tried_before_the_module_proxy(tmp_path: Path, proxy: Proxy) -> None:
    remote = miniature.make(tmp_path / "remote", tags=("v1.30.2",))
    both = proxy.settings(tmp_path, "v1.30.2", STEPKUBE_ORIGIN_GIT=str(remote))
    assert checkout.check_out(both).origin == f"git {remote}"
    alone = {"STEPKUBE_ORIGIN_GIT": str(remote), "STEPKUBE_ORIGIN_ORDER": "goproxy"}
    assert checkout.check_out(proxy.settings(tmp_path, "v1.30.2", **alone)).origin == (
        "the Go module proxy"
    )
