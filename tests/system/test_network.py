"""A private authority and a proxy, as in a corporate network, and passwords in addresses."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.check import mirrors
from tasks.checkout import tasks as checkout
from tasks.core import console
from tasks.core.errors import Failure
from tasks.core.redact import mask, split
from tasks.kubernetes import tool_record
from tasks.settings import load
from tasks.system import apt, download, network
from tasks.system.run import run
from tests.support import miniature
from tests.support.doit import doit
from tests.support.servers import NAME, GitHandler, authority, connect_proxy, served

MODULE = "example.org/thing"


class Mirror(GitHandler):
    """A mirror of everything: git below /k8s, a Go module, and one plain file."""

    files: dict[str, bytes]

    def do_GET(self) -> None:  # noqa: N802 - the name is http.server's
        if self.path not in self.files:
            super().do_GET()
            return
        body = self.files[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, list[str]]]:
    """Serve https://mirror.invalid through a proxy; yield the authority's file and the log."""
    for name in network.PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    miniature.make(tmp_path / "served" / "k8s", tags=("v1.28.3",))
    archive = tmp_path / "thing.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(f"{MODULE}@v1.0.0/go.mod", f"module {MODULE}\n")
        zipped.writestr(f"{MODULE}@v1.0.0/thing.go", "package thing\n")
    Mirror.root, Mirror.asked, Mirror.cut = tmp_path / "served", [], staticmethod(lambda *_: -1)
    Mirror.files = {
        "/file": b"a file",
        f"/{MODULE}/@v/v1.0.0.info": json.dumps({"Version": "v1.0.0"}).encode(),
        f"/{MODULE}/@v/v1.0.0.mod": f"module {MODULE}\n".encode(),
        f"/{MODULE}/@v/v1.0.0.zip": archive.read_bytes(),
    }
    bundle, pair = authority(tmp_path)
    with served(Mirror, pair) as port, connect_proxy(port) as (proxy, seen):
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("http://", "http://me:pr0xy@"))
        yield bundle, seen


def chosen(tmp_path: Path, bundle: Path | str = "", **environ: str) -> load.Settings:
    return load.load(
        {
            "STEPKUBE_HOME": str(tmp_path / "home"),
            "STEPKUBE_ORIGIN_APT": "",
            "STEPKUBE_ORIGIN_GIT": f"https://{NAME}/k8s/.git",
            "STEPKUBE_ORIGIN_TIMEOUT": "30",
            "SSL_CERT_FILE": str(bundle),
            "GOPROXY": f"https://{NAME}",
            "GOSUMDB": "off",
            **environ,
        }
    )


LOGIN = "Basic " + base64.b64encode(b"me:pr0xy").decode()


def test_downloads_use_the_proxy_and_trust_the_bundle(
    tmp_path: Path, mirror: tuple[Path, list[str]]
) -> None:
    bundle, seen = mirror
    url = f"https://{NAME}/file"
    with pytest.raises(Failure, match=r"certificate is not trusted .*mirror\.ca_bundle") as caught:
        download.read(url, timeout=60)
    assert "through the proxy http://***@127.0.0.1" in str(caught.value)
    assert "pr0xy" not in str(caught.value)
    assert download.read(url, timeout=60, ca_bundle=str(bundle)) == b"a file"
    assert seen == [f"CONNECT {NAME}:443 {LOGIN}"] * 2


def test_git_uses_the_proxy_and_trusts_the_bundle(
    tmp_path: Path, mirror: tuple[Path, list[str]]
) -> None:
    bundle, seen = mirror
    with pytest.raises(Failure, match=r"(?i)certificate.*mirror\.ca_bundle"):
        checkout.check_out(chosen(tmp_path))
    assert checkout.check_out(chosen(tmp_path, bundle)).version == "v1.28.3"
    assert f"CONNECT {NAME}:443" in seen[0]


