"""Stands in for Docker where what counts is what the tool does with it: `run` starts the program.

Its folder comes from STANDIN; the image `none` is one it has not, and cannot pull.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path


def start(words: list[str]) -> int:
    """Run a program as `docker run` does: a container's own environment, and its exit code."""
    at = words.index("--entrypoint=")
    options, image, argv = words[:at], words[at + 1], words[at + 2 :]
    if image == "broken:1":
        sys.stderr.write("docker: path /x is mounted on / but it is not a shared or slave mount.\n")
        return 125
    given = dict(word.split("=", 1) for word in options if word.startswith("--") and "=" in word)
    names = [word.removeprefix("--env=") for word in options if word.startswith("--env=")]
    env = {name: os.environ[name] for name in names} | {"PATH": "/image/bin", "HOSTNAME": "box"}
    with Path(given["--cidfile"]).open("x") as cidfile:  # one that is there is an error for Docker
        program = subprocess.Popen(argv, env=env, cwd=given["--workdir"], start_new_session=True)
        Path(os.environ["STANDIN"], "container").write_text(str(program.pid))
        cidfile.write("container")
    code = program.wait()
    Path(os.environ["STANDIN"], "container").unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def main(words: list[str]) -> int:
    folder = Path(os.environ["STANDIN"])
    with (folder / "asked").open("a") as asked:
        asked.write(f"{' '.join(words)}\n")
    container = folder / "container"
    verb = words[0]
    if verb == "run":
        return start(words[1:])
    if verb == "info":
        print(folder)
    if verb == "ps":
        print((folder / "pods").read_text())
    if verb == "load":
        print("Loaded image: web:1")
    if verb == "inspect" and container.is_file():
        print(container.read_text())
    if verb == "rm" and container.is_file():
        with suppress(ProcessLookupError):
            os.kill(int(container.read_text()), signal.SIGKILL)
    if verb in ("image", "pull") and words[-1] == "none:1":
        sys.stderr.write("manifest unknown\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
