"""Credentials of users: the administrator's token or certificate, and the user's AUTH_ARGS.

No token or other secret is written to a command line or to doit's database.
"""

from __future__ import annotations

import csv
import difflib
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

USER = "user"
"""Name of the kubeconfig with the credentials from AUTH_ARGS."""
FIELDS = ("client-certificate", "client-key", "token")
"""Options of `kubectl config set-credentials` that every kube-apiserver can check."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


def admin_credentials(settings: Settings, crt: Path, key: Path) -> dict[str, str]:
    """Return the administrator's credentials as fields of a kubeconfig: token or certificate.

    Never both: next to a certificate, a token has no effect.
    """
    token = settings.certs.kubeconfig_token
    return {"token": token} if token else kubeconfig.certificate(crt, key)


def user_credentials(settings: Settings) -> dict[str, str]:
    """Return the credentials in AUTH_ARGS (certs.auth_args) as fields of a kubeconfig.

    Raises Failure for invalid options; its message contains no value, because it can be secret.
    """
    try:
        arguments = shlex.split(settings.certs.auth_args)
    except ValueError as error:
        raise Failure(str(error).lower(), "use shell quoting") from None
    fields: dict[str, str] = {}
    while arguments:
        name, equals, value = arguments.pop(0).partition("=")
        field = name.removeprefix("--")
        if not name.startswith("--") or field not in FIELDS:
            shown = name if name.startswith("--") else "an argument without dashes"
            near = difflib.get_close_matches(field, FIELDS, n=1) if shown == name else []
            raise Failure(
                f"{shown} is not a credential that kube-apiserver can check",
                f"did you mean --{near[0]}?"
                if near
                else "use " + ", ".join(f"--{known}=" for known in FIELDS),
            )
        if not equals:
            value = arguments.pop(0) if arguments else ""
        if not value:
            raise Failure(f"{name} has no value", f"write {name}=VALUE")
        if field in fields:
            raise Failure(f"{name} is set twice", "remove one of them")
        fields[field] = value if field == "token" else _path(settings, name, value)
    return fields


def _path(settings: Settings, name: str, value: str) -> str:
    try:
        return settings.places["certs.auth_args"].path(value)
    except ValueError as error:
        raise Failure(f"{name} is not {error}", "correct the path") from None


def credential_conflicts(settings: Settings) -> Iterator[Failure]:
    """Yield a failure for each setting of credentials that cannot work."""
    token, source = settings.certs.kubeconfig_token, settings.source("certs.kubeconfig_token")
    if token and not _TOKEN.fullmatch(token):
        yield Failure(
            f"{source}: the value is not a token: 1 to 4096 visible ASCII characters, no spaces",
            "create one, for example: openssl rand -hex 16",
        )
    source = settings.source("certs.auth_args")
    try:
        fields = user_credentials(settings)
    except Failure as failure:
        yield Failure(f"{source}: {failure.message}", failure.hint)
        return
    if ("client-key" in fields) != ("client-certificate" in fields):
        missing = "client-certificate" if "client-key" in fields else "client-key"
        yield Failure(
            f"{source}: --{missing} is missing", "set --client-certificate and --client-key"
        )
    for field in ("client-certificate", "client-key"):
        if field in fields and not Path(fields[field]).is_file():
            yield Failure(f"{source}: {fields[field]} does not exist", f"correct --{field}")
    yield from _owner_conflicts(settings)


def _owner_conflicts(settings: Settings) -> Iterator[Failure]:
    """Yield a failure for an invalid certs.owner, unless it comes from USER, as in every shell."""
    name, source = settings.certs.owner, settings.source("certs.owner")
    if not name or source.startswith("the environment"):
        return
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        yield Failure(f"{source}: user {name} does not exist", "use a user of this machine")
        return
    if os.geteuid() not in (0, uid):
        yield Failure(f"{source}: only root can change the owner to {name}", "unset certs.owner")


def token_file_content(settings: Settings) -> str:
    """Return the content of kube-apiserver's token file: token, user, uid, groups.

    Empty if certs.kubeconfig_token is not set.
    """
    if not settings.certs.kubeconfig_token:
        return ""
    lines = io.StringIO()
    row = (settings.certs.kubeconfig_token, "system:admin", "system:admin", "system:masters")
    csv.writer(lines, lineterminator="\n").writerow(row)
    return lines.getvalue()


def user_kubeconfig(settings: Settings) -> str:
    """Return the kubeconfig with the credentials in AUTH_ARGS; empty if it is not set."""
    fields = user_credentials(settings) if settings.certs.auth_args else {}
    if not fields:
        return ""
    authority, _ = cert_files.pair(settings, "server-ca")
    return kubeconfig.content(kubeconfig.server(settings, USER), authority, fields)


def client_credentials(settings: Settings, name: str, crt: Path, key: Path) -> Mapping[str, str]:
    """Return the credentials in the kubeconfig `name`, as its fields."""
    if name in ("admin", cert_files.AGGREGATOR):
        return admin_credentials(settings, crt, key)
    return kubeconfig.certificate(crt, key)