def test_go_uses_the_proxy_and_trusts_the_bundle(
    tmp_path: Path, mirror: tuple[Path, list[str]], go: Path, go_version: str
) -> None:
    bundle, seen = mirror
    root = Path(run(go, "env", "GOROOT").stdout.strip())
    found = tool_record.Tool("go", go_version, root / "bin/go", root, "here")
    command = ("mod", "download", "-json", f"{MODULE}@v1.0.0")
    without = run(found.bin, *command, env=tool_record.go_env(chosen(tmp_path), found), check=False)
    assert without.code and "certificate" in without.stdout
    assert seen and seen[0].startswith(f"CONNECT {NAME}:443")
    env = tool_record.go_env(chosen(tmp_path, bundle), found) | {"GOFLAGS": "-modcacherw"}
    downloaded = json.loads(run(found.bin, *command, env=env).stdout)
    assert (Path(downloaded["Dir"]) / "thing.go").is_file()


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_hosts_in_no_proxy_are_connected_to_directly(
    tmp_path: Path, mirror: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    bundle, seen = mirror
    monkeypatch.setenv(name, f"localhost,{NAME}")
    with pytest.raises(Failure, match=r"not known|resolution|not resolve") as caught:
        download.read(f"https://{NAME}/file", timeout=60, ca_bundle=str(bundle))
    assert "through the proxy" not in str(caught.value)
    with pytest.raises(Failure):
        checkout.check_out(chosen(tmp_path, bundle))
    assert seen == []


def test_a_mirror_and_a_public_host_need_both_authorities(
    tmp_path: Path, mirror: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, _ = mirror
    system = tmp_path / "system.pem"
    (tmp_path / "other").mkdir()
    other, _ = authority(tmp_path / "other")
    system.write_bytes(other.read_bytes())
    monkeypatch.setattr(network, "SYSTEM_CAS", (str(system),))
    settings = chosen(tmp_path, bundle)
    variables = network.ca_variables(settings)
    assert set(variables) == {"SSL_CERT_FILE", "GIT_SSL_CAINFO"}
    text = Path(variables["GIT_SSL_CAINFO"]).read_text()
    assert system.read_text() in text and bundle.read_text() in text
    options = apt._options(tmp_path, settings.mirror, network.ca_file(settings), ())
    assert f'Acquire::https::CaInfo "{variables["GIT_SSL_CAINFO"]}";' in options
    assert network.ca_variables(chosen(tmp_path)) == {}


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_wrong_bundle_is_refused_before_anything_is_fetched(
    tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "corporate.pem"
    if content is not None:
        bundle.write_text(content)
    done = doit(tmp_path / "home", "checkout", SSL_CERT_FILE=str(bundle))
    assert done.returncode == 1
    assert "corporate.pem" in done.stderr and "set mirror.ca_bundle" in done.stderr
    assert "cannot be reached" not in done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOPROXY", "http://[::1"),
        ("GOPROXY", "proxy.example.org"),
        ("STEPKUBE_MIRROR_CNI", "here"),
        ("STEPKUBE_MIRROR_GO", "http://mirror:port/go"),
        ("STEPKUBE_MIRROR_APT", "debian"),
    ],
)
def test_a_mirror_that_is_not_an_address_is_refused(tmp_path: Path, name: str, value: str) -> None:
    message = str(mirrors.make(load.load({"STEPKUBE_HOME": str(tmp_path), name: value})))
    assert name in message and f"'{value}' is not an address" in message and "fix:" in message


def test_blanks_and_a_last_comma_in_a_list_of_proxies_do_no_harm(tmp_path: Path) -> None:
    value = "https://a.example.org, https://b.example.org | direct,"
    assert mirrors.make(load.load({"STEPKUBE_HOME": str(tmp_path), "GOPROXY": value})) is None


def test_both_spellings_of_the_proxy_variables_are_set() -> None:
    assert network.proxy_variables({"HTTP_PROXY": "a", "no_proxy": "b", "https_proxy": ""}) == {
        "http_proxy": "a",
        "HTTP_PROXY": "a",
        "no_proxy": "b",
        "NO_PROXY": "b",
    }


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("get https://u:s3cr3t@h/x, https://s3cr3t@h/y", "get https://***@h/x, https://***@h/y"),
        ("https://a.org,https://u:s3cr3t@b.org|direct", "https://a.org,https://***@b.org|direct"),
        ("'https://u:p@s3cr3t@h/x'", "'https://***@h/x'"),
        ("socks5://u:s3cr3t@h:1", "socks5://u:***@h:1"),
        ("ssh://git@h/x and git@h:x and https://h/?mail=a@b", None),
    ],
)
def test_no_address_shows_its_password(
    text: str, masked: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = text if masked is None else masked
    assert mask(text) == expected
    failure = Failure(text, text)
    assert (failure.message, failure.hint, failure.args) == (expected, expected, (expected,))
    console.say(text)
    assert capsys.readouterr().out == f"{expected}\n"


def test_credentials_are_split_from_an_address() -> None:
    assert split("https://u%40x:p%2Fw@h:8/p?q") == ("https://h:8/p?q", "u@x", "p/w")
    assert split("ssh://git@h/x") == ("ssh://git@h/x", "", "")
    assert split("/a/path") == ("/a/path", "", "")


def test_credentials_of_a_download_are_sent_and_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Guarded(Mirror):
        login = "user:s3cr3t"
        files: dict[str, bytes] = {}  # noqa: RUF012
        root = tmp_path
        asked: list[str] = []  # noqa: RUF012
        cut = staticmethod(lambda *_: -1)

        def do_GET(self) -> None:  # noqa: N802 - the name is http.server's
            header = self.headers.get("Authorization", "")
            right = header == "Basic " + base64.b64encode(b"user:s3cr3t").decode()
            self.send_response(200 if right else 401)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served(Guarded) as port:
        assert download.read(f"http://user:s3cr3t@127.0.0.1:{port}/x", timeout=60) == b"ok"
        with pytest.raises(Failure, match="answered 401") as caught:
            download.read(f"http://user:wr0ng@127.0.0.1:{port}/x", timeout=60)
    assert "wr0ng" not in str(caught.value)


def test_neither_config_nor_the_workspace_shows_a_password(tmp_path: Path) -> None:
    environ = {
        "GOPROXY": "https://u:s3cr3t@goproxy.invalid",
        "STEPKUBE_ORIGIN_APT": "",
        "STEPKUBE_MIRROR_GO": "https://u:s3cr3t@go.invalid/dl",
        "SSL_CERT_FILE": "",
        "STEPKUBE_MIRROR_APT": "https://u:s3cr3t@deb.invalid/debian",
        "STEPKUBE_ORIGIN_GIT": "https://u:s3cr3t@127.0.0.1:1/k8s.git",
    }
    for words in (["config"], ["checkout"], ["info", "checkout"], ["info", "toolchain:go"]):
        done = doit(tmp_path / "home", *words, **environ)
        assert "s3cr3t" not in done.stdout + done.stderr, words
        assert words != ["checkout"] or "https://***@127.0.0.1:1/k8s.git" in done.stderr
    for file in (tmp_path / "home").rglob("*"):
        assert not file.is_file() or b"s3cr3t" not in file.read_bytes(), file
