"""A version that names a minor: every origin has its newest release."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from tasks.bundle.index import Index, require_fit
from tasks.checkout import tasks as checkout
from tasks.core.errors import Failure
from tasks.explain import versions
from tasks.kubernetes import releases
from tasks.kubernetes.tree import load_checkout
from tasks.settings import load
from tasks.system import apt
from tests.support import miniature
from tests.support.kubernetes_proxy import Proxy

TAGS = ("v1.9.9", "v1.10.3", "v1.10.11", "v1.10.12-rc.1", "v1.11.0-beta.1")


def chosen(tmp_path: Path, version: str, **environ: str) -> load.Settings:
    return load.load(
        {
            "STEPKUBE_HOME": str(tmp_path / "home"),
            "STEPKUBE_VERSION": version,
            "STEPKUBE_ORIGIN_APT": "",
            "STEPKUBE_ORIGIN_GIT": "",
            "GOPROXY": "off",
            **environ,
        }
    )


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return miniature.make(tmp_path / "remote", tags=TAGS)


@pytest.mark.parametrize("version", ["1.10", "v1.10"])
def test_git_has_the_newest_release_and_reports_it(
    tmp_path: Path, remote: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = chosen(tmp_path, version, STEPKUBE_ORIGIN_GIT=str(remote))
    assert checkout.make(made) is None
    assert f"v1.10 is v1.10.11 at git {remote}" in capsys.readouterr().out
    lock = json.loads(made.paths.lock.read_text())
    assert (lock["requested"], lock["version"]) == ("v1.10", "v1.10.11")
    caught = versions.kubernetes(made, load_checkout(made.paths.lock))
    assert caught.why == "the newest of v1.10 that this origin has"
    shutil.move(remote, tmp_path / "away")
    assert checkout.check_out(made).version == "v1.10.11"
    assert "cannot be reached: using v1.10.11" in capsys.readouterr().out


def test_a_minor_without_a_release_is_not_replaced(tmp_path: Path, remote: Path) -> None:
    with pytest.raises(Failure, match=r"no tag or branch v1\.11; .*v1\.11\.0-beta\.1"):
        checkout.check_out(chosen(tmp_path, "v1.11", STEPKUBE_ORIGIN_GIT=str(remote)))


def test_a_branch_of_that_name_comes_first(tmp_path: Path, remote: Path) -> None:
    miniature.git(remote, "branch", "v1.10", "v1.10.3")
    (remote / "more.txt").write_text("more")
    miniature.commit(remote, "second")
    miniature.git(remote, "tag", "--force", "v1.10.11")
    got = checkout.check_out(chosen(tmp_path, "v1.10", STEPKUBE_ORIGIN_GIT=str(remote)))
    assert got.commit == miniature.git(remote, "rev-parse", "v1.10")


def test_a_worktree_or_archive_of_another_minor_is_refused(tmp_path: Path, remote: Path) -> None:
    miniature.git(remote, "tag", "--delete", *TAGS)
    archive = tmp_path / "kubernetes-1.28.3.tar.gz"
    miniature.git(remote, "archive", "-o", str(archive), "HEAD")
    for key, place in (("PATH", remote), ("TARBALL", archive)):
        where = {f"STEPKUBE_ORIGIN_{key}": str(place)}
        assert checkout.check_out(chosen(tmp_path, "1.28", **where)).version.startswith("v1.28.3")
        with pytest.raises(Failure, match=r"v1\.28\.3.*, not (at )?v1\.2\n"):
            checkout.check_out(chosen(tmp_path, "v1.2", **where))


def test_a_module_proxy_has_the_newest_release_it_lists(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "proxy")
    assert checkout.check_out(proxy.settings(tmp_path, "1.30")).version == "v1.30.2"
    with pytest.raises(Failure, match=r"it lists no release of v1\.31"):
        checkout.check_out(proxy.settings(tmp_path, "v1.31"))


def test_the_distribution_has_the_newest_release_it_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Archive:
        def __init__(self, *_: object) -> None:
            pass

        def update(self) -> None:
            pass

        def source_versions(self, _: str) -> list[str]:
            return ["1.31.0-1", "1.28.10+ds-1", "1.28.9+ds-1"]

        def fetch_source(self, package: str, version: str, folder: Path) -> Path:
            assert (package, version) == ("kubernetes", "1.28.10+ds-1")
            tree = miniature.make(tmp_path / "unpacked")
            folder.mkdir(parents=True)
            with tarfile.open(folder / "kubernetes_1.28.10+ds.orig.tar.gz", "w:gz") as tar:
                tar.add(tree, "kubernetes")
            return folder / "kubernetes_1.28.10+ds-1.dsc"

    monkeypatch.setattr(apt, "Archive", Archive)
    debian = {"STEPKUBE_ORIGIN_APT": "kubernetes"}
    assert checkout.check_out(chosen(tmp_path, "v1.28", **debian)).version == "v1.28.10"
    with pytest.raises(Failure, match=r"it has v1\.28\.9, v1\.28\.10, v1\.31\.0, not v1\.29"):
        checkout.check_out(chosen(tmp_path, "v1.29", **debian))


def test_a_bundle_provides_only_its_own_minor() -> None:
    record = {"version": "v1.28.3", "requested": "auto", "commit": "0" * 40}
    bundle = Index("amd64", record, {}, {})
    require_fit(bundle, "amd64", "v1.28", "here")
    with pytest.raises(Failure, match=r"has Kubernetes v1\.28\.3, but version is v1\.2\n"):
        require_fit(bundle, "amd64", "v1.2", "here")


def test_newest_of_the_offered_releases() -> None:
    assert releases.newest("auto", TAGS) == "v1.10.11"
    assert releases.newest("v1.9", TAGS) == "v1.9.9"
    assert releases.newest("v1.1", TAGS) == ""


def test_yaml_keeps_the_zero_of_a_version(tmp_path: Path) -> None:
    file = tmp_path / "stepkube.yaml"
    file.write_text("version: 1.30\n")
    assert checkout.normalized_version(load.load({"STEPKUBE_CONFIG": str(file)}).version) == "v1.30"
