"""Stays beside the toy like `ENABLE_DAEMON=false doit up` beside a cluster.

Usage: python -m tests.support.toyforeground HOME BASE_PORT PORT [broken]
"""

import signal
import sys
from functools import partial

from tasks.cluster import foreground
from tasks.cluster import tasks as cluster
from tasks.components import registry
from tasks.core import console, doit_run
from tasks.runtime import accepted_flags, processes
from tasks.settings import load
from tests.support import toycluster


def main(home: str, base: str, port: str, broken: str = "") -> None:
    made = load.load(
        {
            "STEPKUBE_HOME": home,
            "STEPKUBE_DEBUG_BASE_PORT": base,
            "ENABLE_DAEMON": "false",
        }
    )
    registry.COMPONENTS["toy"] = toycluster.spec(int(port))
    foreground.POLL_INTERVAL = 0.05
    accepted_flags.with_accepted_flags = toycluster.accept
    state = doit_run.current()
    state.dependencies, state.selected = {"up": ()}, ("up",)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    foreground.stop_cluster_on_exit(made, partial(cluster.stop_all, made))
    record = processes.start(made, processes.desired_component(made, "toy"))
    console.say(f"staying, pid {record.identity.pid}")
    if broken:
        raise ValueError(broken)
    foreground.watch(made, ["toy"])
    console.say("nothing left to watch")


if __name__ == "__main__":
    main(*sys.argv[1:])
