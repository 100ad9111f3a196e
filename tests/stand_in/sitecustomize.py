"""A stand-in for Windows: every Python that has this folder on its path lacks what Windows lacks.

Left are what the standard library itself needs on this system to start processes.
"""

import ctypes
import os
import signal
import sys

sys.modules["fcntl"] = None
for _module, _names in (
    (os, ("fork", "forkpty", "setsid", "killpg", "sched_getaffinity", "chown")),
    (signal, ("SIGHUP", "pthread_sigmask")),
):
    for _name in _names:
        if hasattr(_module, _name):
            delattr(_module, _name)


class _Library(ctypes.CDLL):
    def __getattr__(self, name: str) -> object:
        if name.startswith("rename"):
            raise AttributeError(name)
        return super().__getattr__(name)


ctypes.CDLL = _Library
