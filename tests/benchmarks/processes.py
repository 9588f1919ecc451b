"""Start, query and end the processes of the contenders."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600  # seconds until an unresponsive process counts as failed


class Failed(Exception):
    """A contender's process ended or stopped responding; the message is its last line."""


class Worker:
    """A running ``worker.py``.

    Parameters
    ----------
    contender : Contender
    case : Case
    seconds, warm : float
        Length of a round and of the training before the first.
    """

    def __init__(self, contender, case, seconds, warm):
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        self.process = subprocess.Popen(
            [*_command("worker"), contender.name, f"{case.device} {case.name}", str(seconds), str(warm)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            **_surroundings(contender),
        )

    def start(self):
        """Wait for the warm-up; return the losses of the first steps."""
        losses = self._read()["losses"]
        self._read()
        return losses

    def round(self):
        """Run one round; return its time in the case's unit."""
        try:
            self.process.stdin.write(b"round\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(_last_line(self.errors)) from None
        return self._read()["time"]

    def end(self):
        """End the process."""
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def _read(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            raise Failed(_last_line(self.errors) if ready else f"no answer in {PATIENCE} s")
        return json.loads(line)


def run_whole(contender, module, *args):
    """Run a module of this package; return its JSON output, and its seconds from start to end."""
    with tempfile.TemporaryFile() as errors:
        command = [*_command(module), *map(str, args)]
        start = time.perf_counter()
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                timeout=PATIENCE,
                check=False,
                **_surroundings(contender),
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"not done in {PATIENCE} s") from None
        seconds = time.perf_counter() - start
        if done.returncode:
            raise Failed(_last_line(errors))
    return json.loads(done.stdout.splitlines()[-1]), seconds


def _command(module):
    return [sys.executable, "-m", f"{__package__}.{module}"]


def _surroundings(contender):
    """Return the working directory and the environment of a contender's process."""
    defaults = {
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # otherwise torch.compile keeps a pool of processes
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # otherwise JAX reserves three quarters of the GPU
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    if contender.device == "cuda":
        defaults["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"  # float32, as PyTorch and CuPy have it by default
    return {"cwd": ROOT, "env": {**defaults, **os.environ, **contender.environment}}


def _last_line(errors):
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "ended without a word"
