"""A folder that another process holds."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlpt_d2.utils import locks

# Without importing vlpt_d2, which takes seconds.
_HOLDER = f"""
import runpy, sys
with runpy.run_path({locks.__file__!r})["lock_folder"](sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(folder: Path) -> Iterator[None]:
    """Hold a folder's lock in another process."""
    command = [sys.executable, "-c", _HOLDER, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        yield
        holder.stdin.close()
