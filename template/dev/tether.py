"""Starts a program that never outlives the one that started it, however that one ends.

On Linux the kernel sees to it. There this file is also a tiny program, which asks for a signal upon
its parent's death and then becomes the wanted program: that has the PID and exactly the argv which
it was started with. (The same in a forked child, with `preexec_fn`, is not safe beside threads.)
Elsewhere a watchdog waits for the end of a pipe.
"""

import ctypes
import os
import pwd
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, Literal

Identity = Literal["self", "namespace", "user"]

CANNOT_BECOME, NOT_FOUND = 126, 127  # exit codes, as a shell's

# linux/prctl.h, linux/securebits.h, linux/sched.h, linux/capability.h
PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_SET_CHILD_SUBREAPER, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 28, 36, 47, 2
SECBIT_NO_SETUID_FIXUP = 4
CLONE_NEWUSER = 0x10000000
CAPABILITY_VERSION, CAP_DAC_OVERRIDE = 0x20080522, 1

# A line on the pipe calls it off; the end of the pipe without one is the end of the starter.
WATCHDOG = "trap '' INT TERM HUP; read -r _ || kill -$1 $2"


def spawn(
    argv: Sequence[str],
    *,
    identity: Identity = "self",
    last_signal: int = signal.SIGKILL,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Starts `argv`, which gets `last_signal` when this process ends without having stopped it.

    The options are Popen's. By default the program has no input, and a session of its own, out of
    reach of the terminal's Ctrl-C. What its children leave behind becomes its own child, as in a
    container. Call it from the main thread: to the kernel, the thread that calls is the parent.
    """
    options = {"stdin": subprocess.DEVNULL, "start_new_session": True, **options}
    if sys.platform != "linux":
        process = subprocess.Popen(["/usr/bin/env", *argv], **options)  # it names what is missing
        watch(process, last_signal, group=options["start_new_session"])
        return process
    shim = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(last_signal)), identity]
    return subprocess.Popen([*shim, *argv], **options)


def watch(process: subprocess.Popen[bytes], last_signal: int, *, group: bool) -> None:
    """Has `last_signal` sent to the process, or its group, if this process ends before it."""
    target = str(-process.pid if group else process.pid)
    watchdog = subprocess.Popen(
        ["/bin/sh", "-c", WATCHDOG, "watchdog", str(int(last_signal)), target],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def call_off() -> None:
        process.wait()
        watchdog.communicate(b"\n")

    threading.Thread(target=call_off, daemon=True).start()


def other_user() -> pwd.struct_passwd:
    """An existing user without privileges: `nobody`, if there is one."""
    others = [user for user in pwd.getpwall() if user.pw_uid != 0]
    return min(others, key=lambda user: user.pw_name != "nobody")


def _enter_namespace(libc: ctypes.CDLL) -> None:
    """Stays who it is to the files, and is somebody else, without privileges, to itself."""
    user = other_user()
    maps = {
        "setgroups": "deny",
        "uid_map": f"{user.pw_uid} {os.geteuid()} 1",
        "gid_map": f"{user.pw_gid} {os.getegid()} 1",
    }
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace")
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _become_user(libc: ctypes.CDLL) -> None:
    """Takes along, where root has it, the right to reach the project wherever it lies."""
    user, wanted = other_user(), 1 << CAP_DAC_OVERRIDE
    libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)  # for access(2) as well
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    capabilities = struct.pack("6I", wanted, wanted, wanted, 0, 0, 0)
    libc.capset(struct.pack("Ii", CAPABILITY_VERSION, 0), capabilities)
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def _main(parent: str, last_signal: str, identity: str, *argv: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        {"namespace": _enter_namespace, "user": _become_user}.get(identity, lambda _: None)(libc)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{argv[0]}: {error}\n")
        return CANNOT_BECOME
    # After the change of identity, which would clear it. The parent may have ended before.
    libc.prctl(PR_SET_PDEATHSIG, int(last_signal), 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.getppid() != int(parent):
        return CANNOT_BECOME
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ignored by Python; the program would inherit it
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
    return NOT_FOUND


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
