"""Print as JSON what this process inherited."""

import json
import os
import resource
from pathlib import Path

status = dict(
    line.split(":\t")
    for line in Path("/proc/self/status").read_text().splitlines()
    if ":\t" in line
)
print(
    json.dumps(
        {
            "open files": str(resource.getrlimit(resource.RLIMIT_NOFILE)),
            "file size": str(resource.getrlimit(resource.RLIMIT_FSIZE)),
            "memory": str(resource.getrlimit(resource.RLIMIT_AS)),
            "nice": str(os.getpriority(os.PRIO_PROCESS, 0)),
            "policy": str(os.sched_getscheduler(0)),
            "processors": str(len(os.sched_getaffinity(0))),
            "oom": Path("/proc/self/oom_score_adj").read_text().strip(),
            "masked": status["SigBlk"].strip(),
            "ignored": f"{int(status['SigIgn'], 16) & ~((1 << 12) | (1 << 24)):016x}",
            "descriptors": str(sorted(entry.name for entry in Path("/proc/self/fd").iterdir())),
            **{name: os.environ.get(name, "-") for name in ("LC_ALL", "LANG", "TMPDIR", "PATH")},
        }
    )
)
