"""Candidates in processes of their own, taking turns: each has its own peak memory, and may have another Python."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Callable, Dict, List, Sequence

__all__ = ["Worker", "peak_gib", "serve", "take_turns"]


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def serve(step: Callable[[], object]) -> None:
    """In the worker: one `step` for every line on stdin, and a json line of its seconds and the peak memory."""
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(json.dumps({"seconds": time.perf_counter() - start, "peak": peak_gib()}), flush=True)


class Worker:
    """A process that `serve`s. Raises RuntimeError: it ended; its own words are on stderr."""

    def __init__(self, command: Sequence[str], environment: Dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
        self.seconds: List[float] = []
        self.peak = 0.0
        self._answer()

    def _answer(self) -> Dict[str, float]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries say other things
                return json.loads(line)
        raise RuntimeError(f"{' '.join(map(str, self.process.args))} ended: {self.process.wait()}")  # type: ignore

    def turn(self, counts: bool = True) -> None:
        """One step; `counts`: not a first one, which also pays for memory."""
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.peak = answer["peak"]
        if counts:
            self.seconds.append(answer["seconds"])

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def take_turns(workers: Dict[str, Worker], rounds: int, warm_up: int = 1) -> None:
    """Let them step in turn, so that a slow spell hits all, and end them."""
    for turn in range(warm_up + rounds):
        for worker in workers.values():
            worker.turn(counts=turn >= warm_up)
    for worker in workers.values():
        worker.close()
