"""Takes away what Linux has and macOS has not, in each Python process that has this folder in PYTHONPATH.

For `tox -e portable`: code that calls such a function without asking for it first fails there.
"""

import fcntl
import os
import select
import signal
import time

ONLY_LINUX = {
    os: (
        "copy_file_range",
        "eventfd",
        "fdatasync",
        "getrandom",
        "getxattr",
        "memfd_create",
        "pidfd_open",
        "pipe2",
        "posix_fadvise",
        "posix_fallocate",
        "sched_getaffinity",
        "sched_setaffinity",
        "setns",
        "setxattr",
        "splice",
        "unshare",
        "O_DIRECT",
        "O_PATH",
        "O_TMPFILE",
    ),
    fcntl: ("F_OFD_GETLK", "F_OFD_SETLK", "F_OFD_SETLKW", "F_SETPIPE_SZ", "F_ADD_SEALS"),
    select: ("epoll",),
    signal: ("pidfd_send_signal", "sigtimedwait", "sigwaitinfo"),
    time: ("CLOCK_BOOTTIME", "pthread_getcpuclockid"),
}

for module, names in ONLY_LINUX.items():
    for name in names:
        vars(module).pop(name, None)
