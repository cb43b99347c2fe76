"""Run a program in this interpreter, and write down what it imported from piecewise and what else it read.

`python tests/observed_stage.py FOUND.json pipelines/train.py NAME` is `python pipelines/train.py NAME`, and FOUND.json
gets its `exit_code`, the `modules` of piecewise and the files below the working directory that it `read`, by path.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path


def main(found: str, program: str, *arguments: str) -> None:
    root, opened = Path.cwd().resolve(), set()

    def note(event: str, values: tuple[object, ...]) -> None:
        if event == "open" and isinstance(values[0], str | os.PathLike):
            path, mode, flags = values
            if "w" not in str(mode) and not int(str(flags)) & (os.O_WRONLY | os.O_RDWR):
                opened.add(os.path.realpath(path))

    sys.addaudithook(note)
    sys.argv, sys.path[0] = [program, *arguments], str(Path(program).resolve().parent)
    exit_code = None
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        exit_code = end.code
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "piecewise"]
    paths = [Path(path).relative_to(root).as_posix() for path in opened if Path(path).is_relative_to(root)]
    content = {
        "exit_code": exit_code,
        "modules": sorted(Path(str(module.__file__)).relative_to(root).as_posix() for module in modules),
        "read": sorted(path for path in paths if Path(path).is_file() and not path.endswith((".py", ".pyc"))),
    }
    Path(found).write_text(json.dumps(content))


if __name__ == "__main__":
    main(*sys.argv[1:])
