"""A GIF of a small model's fit during training, from the recorded path of its parameters."""

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn.utils import vector_to_parameters

from piecewise.analysis.draw import function_shown
from piecewise.analysis.figure_arrays import WITHOUT_Y_AXIS, function_of
from piecewise.analysis.trained import load_trained
from piecewise.errors import BadInput
from piecewise.figures.animation import Frame, animate
from piecewise.jobs.job import read_job
from piecewise.journal.run_folder import RunFolder
from piecewise.training.parameter_path import MAX_PARAMETERS

MAX_FRAMES = 80


@torch.no_grad()
def animate_run(folder: RunFolder, milliseconds: int) -> bytes:
    """Show each picture for `milliseconds`. Raises BadInput for a run without a function of one input or a path."""
    job = read_job(folder.job)
    parts = load_trained(folder)
    if parts.spec.num_inputs != 1 or parts.loss.kind in WITHOUT_Y_AXIS:
        raise BadInput(f"{job.title} has {parts.spec.num_inputs} inputs; only a function of one can be animated")
    if not folder.parameter_path.is_file():
        raise BadInput(f"{job.title} has no recorded path; only models of at most {MAX_PARAMETERS} parameters have one")
    path, train = load_file(folder.parameter_path), parts.source.train(parts.loss.kind)
    frames = []
    for index in _evenly_spaced(len(path["steps"])):
        vector_to_parameters(path["parameters"][index], parts.model.parameters())
        found = {key: value.numpy() for key, value in function_of(parts, train).items()}
        label, y = function_shown(found)
        frames.append(Frame(int(path["steps"][index]), found["function_x"], y, found.get("joints")))
    targets = train.y.reshape(len(train), -1)[:, 0]
    return animate((train.x.flatten().numpy(), targets.numpy()), frames, label, milliseconds)


def _evenly_spaced(count: int) -> list[int]:
    """At most MAX_FRAMES indices from 0 to count − 1, both ends included."""
    return sorted({round(index) for index in np.linspace(0, count - 1, min(count, MAX_FRAMES))})
