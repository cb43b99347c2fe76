"""What a store's error means for the person who sees it: wait, or do something."""

import errno
import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from piecewise.errors import PiecewiseError, TryAgain

# Each completes "not in MLflow: ADDRESS: …".
BUSY = "another process is writing to it"
FULL = "its disk is full; make room (piecewise clean says what can go), then piecewise sync"
READ_ONLY = "it may not be written; chmod u+w mlflow.db*, then piecewise sync"
READ_ONLY_DISK = "its disk is mounted read-only; findmnt --target . says how, and once it is writable, piecewise sync"
CORRUPT = "it is corrupt; piecewise sync --rebuild makes it again from the journals"
NO_SHARED_MEMORY = (
    "its file system cannot share memory between processes; use tracking=server or a folder on a local disk"
)
# By the beginning of SQLite's name for the error; the first match counts.
TEMPORARY = {
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": BUSY,
    "SQLITE_PROTOCOL": BUSY,
    "SQLITE_READONLY_DBMOVED": "it was replaced while it was open",
}
PERMANENT = {
    "SQLITE_READONLY_DIRECTORY": "its folder may not be written; chmod u+w it, then piecewise sync",
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_PERM": READ_ONLY,
    "SQLITE_CANTOPEN": "it cannot be opened; piecewise doctor says why; then run piecewise sync",
    "SQLITE_FULL": FULL,
    "SQLITE_IOERR_WRITE": FULL,  # also a quota, or a limit on a file's size
    "SQLITE_IOERR_SHMSIZE": FULL,
    "SQLITE_IOERR_SHM": NO_SHARED_MEMORY,
    "SQLITE_IOERR_LOCK": NO_SHARED_MEMORY,
    "SQLITE_IOERR": "its disk fails; the system's log says how, then piecewise sync --rebuild",
    "SQLITE_CORRUPT": CORRUPT,
    "SQLITE_NOTADB": CORRUPT,
}
REFUSED = ("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")  # also on a disk that takes no writes
# The artifacts lie beside the database, so their errors concern the store too.
ERRNO = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EFBIG: FULL, errno.EROFS: READ_ONLY_DISK}
HTTP_STATUS = {
    401: "it wants another user name or password; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    403: "it denies access to this user or address (403); ask its administrator",
    404: "there is no MLflow at that address (404); check tracking.uri",  # unless MLflow says what it does not have
}
NOT_MLFLOW = "its answer is incomplete or not MLflow's; check tracking.uri"
UNREACHABLE = "it cannot be reached; is it running, and is tracking.uri right?"
UNKNOWN_HOST = "no machine of that name is known; if tracking.uri is wrong, piecewise sync --moved OLD NEW corrects it"
SERVER_ERROR = "it reports an error of its own ({}); its log says which"
MISSING = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")  # MLflow's answers for one thing that it does not have
# MLflow's client names a status in three ways: for its routes, after repeated tries, and for artifacts.
STATUS_IN_TEXT = re.compile(r"with error code (\d{3})|too many (\d{3}) error responses|(\d{3}) (?:Client|Server) Error")


@dataclass(frozen=True)
class StoreProblem:
    """A problem of the whole store, with its remedy; if `is_temporary`, the same call may succeed later."""

    message: str
    is_temporary: bool = False


def store_problem(error: BaseException | None) -> StoreProblem | None:
    """What the error or one of its causes says about the store; None if it concerns something else."""
    while error is not None:
        if isinstance(error, PiecewiseError):  # it is shown as it is; its message includes the cause
            return StoreProblem(str(error), is_temporary=True) if isinstance(error, TryAgain) else None
        if isinstance(error, sqlite3.Error):
            return _of_sqlite(getattr(error, "sqlite_errorname", ""))
        if isinstance(error, OSError) and error.errno in ERRNO:
            return StoreProblem(ERRNO[error.errno])
        problem = _of_server(error)
        if problem is not None:
            return problem
        error = error.__cause__ or error.__context__
    return None


def is_temporary(error: BaseException | None) -> bool:
    """Whether the same call may succeed later."""
    problem = store_problem(error)
    return problem is not None and problem.is_temporary


def explain(error: BaseException) -> str:
    """One line: the problem and its remedy if they are known, else the error itself."""
    problem = store_problem(error)
    if problem is not None:
        return problem.message
    text = " ".join(str(error).split())
    return text if isinstance(error, PiecewiseError) else f"{type(error).__name__}: {text[:300]}"


def is_on_read_only_disk(folder: str | Path = ".") -> bool:
    """Whether a file system takes no writes, whatever the permissions. The store lies in the working directory."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _of_sqlite(name: str) -> StoreProblem | None:
    if name.startswith(REFUSED) and is_on_read_only_disk():
        return StoreProblem(READ_ONLY_DISK)
    for messages, is_temporary in ((TEMPORARY, True), (PERMANENT, False)):
        for beginning, message in messages.items():
            if name.startswith(beginning):
                return StoreProblem(message, is_temporary)
    return None


def _of_server(error: BaseException) -> StoreProblem | None:
    """MLflow's client reports a server's answer, or a missing answer, only in the text of its errors."""
    text = str(error)
    match = STATUS_IN_TEXT.search(text)
    status = int(next(filter(None, match.groups()))) if match else None
    if status is None and type(error).__name__ == "RestException":
        status = int(error.get_http_status_code())  # type: ignore[attr-defined]
        if status == 404 and getattr(error, "error_code", "") in MISSING:
            return None
    if status in HTTP_STATUS:
        return StoreProblem(HTTP_STATUS[status])
    if status is not None:
        return StoreProblem(SERVER_ERROR.format(status), is_temporary=True) if status == 429 or status >= 500 else None
    if "not in a valid JSON format" in text or (isinstance(error, ValueError) and "Expecting" in text):
        return StoreProblem(NOT_MLFLOW, is_temporary=True)
    if "API request to http" not in text:
        return None
    return StoreProblem(UNKNOWN_HOST if "NameResolutionError" in text else UNREACHABLE, is_temporary=True)
