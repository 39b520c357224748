"""What a Go program says last is its reason, not the stacks that follow it."""

from pathlib import Path

import pytest

from tasks.system import process

FATAL = """\
I1130 15:41:07.1 1 server.go:417] Version: v1.20.2
F1130 15:41:07.2 1 server.go:269] failed: unrecognized feature gate: Nope
goroutine 1 [running]:
k8s.io/klog/v2.stacks(0xc00012e001, 0xc0001f6000, 0x7d, 0x227)
\t/tree/vendor/k8s.io/klog/v2/klog.go:1026 +0xb9
main.main()
\t_output/local/go/src/k8s.io/kubernetes/cmd/kubelet/kubelet.go:41 +0xe5

goroutine 18 [chan receive]:
k8s.io/klog/v2.(*loggingT).flushDaemon(0x6fb2f80)
\t/tree/vendor/k8s.io/klog/v2/klog.go:1169 +0x8b
created by k8s.io/klog/v2.init.0
\t/tree/vendor/k8s.io/klog/v2/klog.go:417 +0xdf
"""
PANIC = "panic: no luck\n\ngoroutine 1 [running]:\nmain.main()\n\t/tree/main.go:4 +0x39\n"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (FATAL, "unrecognized feature gate: Nope"),
        (PANIC, "panic: no luck"),
        (f"{FATAL}I1130 started again\n", "started again"),
        ("main.main()\n", "main.main()"),
        ("", ""),
    ],
)
def test_the_last_words_are_before_the_stacks(tmp_path: Path, text: str, last: str) -> None:
    log = tmp_path / "log"
    log.write_text(text)
    lines = [line for line in process.last_lines(log, 5) if line]
    assert last in (lines or [""])[-1]


def test_long_stacks_do_not_hide_the_reason(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("the reason\n" + "goroutine 7 [select]:\nmain.main()\n\t/a.go:1 +0x1\n\n" * 5000)
    assert "the reason" in process.tail(log)
