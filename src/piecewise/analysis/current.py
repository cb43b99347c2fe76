"""Whether the recorded metrics of a run are those of its present weights."""

from piecewise.durable import read_json
from piecewise.journal.run_folder import RunFolder


def is_evaluated(folder: RunFolder) -> bool:
    """Whether the run has metrics, of the weights that it has now.

    DVC deletes the weights before a stage trains again, and keeps the evaluation of the earlier ones until the next
    stage has run.
    """
    if not all(path.is_file() for path in (folder.result, folder.evaluated, folder.metrics)):
        return False
    return bool(read_json(folder.evaluated)["weights_digest"] == read_json(folder.result)["weights_digest"])
