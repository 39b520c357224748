"""How people log in to the cluster: a token in place of a certificate, credentials of their own.

Neither a token nor anything else that is secret stands in a command line or a record of doit.
"""

from __future__ import annotations

import csv
import io
import os
import pwd
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.certs import kubeconfig
from tasks.core.errors import Failure
from tasks.settings import cert_files
from tasks.settings.load import Settings
from tasks.settings.paths import absolute

USER = "user"
"""The kubeconfig that AUTH_ARGS makes."""
FIELDS = ("client-certificate", "client-key", "token")
"""What `kubectl config set-credentials` takes and every kube-apiserver can check."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


def admin(settings: Settings, crt: Path, key: Path) -> dict[str, str]:
    """Return how the administrator logs in; beside a certificate a token would not count."""
    token = settings.certs.kubeconfig_token
    return {"token": token} if token else kubeconfig.certificate(crt, key)


def own(settings: Settings) -> dict[str, str]:
    """Return the user's own credentials as fields of a kubeconfig.

    Raises Failure for what is none, without repeating a value.
    """
    try:
        words = shlex.split(settings.certs.auth_args)
    except ValueError as error:
        raise Failure(str(error).lower(), "quote it like a shell wants") from None
    found: dict[str, str] = {}
    while words:
        name, equals, text = words.pop(0).partition("=")
        field = name.removeprefix("--")
        if not name.startswith("--") or field not in FIELDS:
            shown = name if name.startswith("--") else "a word without dashes"
            raise Failure(
                f"{shown} is no credential that kube-apiserver can check here",
                "use " + ", ".join(f"--{known}=" for known in FIELDS),
            )
        if not equals:
            text = words.pop(0) if words else ""
        if not text:
            raise Failure(f"{name} has no value", f"for example {name}=...")
        found[field] = text if field == "token" else absolute(text)
    return found


def credential_conflicts(settings: Settings) -> Iterator[Failure]:
    """Yield a failure for credentials that nobody could log in with."""
    token, source = settings.certs.kubeconfig_token, settings.source("certs.kubeconfig_token")
    if token and not _TOKEN.fullmatch(token):
        yield Failure(
            f"{source}: a token is one word of visible ASCII characters",
            "for example: openssl rand -hex 16",
        )
    source = settings.source("certs.auth_args")
    try:
        found = own(settings)
    except Failure as failure:
        yield Failure(f"{source}: {failure.message}", failure.hint)
        return
    if ("client-key" in found) != ("client-certificate" in found):
        yield Failure(f"{source}: a certificate and its key go together", "name both")
    for field in ("client-certificate", "client-key"):
        if field in found and not Path(found[field]).is_file():
            yield Failure(f"{source}: {found[field]} is not there", f"correct --{field}")
    yield from _owner(settings)


def _owner(settings: Settings) -> Iterator[Failure]:
    """Judge an owner who was named on purpose; the variable USER is in every shell."""
    name, source = settings.certs.owner, settings.source("certs.owner")
    if not name or source.startswith("the environment"):
        return
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        yield Failure(f"{source}: there is no user {name}", "name one of this machine")
        return
    if os.geteuid() not in (0, uid):
        yield Failure(f"{source}: only root can give files to {name}", "leave it out")


def tokens(settings: Settings) -> str:
    """Return the lines that tell kube-apiserver whose the token is: token, user, uid, groups."""
    if not settings.certs.kubeconfig_token:
        return ""
    lines = io.StringIO()
    row = (settings.certs.kubeconfig_token, "system:admin", "system:admin", "system:masters")
    csv.writer(lines, lineterminator="\n").writerow(row)
    return lines.getvalue()


def user_kubeconfig(settings: Settings) -> str:
    """Return the kubeconfig of the user's own credentials, empty without any."""
    mine = own(settings) if settings.certs.auth_args else {}
    if not mine:
        return ""
    authority, _ = cert_files.pair(settings, "server-ca")
    return kubeconfig.content(kubeconfig.server(settings, USER), authority, mine)


def fields_of(settings: Settings, name: str, crt: Path, key: Path) -> Mapping[str, str]:
    """Return how the client of a kubeconfig logs in."""
    if name in ("admin", cert_files.AGGREGATOR):
        return admin(settings, crt, key)
    return kubeconfig.certificate(crt, key)
