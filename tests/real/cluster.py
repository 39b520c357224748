"""A real cluster as a user handles it: by doit and kubectl."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.kubernetes.tree import load_checkout
from tasks.settings import load
from tasks.system import process

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True)
class Cluster:
    """The instance the tests share, and the commands a user has for it."""

    settings: load.Settings

    def doit(
        self, *words: str, code: int = 0, env: Mapping[str, str] | None = None, **environ: str
    ) -> str:
        """Run doit as a user does; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "doit", *words],
            cwd=load.ROOT,
            env={**os.environ, "START_MODE": "nokubelet,nokubeproxy", **(env or {}), **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        sys.stdout.write(f"$ doit {' '.join(words)}\n{said}")
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said

    def kubectl(self, *words: str, code: int = 0) -> str:
        """Run the kubectl that was built, as the cluster's administrator."""
        done = self.kubectl_in_background(*words)
        out, _ = done.communicate(timeout=240)
        if done.returncode != code:
            seen = self.kubectl_in_background("get", "nodes,pods,events", "--all-namespaces")
            pytest.fail(f"kubectl {' '.join(words)}: {out}\n{seen.communicate(timeout=60)[0]}")
        return out

    def kubectl_in_background(
        self, *words: str, stdin: int = subprocess.DEVNULL
    ) -> "subprocess.Popen[str]":
        """Start kubectl and return its process: it may wait for somebody at a breakpoint."""
        paths = self.settings.paths
        return subprocess.Popen(
            [str(paths.instance / "bin" / "kubectl"), *words],
            env={**os.environ, "KUBECONFIG": str(paths.kubeconfig("admin"))},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def record(self, name: str) -> process.Record:
        """Return the record of a component that must be running."""
        record = process.load(self.settings.paths.run, name)
        assert record is not None and record.alive(), f"{name} does not run"
        return record

    def pids(self) -> dict[str, int]:
        """Return the pid of every component of the control plane."""
        return {name: self.record(name).identity.pid for name in CONTROL_PLANE}

    @property
    def tree(self) -> Path:
        """Return the checked out source."""
        return load_checkout(self.settings.paths.lock).tree
