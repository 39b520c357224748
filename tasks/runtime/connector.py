"""Connect a process of the host to the sandbox's networks; a separate program for root.

Usage: connector.py PID RECORD NETWORK..., where PID runs under connect_filter.py, and RECORD is the
file with the identity of the sandbox's PID 1. The kernel asks this program at each connect(2) of
PID. For an address in one of the networks, the socket is exchanged for one that was created in
the sandbox, see seccomp_unotify(2); so the host needs no link, route or rule. While the sandbox
does not run, the address is unreachable. All other addresses are connected to as usual.
"""

import ctypes
import errno
import fcntl
import ipaddress
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from pathlib import Path

LISTENER = "anon_inode:seccomp notify"
RECEIVE, SEND, ADD_DESCRIPTOR = 0xC0502100, 0xC0182101, 0x40182103
"""The operations SECCOMP_IOCTL_NOTIF_* of linux/seccomp.h."""
REQUEST = struct.Struct("=QIIiIQQQQ24x")
"""struct seccomp_notif: number, thread, two numbers, architecture, address, three arguments."""
CONTINUE = 1
REPLACE = 1
"""Flags: let the kernel do the call; give the new descriptor the number of an existing one."""
PIDFD_GETFD = 438
TGKILL = {"x86_64": 234, "aarch64": 131}
"""Numbers of system calls; the C library has no function for them, or not on every system."""
CLONE_NEWNET = 0x40000000
LONGEST_ADDRESS = 128
"""The size in bytes of struct sockaddr_storage."""
DNS = 53
_LIBC = ctypes.CDLL(None, use_errno=True)


