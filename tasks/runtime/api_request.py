"""One request to kube-apiserver as the cluster's administrator; kubectl needs ten times as long."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from tasks.certs import credentials, kubeconfig
from tasks.settings import cert_files
from tasks.settings.load import Settings


def send(
    settings: Settings, method: str, path: str, body: str = "", *, timeout: float = 60.0
) -> tuple[int, bytes]:
    """Send a request and return the HTTP status and the body of the answer.

    Raises OSError or http.client.HTTPException when there is no answer within `timeout` seconds, or
    when the certificate of the server is not of this cluster.
    """
    server = urlsplit(kubeconfig.server(settings, "admin"))
    authority, _ = cert_files.pair(settings, "server-ca")
    context = ssl.create_default_context(cafile=str(authority))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # an authority of the user: Go accepts it too
    headers = {"Content-Type": "application/json"}
    crt, key = cert_files.pair(settings, "client-admin")
    login = credentials.admin_credentials(settings, crt, key)
    if "token" in login:
        headers["Authorization"] = f"Bearer {login['token']}"
    else:
        context.load_cert_chain(crt, key)
    assert server.hostname is not None  # noqa: S101 - kubeconfig.server names one
    connection = http.client.HTTPSConnection(
        server.hostname, server.port, timeout=timeout, context=context
    )
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
