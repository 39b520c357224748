"""Wait until the node of the cluster is Ready."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import suppress
from typing import Any

from tasks.components import kubelet
from tasks.core import console, timeline
from tasks.core.errors import Failure
from tasks.runtime import api_request
from tasks.settings.load import Settings
from tasks.system.process import tail

READY_TIMEOUT = 120.0
"""Seconds for a node to become Ready; a 1.20 kubelet takes 12."""
POLL_INTERVAL = 0.1
"""Seconds between two requests; one takes 10 ms."""


def wait_ready(settings: Settings) -> None:
    """Wait until the node is Ready.

    Raises Failure with the end of the kubelet's log after READY_TIMEOUT seconds.
    """
    name = settings.kubelet.hostname_override
    deadline = time.monotonic() + READY_TIMEOUT
    with timeline.span(f"node {name} becomes Ready", "wait"):
        while problem := _problem(settings, name):
            if time.monotonic() > deadline:
                log = settings.paths.log(kubelet.NAME)
                raise Failure(
                    f"node {name} did not become Ready within {READY_TIMEOUT:g} s: {problem}\n"
                    f"{tail(log)}",
                    f"read {log}",
                )
            time.sleep(POLL_INTERVAL)
    console.say(f"  node {name} is Ready")


def _problem(settings: Settings, name: str) -> str:
    """Return why a node is not Ready; empty if it is Ready."""
    try:
        status, body = api_request.send(settings, "GET", f"/api/v1/nodes/{name}")
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    answer: Any = None
    with suppress(ValueError):
        answer = json.loads(body)
    if status != http.client.OK or not isinstance(answer, dict):
        message = answer.get("message") if isinstance(answer, dict) else ""
        return message or f"kube-apiserver answers with HTTP status {status}"
    conditions = answer.get("status", {}).get("conditions") or ()
    ready = next((item for item in conditions if item["type"] == "Ready"), None)
    if ready is None:
        return "the kubelet has not reported its state"
    return "" if ready["status"] == "True" else ready.get("message") or "it is not Ready"