class Connector:
    """Answers the connect(2) calls of a process."""

    def __init__(self, pid: int, record: Path, networks: list[str]) -> None:
        self.record = record
        self.networks = [ipaddress.ip_network(network) for network in networks]
        self.listener = listener_of(pid)
        self.host = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def serve(self) -> None:
        """Answer until the process and its children have exited."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        while any(event & select.POLLIN for _, event in poll.poll()):
            request = bytearray(REQUEST.size)
            with suppress(FileNotFoundError):  # a signal interrupted the call
                fcntl.ioctl(self.listener, RECEIVE, request, True)
                self._start_answer(bytes(request))

    def _start_answer(self, request: bytes) -> None:
        """Answer in a thread: a blocking socket can take minutes; a thread enters namespaces alone.

        Without a free thread, the answer must come too: the component waits for it.
        """
        try:
            threading.Thread(target=self.answer, args=(request,), daemon=True).start()
        except RuntimeError:
            self.answer(request)

    def answer(self, request: bytes) -> None:
        """Answer one call."""
        number, thread, _, _, _, _, descriptor, address, length = REQUEST.unpack(request)
        flags = failure = 0
        try:
            target = _read_memory(thread, address, min(length, LONGEST_ADDRESS))
            if self.leads_inside(target):
                failure = self._connect_inside(number, thread, descriptor, target)
            else:
                flags = CONTINUE
        except (OSError, OverflowError) as error:  # the process passed no valid arguments
            failure = getattr(error, "errno", None) or errno.EFAULT
        with suppress(OSError):  # a signal interrupted the call: the kernel asks again
            fcntl.ioctl(self.listener, SEND, struct.pack("=QqiI", number, 0, -failure, flags))

    def leads_inside(self, target: bytes) -> bool:
        """Return whether a struct sockaddr has an address that only the sandbox has.

        Addresses of the host itself, and its name servers, stay with the host.
        """
        found = parse(target)
        if found is None or not any(found[0] in network for network in self.networks):
            return False
        address, port = found
        return not (is_of_host(address) or (port == DNS and str(address) in name_servers()))

    def _connect_inside(self, number: int, thread: int, descriptor: int, target: bytes) -> int:
        """Connect a new socket of the sandbox and exchange it; return the error number."""
        namespace = sandbox_namespace(self.record)
        if namespace is None:
            return errno.ENETUNREACH
        with socket.socket(fileno=_copy_descriptor(_process_of(thread), descriptor)) as original:
            kind = original.family, original.type, original.proto
            blocks = not fcntl.fcntl(original, fcntl.F_GETFL) & os.O_NONBLOCK
        with self._socket_inside(namespace, kind) as inside:
            inside.setblocking(blocks)
            failed = _LIBC.connect(inside.fileno(), target, len(target))
            failure = ctypes.get_errno() if failed else 0
            exchange = (number, REPLACE, inside.fileno(), descriptor, os.O_CLOEXEC)
            fcntl.ioctl(self.listener, ADD_DESCRIPTOR, struct.pack("=QIIII", *exchange))
        return failure

    def _socket_inside(self, namespace: int, kind: tuple[int, int, int]) -> socket.socket:
        try:
            _enter(namespace)
            return socket.socket(*kind)
        finally:
            _enter(self.host)
            os.close(namespace)


def listener_of(pid: int) -> int:
    """Return a copy of the listener of a process. Raises OSError if it has none."""
    number = listener_number(pid)
    if number is None:
        raise OSError(errno.ESRCH, f"pid {pid} does not run under connect_filter.py")
    return _copy_descriptor(pid, number)


def listener_number(pid: int) -> int | None:
    """Return the descriptor that a process has open for its connector, None if it has none."""
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed since then
                if str(entry.readlink()) == LISTENER:
                    return int(entry.name)
    return None


def parse(target: bytes) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int] | None:
    """Return the IP address and port of a struct sockaddr; None for another family."""
    family = int.from_bytes(target[:2], sys.byteorder)
    port = int.from_bytes(target[2:4], "big")
    if family == socket.AF_INET and len(target) >= 8:
        return ipaddress.IPv4Address(target[4:8]), port
    if family == socket.AF_INET6 and len(target) >= 24:
        address = ipaddress.IPv6Address(target[8:24])
        return address.ipv4_mapped or address, port
    return None


def is_of_host(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether the host has this address: then it is also the address of the sender."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), DNS))  # sends nothing
        return bool(probe.getsockname()[0] == str(address))
    return False


def name_servers(file: Path = Path("/etc/resolv.conf")) -> set[str]:
    """Return the addresses of the host's name servers, see resolv.conf(5)."""
    with suppress(OSError):
        lines = (line.split() for line in file.read_text(errors="replace").splitlines())
        return {words[1] for words in lines if words[:1] == ["nameserver"] and words[1:]}
    return set()


def sandbox_namespace(record: Path) -> int | None:
    """Return a descriptor of the network namespace of the sandbox; None if it does not run."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        identity = json.loads(record.read_bytes())["identity"]
        fields = Path(f"/proc/{identity['pid']}/stat").read_text().rpartition(") ")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        if identity["ticks"] == int(fields[19]) and identity["boot"] == boot:
            return os.open(f"/proc/{identity['pid']}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    return None


def _read_memory(thread: int, address: int, length: int) -> bytes:
    with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(length)


def _process_of(thread: int) -> int:
    lines = Path(f"/proc/{thread}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Tgid:"))


def _copy_descriptor(pid: int, number: int) -> int:
    process = os.pidfd_open(pid)
    try:
        copied: int = _LIBC.syscall(PIDFD_GETFD, process, number, 0)
    finally:
        os.close(process)
    if copied < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return copied


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _interrupt(pid: int) -> None:
    """Let the kernel ask again about calls that a killed connector did not answer.

    Go's runtime uses SIGURG for itself; other programs ignore it.
    """
    for task in Path(f"/proc/{pid}/task").iterdir():
        _LIBC.syscall(TGKILL[os.uname().machine], pid, int(task.name), signal.SIGURG)


if __name__ == "__main__":
    _connector = Connector(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
    _interrupt(int(sys.argv[1]))
    _connector.serve()
