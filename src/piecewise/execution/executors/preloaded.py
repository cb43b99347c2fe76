"""What the fork server imports and prepares once, so that the processes it forks need not.

Nothing here may use CUDA: a process cannot use it after its parent did.
"""

import gc
import os
import signal
from pathlib import Path

os.setpgid(0, 0)  # Ctrl-C is for the command, which stops the jobs in order
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked since the command started this process

import piecewise.analysis.evaluate  # noqa: E402
import piecewise.execution.executors.child  # noqa: E402
import piecewise.execution.fit  # noqa: E402, F401
from piecewise.execution.executors.warm_up import warm_up  # noqa: E402

NVIDIA_DRIVER = Path("/dev/nvidiactl")

if not NVIDIA_DRIVER.exists():  # Lightning's Trainer asks it how many GPUs there are
    warm_up()
gc.freeze()  # the collector would copy the pages that it looks at into every process
