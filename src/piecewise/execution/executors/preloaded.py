"""What the fork server imports and prepares once, so that the processes it forks need not.

Nothing here may use CUDA: a process cannot use it after its parent did.
"""

import gc
import os
import signal
import threading
from pathlib import Path

POLL_SECONDS = 0.2  # between two looks at the command

os.setpgid(0, 0)  # Ctrl-C is for the command, which stops the jobs in order
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked since the command started this process
command, has_imported = os.getppid(), threading.Event()


def end_with_command() -> None:
    """End this process if the command ends, for example because of a wrong option, before everything is imported."""
    while not has_imported.wait(POLL_SECONDS):
        if os.getppid() != command:
            os._exit(0)


watching = threading.Thread(target=end_with_command, daemon=True)
watching.start()

import piecewise.analysis.evaluate  # noqa: E402
import piecewise.execution.executors.child  # noqa: E402
import piecewise.execution.fit  # noqa: E402, F401
from piecewise.execution.executors.warm_up import warm_up  # noqa: E402

NVIDIA_DRIVER = Path("/dev/nvidiactl")

if not NVIDIA_DRIVER.exists():  # Lightning's Trainer asks it how many GPUs there are
    warm_up()
has_imported.set()  # from now on multiprocessing ends this process with the command
watching.join()  # a process with threads must not fork
gc.freeze()  # the collector would copy the pages that it looks at into every process
