"""Starting the command, as untouched by rebound as if it had been executed directly."""

from __future__ import annotations

import errno
import os

from rebound import linux
from rebound.exitstatus import EXEC_FAILED, NOT_FOUND, ExitStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


_OUT_OF_MEANS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class Spawner:
    """Starts one command, again and again in the same way."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[bytes, bytes],
        inherited: linux.Inherited,
        own_group: bool,
    ) -> None:
        self._command = list(command)
        self._environment = environment
        self._mask = sorted(inherited.mask)
        # Exec keeps ignored signals ignored, and Python ignores two that were not so before.
        # With all of them named, the C library need not ask the kernel about each of the rest.
        self._defaults = sorted(linux.valid_signals() - inherited.ignored)
        self._group: dict[str, Any] = {"setpgroup": 0} if own_group else {}

    def spawn(self) -> int:
        """Start the command, give its pid; its exec has succeeded then.

        glibc and musl spawn with CLONE_VFORK and report a failed exec as an error of the
        call.  Raises `OSError`; `is_out_of_means` and `exec_failure` say what it means.
        """
        return os.posix_spawnp(
            self._command[0],
            self._command,
            self._environment,
            setsigmask=self._mask,
            setsigdef=self._defaults,
            **self._group,
        )


def is_out_of_means(error: OSError) -> bool:
    """Whether a start failed for want of processes, memory or descriptors.

    That is no fault of the command, and perhaps soon over.
    """
    return error.errno in _OUT_OF_MEANS


def exec_failure(error: OSError) -> ExitStatus:
    """Give the status that a shell shows for a failed exec: 127 not found, otherwise 126."""
    return ExitStatus(code=NOT_FOUND if error.errno == errno.ENOENT else EXEC_FAILED)
