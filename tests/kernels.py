"""Kernels for nbval that fork from the server in which the imports are done; without `tests` nbval starts its own."""

import os
from functools import partialmethod
from multiprocessing.process import BaseProcess
from signal import SIGKILL, SIGTERM

import tiny
from jupyter_client import KernelManager
from jupyter_client.provisioning import LocalProvisioner

from iapt.running import kernel


class _Process:
    """The process of a kernel with the few methods of subprocess.Popen that a provisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, process: BaseProcess) -> None:
        self._process, self.pid = process, process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    wait = poll

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    terminate, kill = partialmethod(send_signal, SIGTERM), partialmethod(send_signal, SIGKILL)


class ServedProvisioner(LocalProvisioner):
    async def launch_kernel(self, cmd: list[str], *, cwd: str, env: dict[str, str], **_: object) -> dict:
        made = tiny.serve().Process(target=kernel._become_kernel, args=(cmd, cwd, env), daemon=True)
        made.start()
        self.process, self.pid = _Process(made), made.pid
        return self.connection_info


class ServedManager(KernelManager):
    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.provisioner = ServedProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
