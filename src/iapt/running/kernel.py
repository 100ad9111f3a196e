"""A real Jupyter kernel that starts in a fork of the running process, where the imports are already done.

Registered as a kernel provisioner, so that papermill starts it like any other kernel. `prepare` has to be
called before papermill, in the process that papermill will run in, while that process is still plain:
without threads, sockets or an event loop.
"""

import json
import os
import signal
import sys
from functools import partialmethod

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

_orders: int | None = None
_pid: int | None = None


def prepare() -> None:
    """Fork the process that becomes the next kernel; it waits for its orders and ends if none come."""
    global _orders, _pid
    reading, _orders = os.pipe()
    _pid = os.fork()
    if _pid == 0:
        os.close(_orders)
        with os.fdopen(reading) as orders:
            text = orders.read()
        try:
            if text:
                _become_kernel(**json.loads(text))
        finally:
            os._exit(0)  # also where another process took its port: whoever ordered it sees it gone and tries again
    os.close(reading)
    os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "iapt-forked"
    KernelProvisionerFactory.clear_instance()  # one that exists already has read the name that was there before


def _become_kernel(command: list[str], folder: str, environment: dict[str, str]) -> None:
    from ipykernel.kernelapp import IPKernelApp

    if "numpy" in sys.modules:  # a new process draws new random numbers; a fork would repeat those of the others
        sys.modules["numpy"].random.seed()
    os.environ.update(environment)
    os.chdir(folder)
    options = command[command.index("-f") :]
    IPKernelApp.launch_instance([*options, "--matplotlib=inline", f"--IPKernelApp.parent_handle={os.getppid()}"])


class _Process:
    """The forked kernel with the few methods of subprocess.Popen that a provisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid, self.returncode = pid, None

    def poll(self) -> int | None:
        if self.returncode is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    wait = poll  # a provisioner waits only for a process of which `poll` has said that it ended

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    terminate = partialmethod(send_signal, signal.SIGTERM)
    kill = partialmethod(send_signal, signal.SIGKILL)


class ForkedProvisioner(LocalProvisioner):
    """Gives its orders to the process that `prepare` forked, instead of starting a new interpreter."""

    async def launch_kernel(self, cmd: list[str], **kwargs) -> dict:
        self.process, self.pid = _Process(_pid), _pid
        environment = {name: str(value) for name, value in (kwargs.get("env") or {}).items()}
        folder = str(kwargs.get("cwd") or os.getcwd())
        try:
            with os.fdopen(_orders, "w") as orders:
                json.dump({"command": cmd, "folder": folder, "environment": environment}, orders)
        except BrokenPipeError:
            raise RuntimeError("Kernel died before replying to anything") from None
        return self.connection_info
