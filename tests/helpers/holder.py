"""Another process that holds a lock file."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CODE = (
    "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
    "print(flush=True); sys.stdin.read()"
)


@contextmanager
def held_elsewhere(path: Path) -> Iterator[None]:
    """Let another process hold ``path``, in a folder that is made; it is killed at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", _CODE, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()
