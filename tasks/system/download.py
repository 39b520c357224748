"""Downloads: resumed, bounded, shown, and verified before they get their name."""

from __future__ import annotations

import base64
import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.core import console, redact
from tasks.core.errors import Failure
from tasks.system import files, network, resources

Verify = Callable[[Path], None]

_CHUNK = 1 << 18
_SPARE = 0.1  # GiB that a download leaves free on the disk
_TRIES = 5
_BROKEN = (OSError, http.client.HTTPException)


class _Changed(Exception):  # noqa: N818 - nothing is wrong: the file is fetched from its start
    """The file is not the one of which a part is there."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects as urllib follows them, except from https to anything less."""

    def redirect_request(  # noqa: PLR0917 - as urllib calls it
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request for the new address. Raises URLError when it is not https."""
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            fp.close()
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(
    urls: str | Sequence[str],
    target: Path,
    *,
    verify: Verify,
    timeout: float,
    ca_bundle: str = "",
    key: str = "mirror",
) -> str:
    """Download the first of `urls` that answers with a file that `verify` accepts; return its URL.

    `verify` raises Failure for a wrong file, which is then thrown away. A right one that is there
    already is kept, and what an interrupted transfer left beside it is continued. `timeout` is in
    seconds without a byte; `key` is the setting a Failure names.
    """
    part = target.with_name(f".{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    places = [urls] if isinstance(urls, str) else urls
    if places and target.is_file():
        with suppress(Failure):
            verify(target)
            return places[0]
    said: list[str] = []
    for url in places:
        try:
            _complete(url, part, verify, timeout, ca_bundle)
        except Failure as failure:
            said.append(failure.message)
            continue
        part.replace(target)
        _remember_source(part).unlink(missing_ok=True)
        return url
    raise Failure(
        "\n".join(said) or f"there is no address to download {target.name} from",
        f"check the network and the proxy variables, or name another place in {key}",
    )


def read(url: str, *, timeout: float, ca_bundle: str = "", limit: int = 32 << 20) -> bytes:
    """Return the body of a small document of at most `limit` bytes, or fail naming its URL."""
    try:
        with _open(url, 0, timeout, ca_bundle) as response:
            body: bytes = response.read(limit + 1)
    except _BROKEN as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _failure(url, error) from error
    if len(body) > limit:
        raise Failure(f"{url}: longer than the {limit} bytes expected")
    return body


def absent(said: str) -> bool:
    """Tell whether a Failure says that a place answers and does not have what it was asked for."""
    return re.search(r"answered 4\d\d|there is no such file", said) is not None


def _complete(url: str, part: Path, verify: Verify, timeout: float, ca_bundle: str) -> None:
    """Make `part` whole and right; when it was begun by an earlier run and is wrong, start over."""
    resumed = part.exists()
    _transfer(url, part, timeout, ca_bundle)
    try:
        verify(part)
    except Failure as failure:
        _drop(part)
        if not resumed:
            raise Failure(f"{url}: {failure.message}", failure.hint) from failure
        _complete(url, part, verify, timeout, ca_bundle)


def _transfer(url: str, part: Path, timeout: float, ca_bundle: str) -> None:
    """Fetch what is missing from `part`, going on after a break as long as each try brings some."""
    broken: Exception = OSError("it broke off too often")
    for _ in range(_TRIES):
        offset = _size(part)
        try:
            return _append(url, part, offset, timeout, ca_bundle)
        except urllib.error.HTTPError as error:
            error.close()
            if not offset or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise _failure(url, error) from error
            _drop(part)
        except _Changed:
            _drop(part)
        except _BROKEN as error:
            broken = error
            if _size(part) <= offset:
                break
    raise _failure(url, broken)


def _append(url: str, part: Path, offset: int, timeout: float, ca_bundle: str) -> None:
    """Fetch the file from `offset` on, or whole where the server cannot or the file changed."""
    begun = (
        _remember_source(part).read_text() if offset and _remember_source(part).is_file() else ""
    )
    with _open(url, offset, timeout, ca_bundle, begun) as response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            offset = 0
        length = response.headers.get("Content-Length")
        total = offset + int(length) if length else 0
        state = f"{_validator(response.headers)}\n{total}"
        if offset and (_start(response.headers) != offset or begun not in ("", state)):
            raise _Changed
        resources.require_disk(part.parent, _gib(total - offset), f"the download of {url}")
        files.write(_remember_source(part), state)
        heart, done = console.Heartbeat(), offset
        with part.open("ab" if offset else "wb") as stream:
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                done += len(chunk)
                of = f" of {_megabytes(total)}" if total else ""
                heart.beat(f"{url.rsplit('/', 1)[-1]}: {_megabytes(done)}{of} MB")
    if done < total:
        raise ConnectionError(f"the transfer ended after {done} of {total} bytes")


def _validator(headers: Any) -> str:
    """Return what tells this state of a file from another: a strong ETag, else its date."""
    etag = str(headers.get("ETag") or "")
    return etag if etag.startswith('"') else str(headers.get("Last-Modified") or "")


def _start(headers: Any) -> int:
    """Return the offset at which a partial answer says it begins."""
    span = re.match(r"bytes (\d+)-", str(headers.get("Content-Range") or ""))
    return int(span[1]) if span else -1


def _open(url: str, offset: int, timeout: float, ca_bundle: str, begun: str = "") -> Any:
    address, user, password = redact.split(url)
    request = _request(address)
    if user or password:
        word = base64.b64encode(f"{user}:{password}".encode()).decode()
        # An unredirected header stays with the host it is meant for.
        request.add_unredirected_header("Authorization", f"Basic {word}")
    if offset:
        request.add_header("Range", f"bytes={offset}-")
        if begun.partition("\n")[0]:
            request.add_header("If-Range", begun.partition("\n")[0])
    trust = network.require_authorities(ca_bundle)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust), _Redirects)
    return opener.open(request, timeout=timeout)


def _request(address: str) -> urllib.request.Request:
    try:
        return urllib.request.Request(address, headers={"User-Agent": "stepkube"})  # noqa: S310
    except ValueError as error:
        hint = "write it like https://mirror.example.org/path"
        raise Failure(f"{address} is not an address: {error}", hint) from error


def _failure(url: str, error: Exception) -> Failure:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        reason = f"the server answered {error.code} {error.reason}"
    elif isinstance(cause, FileNotFoundError):
        reason = "there is no such file"
    elif isinstance(cause, ssl.SSLCertVerificationError):
        reason = (
            f"its certificate is not trusted ({cause.verify_message});"
            " name the authority that signed it in mirror.ca_bundle (SSL_CERT_FILE)"
        )
    else:
        reason = str(cause) or type(cause).__name__
    return Failure(
        f"{url}: {reason}{_by_proxy(url)}", "check the network, the proxy variables and the mirrors"
    )


def _by_proxy(url: str) -> str:
    """Name the proxy that an address is asked through: it may be what is wrong."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    return f" (through the proxy {proxy})"


def _remember_source(part: Path) -> Path:
    """Return the file that remembers which state of a file was begun."""
    return part.with_suffix(".of")


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    _remember_source(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _megabytes(size: int) -> int:
    return round(size / 1e6)


def _gib(size: int) -> float:
    return round(max(size, 0) / resources.GIB + _SPARE, 2)
