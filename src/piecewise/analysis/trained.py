"""A finished run's model: the job's parts with the trained weights in them."""

from safetensors import SafetensorError
from safetensors.torch import load_file

from piecewise.data.stored import digest_tensors
from piecewise.errors import BadInput
from piecewise.jobs.build import Parts, build_parts
from piecewise.jobs.job import read_job
from piecewise.journal.run_folder import RunFolder, read_result


def load_trained(folder: RunFolder, parts: Parts | None = None) -> Parts:
    """The run's parts, in the precision they were trained in; built from its job unless `parts` are handed on.

    Raises BadInput if the weights cannot be read or are not the ones that the training recorded.
    """
    recorded = read_result(folder)["weights_digest"]
    try:
        weights = load_file(folder.weights)
    except FileNotFoundError as error:
        raise BadInput(f"{folder.weights} is missing: restore it from a copy, or train the run again") from error
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{folder.weights} cannot be read: {error}") from error
    if digest_tensors(weights) != recorded:
        raise BadInput(f"{folder.weights} was altered: its digest is {digest_tensors(weights)}, recorded is {recorded}")
    parts = parts or build_parts(read_job(folder.job).config)
    parts.model.to("cpu", next(value.dtype for value in weights.values() if value.is_floating_point()))
    parts.model.load_state_dict(weights)
    return parts
