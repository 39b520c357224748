"""Downloads: resumed after a break, with a progress line, verified before they get their name."""

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

from tasks.core import console, redact, timeline
from tasks.core.errors import Failure
from tasks.system import damage, files, network, partial, resources

Verify = Callable[[Path], None]

_CHUNK = 1 << 18
_RESERVE = 0.1  # GiB that a download leaves free on the disk
_TRIES = 5
_TRANSFER_ERRORS = (OSError, http.client.HTTPException)


class NotFound(Failure):
    """The server answers, but it does not give the file: a status 4xx, or a missing local file."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects as urllib follows them, except from https to another scheme."""

    def redirect_request(  # noqa: PLR0917 - urllib calls it
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request for the new address. Raises URLError when it leaves https."""
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            fp.close()
            raise urllib.error.URLError(f"the server redirects to {newurl}, which is not https")
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
    """Download a file from the first of `urls` that has a valid one; return its URL.

    `verify` raises Failure for a wrong file, which is then removed. A valid file at `target` is
    kept. An interrupted transfer is continued. `timeout` is in seconds without a byte; `key` is
    the setting that a Failure names.
    """
    part = target.with_name(f".{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    addresses = [urls] if isinstance(urls, str) else urls
    if addresses and target.is_file():
        with suppress(Failure):
            verify(target)
            return addresses[0]
    failures: list[Failure] = []
    for url in addresses:
        try:
            _fetch_verified(url, part, verify, timeout, ca_bundle)
        except Failure as failure:
            failures.append(failure)
        else:
            if target.is_dir():
                damage.set_aside(target, "it is a folder")
            part.replace(target)
            partial.state_file(part).unlink(missing_ok=True)
            return url
    raise combined(
        failures or [Failure(f"no address to download {target.name} from is configured")],
        f"check the network and the proxy variables, or set {key} to another address",
    )


def combined(failures: Sequence[Failure], hint: str) -> Failure:
    """Return one Failure for those of several addresses; NotFound if one of them is that."""
    kind = NotFound if any(isinstance(one, NotFound) for one in failures) else Failure
    return kind("\n".join(failure.message for failure in failures), hint)


def read(url: str, *, timeout: float, ca_bundle: str = "", limit: int = 32 << 20) -> bytes:
    """Return the body of a document of at most `limit` bytes. Raises Failure with its URL."""
    try:
        with _open(url, 0, timeout, ca_bundle) as response:
            body: bytes = response.read(limit + 1)
    except _TRANSFER_ERRORS as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _failure(url, error) from error
    if len(body) > limit:
        raise Failure(f"{url}: the answer is longer than {limit} bytes")
    return body


def _fetch_verified(url: str, part: Path, verify: Verify, timeout: float, ca_bundle: str) -> None:
    """Download `part` and verify it; start over when it is wrong and was resumed."""
    resumed = part.exists()
    _transfer(url, part, timeout, ca_bundle)
    try:
        verify(part)
    except Failure as failure:
        partial.drop(part)
        if not resumed:
            raise Failure(f"{url}: {failure.message}", failure.hint) from failure
        _fetch_verified(url, part, verify, timeout, ca_bundle)


def _transfer(url: str, part: Path, timeout: float, ca_bundle: str) -> None:
    """Fetch the missing bytes of `part`; continue after a break if the last try brought bytes."""
    last_error: Exception = OSError("the connection broke too often")
    for _ in range(_TRIES):
        offset = partial.size(part)
        try:
            with timeline.span(Path(urlsplit(url).path).name, "download", url=redact.mask(url)):
                return _append(url, part, offset, timeout, ca_bundle)
        except urllib.error.HTTPError as error:
            error.close()
            if not offset or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise _failure(url, error) from error
            partial.drop(part)
        except partial.Changed:
            partial.drop(part)
        except _TRANSFER_ERRORS as error:
            last_error = error
            if partial.size(part) <= offset:
                break
    raise _failure(url, last_error)


def _append(url: str, part: Path, offset: int, timeout: float, ca_bundle: str) -> None:
    """Fetch the file from `offset`, or from 0 if the server has no ranges or the file changed."""
    previous = partial.read_state(part) if offset else ""
    with _open(url, offset, timeout, ca_bundle, previous) as response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            offset = 0
        length = re.fullmatch("[0-9]{1,30}", response.headers.get("Content-Length") or "")
        total = offset + int(length[0]) if length else 0
        state = f"{partial.validator(response.headers)}\n{total}"
        resumes = _range_start(response.headers) == offset and previous in ("", state)
        if offset and not resumes:
            raise partial.Changed
        resources.require_disk(part.parent, _gib(total - offset), f"the download of {url}")
        files.write(partial.state_file(part), state)
        heartbeat, done = console.Heartbeat(), offset
        with part.open("ab" if offset else "wb") as stream:
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                done += len(chunk)
                of_total = f" of {round(total / 1e6)}" if total else ""
                name = url.rsplit("/", 1)[-1]
                heartbeat.beat(f"{name}: {round(done / 1e6)}{of_total} MB")
    if done < total:
        raise ConnectionError(f"the transfer stopped after {done} of {total} bytes")


def _range_start(headers: Any) -> int:
    """Return the offset at which a partial answer begins (Content-Range), -1 without one."""
    span = re.match(r"bytes ([0-9]{1,30})-", str(headers.get("Content-Range") or ""))
    return int(span[1]) if span else -1


def _open(url: str, offset: int, timeout: float, ca_bundle: str, state: str = "") -> Any:
    address, user, password = redact.split(url)
    request = _request(address)
    if user or password:
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        # urllib does not send an unredirected header to the host of a redirect.
        request.add_unredirected_header("Authorization", f"Basic {credentials}")
    if offset:
        request.add_header("Range", f"bytes={offset}-")
        if state.partition("\n")[0]:
            request.add_header("If-Range", state.partition("\n")[0])
    context = network.ssl_context(ca_bundle)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects)
    return opener.open(request, timeout=timeout)


def _request(address: str) -> urllib.request.Request:
    try:
        return urllib.request.Request(address, headers={"User-Agent": "stepkube"})  # noqa: S310
    except ValueError as error:
        hint = "use an address such as https://mirror.example.org/path"
        raise Failure(f"{address} is not an address: {error}", hint) from error


def _failure(url: str, error: Exception) -> Failure:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    is_absent = isinstance(cause, FileNotFoundError)
    if isinstance(error, urllib.error.HTTPError):
        is_absent = 400 <= error.code < 500
        reason = f"the server answered {error.code} {error.reason}"
    elif is_absent:
        reason = "there is no such file"
    elif isinstance(cause, ssl.SSLCertVerificationError):
        reason = (
            f"its certificate is not trusted ({cause.verify_message});"
            " set mirror.ca_bundle (SSL_CERT_FILE) to a file with the authority that signed it"
        )
    else:
        reason = str(cause) or type(cause).__name__
    kind = NotFound if is_absent else Failure
    hint = "check the network, the proxy variables and the mirrors"
    return kind(f"{url}: {reason}{_proxy_note(url)}", hint)


def _proxy_note(url: str) -> str:
    """Return a note that names the proxy of an address: the proxy may cause the error."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    return f" (through the proxy {proxy})"


def _gib(size: int) -> float:
    return round(max(size, 0) / resources.GIB + _RESERVE, 2)
