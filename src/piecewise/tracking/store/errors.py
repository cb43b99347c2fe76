"""What an error of a store means for the person who sees it: wait, or do something."""

from __future__ import annotations

import errno
import re
import sqlite3
from dataclasses import dataclass

from piecewise.errors import PiecewiseError, TryAgain

BUSY = "somebody is writing to it"
FULL = "its disk is full; make room (piecewise clean says what can go), then piecewise sync"
UNWRITABLE = "it may not be written; chmod u+w mlflow.db*, then piecewise sync"
CORRUPT = "it is corrupt; piecewise sync --rebuild makes it again from the journals"
UNSHARED = "its file system cannot share memory between processes; use tracking=server or a folder on a local disk"
# By the beginning of SQLite's name for the error; the first that fits counts.
LATER = {
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": BUSY,
    "SQLITE_PROTOCOL": BUSY,
    "SQLITE_READONLY_DBMOVED": "it was replaced while it was open",
}
ACT = {
    "SQLITE_READONLY_DIRECTORY": "its folder may not be written; chmod u+w it, then piecewise sync",
    "SQLITE_READONLY": UNWRITABLE,
    "SQLITE_PERM": UNWRITABLE,
    "SQLITE_CANTOPEN": "it cannot be opened; piecewise doctor says why, then piecewise sync",
    "SQLITE_FULL": FULL,
    "SQLITE_IOERR_WRITE": FULL,  # also of a quota, or of a limit to a file's size
    "SQLITE_IOERR_SHMSIZE": FULL,
    "SQLITE_IOERR_SHM": UNSHARED,
    "SQLITE_IOERR_LOCK": UNSHARED,
    "SQLITE_IOERR": "its disk fails; the system's log says how, then piecewise sync --rebuild",
    "SQLITE_CORRUPT": CORRUPT,
    "SQLITE_NOTADB": CORRUPT,
}
# By the status a server answers with.
STATUS = {
    401: "it wants another user name or password; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    403: "it does not allow this to you, or to the address it is asked by (403); ask whoever runs it",
    404: "there is no MLflow at that address (404); look at tracking.uri",
}
NO_MLFLOW = "what answers there is no MLflow, or says half of it; look at tracking.uri"
AWAY = "it cannot be reached; is it running, and is tracking.uri right?"
NAMELESS = "no machine of that name is known; if tracking.uri is wrong, piecewise sync --moved OLD NEW puts it right"
ILL = "it answers that it has a problem of its own ({}); its log says which"
# In whatever words: of MLflow's routes, after its tries, and of artifacts.
ANSWERED = re.compile(r"with error code (\d{3})|too many (\d{3}) error responses|(\d{3}) (?:Client|Server) Error")
# Of the artifacts, which lie beside the database.
SYSTEM = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EFBIG: FULL, errno.EROFS: UNWRITABLE}


@dataclass(frozen=True)
class Trouble:
    """What is the matter with the store as a whole, and the remedy; `is_later` if waiting is the remedy."""

    what: str
    is_later: bool = False


def trouble_of(error: BaseException | None) -> Trouble | None:
    """What the error, or one that it came from, says about the store; None if it is about something else."""
    while error is not None:
        if isinstance(error, PiecewiseError):  # it says itself what it came from
            return Trouble(str(error), is_later=True) if isinstance(error, TryAgain) else None
        if isinstance(error, sqlite3.Error):
            return _named(getattr(error, "sqlite_errorname", ""))
        if isinstance(error, OSError) and error.errno in SYSTEM:
            return Trouble(SYSTEM[error.errno])
        answered = _of_server(error)
        if answered is not None:
            return answered
        error = error.__cause__ or error.__context__
    return None


def _of_server(error: BaseException) -> Trouble | None:
    """MLflow says in words only what a server answered, or that none did."""
    text = str(error)
    found = ANSWERED.search(text)
    status = int(next(filter(None, found.groups()))) if found else None
    if status is None and type(error).__name__ == "RestException":
        status = int(error.get_http_status_code())  # type: ignore[attr-defined]
    if status in STATUS:
        return Trouble(STATUS[status])
    if status is not None:
        return Trouble(ILL.format(status), is_later=True) if status == 429 or status >= 500 else None
    if "not in a valid JSON format" in text or (isinstance(error, ValueError) and "Expecting" in text):
        return Trouble(NO_MLFLOW, is_later=True)
    if "API request to http" not in text:
        return None
    return Trouble(NAMELESS if "NameResolutionError" in text else AWAY, is_later=True)


def explain(error: BaseException) -> str:
    """One line: the remedy where there is one, else what was raised."""
    trouble = trouble_of(error)
    if trouble is not None:
        return trouble.what
    text = " ".join(str(error).split())
    return text if isinstance(error, PiecewiseError) else f"{type(error).__name__}: {text[:300]}"


def is_busy(error: BaseException | None) -> bool:
    """Whether the same will work later, with nothing done about it."""
    trouble = trouble_of(error)
    return trouble is not None and trouble.is_later


def _named(name: str) -> Trouble | None:
    for known, is_later in ((LATER, True), (ACT, False)):
        for beginning, what in known.items():
            if name.startswith(beginning):
                return Trouble(what, is_later)
    return None
