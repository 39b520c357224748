"""TLS of git: nothing that a user's environment or configuration holds switches it off."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.checkout import tasks as checkout
from tasks.core.errors import Failure
from tasks.settings import load
from tests.support import miniature
from tests.support.servers import GitHandler, authority, git_server, served


class Git(GitHandler):
    """A git server, or one that redirects to another address."""

    elsewhere = ""

    def do_GET(self) -> None:  # noqa: N802 - the name is http.server's
        if not self.elsewhere:
            return super().do_GET()
        self.send_response(302)
        self.send_header("Location", self.elsewhere + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, int]]:
    """Serve a git repository by TLS; return the authority's file and the port."""
    for name in ("GIT_SSL_CAINFO", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    miniature.make(tmp_path / "served" / "k8s", tags=("v1.28.3",))
    Git.root, Git.asked, Git.cut = tmp_path / "served", [], staticmethod(lambda *_: -1)
    Git.elsewhere = ""
    bundle, pair = authority(tmp_path)
    with served(Git, pair) as port:
        yield bundle, port


def check_out(home: Path, port: int, bundle: str = "") -> str:
    environ = {
        "STEPKUBE_HOME": str(home),
        "STEPKUBE_ORIGIN_APT": "",
        "STEPKUBE_ORIGIN_GIT": f"https://127.0.0.1:{port}/k8s/.git",
        "STEPKUBE_ORIGIN_TIMEOUT": "30",
        "GOPROXY": "off",
        "SSL_CERT_FILE": bundle,
    }
    return checkout.check_out(load.load(environ, {}, Path(os.devnull))).version


CONFIGURED = {
    "environment": {"GIT_SSL_NO_VERIFY": "1"},
    "environment's configuration": {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.sslVerify",
        "GIT_CONFIG_VALUE_0": "false",
    },
    "user's configuration": {"GIT_CONFIG_GLOBAL": "[http]\nsslVerify = false\n"},
    "configuration of the address": {
        "GIT_CONFIG_GLOBAL": '[http "https://127.0.0.1:PORT/k8s/.git"]\nsslVerify = false\n'
    },
}


@pytest.mark.parametrize("case", CONFIGURED)
def test_a_certificate_is_always_verified(
    tmp_path: Path, secure: tuple[Path, int], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    bundle, port = secure
    for name, value in CONFIGURED[case].items():
        if name == "GIT_CONFIG_GLOBAL":
            (tmp_path / "gitconfig").write_text(value.replace("PORT", str(port)))
        path = name == "GIT_CONFIG_GLOBAL"
        monkeypatch.setenv(name, str(tmp_path / "gitconfig") if path else value)
    with pytest.raises(Failure, match=r"(?i)certificate"):
        check_out(tmp_path / "home", port)
    assert check_out(tmp_path / "home", port, str(bundle)) == "v1.28.3"


@pytest.mark.parametrize("allowed", ["", "http:https"])
def test_no_redirect_leads_from_https_to_http(
    tmp_path: Path, secure: tuple[Path, int], monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    bundle, port = secure
    if allowed:
        monkeypatch.setenv("GIT_ALLOW_PROTOCOL", allowed)
    with git_server(tmp_path / "served") as (plain, handler):
        Git.elsewhere = plain
        with pytest.raises(Failure):
            check_out(tmp_path / "home", port, str(bundle))
        assert handler.asked == []
