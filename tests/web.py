"""The product behind real HTTP: granian as script/server starts it, on a free port.

Use it with the fixture `committed`: the server is another process and sees only what is committed.
"""

import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from script.server_process import LOOPBACK, end_with_parent, free_port, last_lines, wait_until

CHECKOUT = Path(__file__).resolve().parent.parent
READY_SECONDS_MAX = 30.0


@contextmanager
def running_web(interface: str = "wsgi", **environment: str) -> Iterator[str]:
    """Yield the address of a server on this test's database; it is gone afterwards."""
    url = f"http://{LOOPBACK}:{(port := free_port())}"
    command = [
        sys.executable, "-m", "granian", "--interface", interface,
        "--host", LOOPBACK, "--port", str(port), "--workers", "1",
        "--blocking-threads", "4" if interface == "wsgi" else "1",
        f"inventory_project.{interface}:application",
    ]  # fmt: skip
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=os.environ | environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )  # fmt: skip
        try:
            wait_until(lambda: process.poll() is not None or _is_ready(url), READY_SECONDS_MAX)
            assert process.poll() is None and _is_ready(url), last_lines(Path(log.name))
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_ready(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/health/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:  # not listening yet, or 503 with a reason
        return False
