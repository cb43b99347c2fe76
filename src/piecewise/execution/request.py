"""What a training is asked besides its job, and how the process of a rank is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from piecewise.jobs.job import canonical
from piecewise.journal.run_folder import RunFolder
from piecewise.processes import Process


@dataclass(frozen=True)
class Request:
    """The run's folder, and what the caller wants of the training."""

    folder: RunFolder
    facts: dict[str, Any]  # join the journal's first record
    parent: Process | None = None  # the process that waits for this one: without it the training ends
    has_progress: bool = False
    is_resumed: bool = False  # go on from the newest checkpoint in the folder

    def as_text(self) -> str:
        parent = self.parent.as_dict() if self.parent is not None else None
        return canonical({**vars(self), "folder": self.folder.as_text(), "parent": parent})

    @classmethod
    def from_text(cls, text: str) -> Request:
        content = json.loads(text)
        parent = Process.parse(content["parent"]) if content["parent"] is not None else None
        return cls(**content | {"folder": RunFolder.from_text(content["folder"]), "parent": parent})
