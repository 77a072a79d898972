"""`python -m fullconv.lib.tools.launch -n 2 -- SCRIPT.py --cfg ... default.kvstore mpi`: train by several processes of
this machine.

For the package `mpich`, whose own launchers either open a port on all addresses of the machine (`mpiexec`) or report
success when a process was killed (`mpiexec.gforker`). This one listens nowhere: it talks to its children by socket
pairs, and they to each other by shared memory. When one of them fails, is killed or leaves before its time, all end,
this program says which it was, and its exit status is not 0; when this program is killed, they end themselves.

For several machines use the launcher of your MPI or cluster: docs/several_machines.md.
"""

from __future__ import annotations

import argparse
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Set

from fullconv.lib.environment import physical_cores

LOOK = 0.2
"""Seconds between two looks at the processes."""

FAREWELL = 5.0
"""Seconds from asking a process to end to ending it."""


class Child:
    """One process and our end of its socket pair. finalized: whether it has said that it is through with MPI. status:
    what it has said that it will end with, which MPICH does not always do itself.
    """

    def __init__(self, command: Sequence[str], rank: int, size: int, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        told = {"PMI_FD": str(theirs.fileno()), "PMI_RANK": str(rank), "PMI_SIZE": str(size)}
        with theirs:
            self.process = subprocess.Popen(command, env={**environment, **told}, pass_fds=[theirs.fileno()])
        self.rank, self.socket = rank, ours
        self.text = ours.makefile("rw", newline="\n")
        self.begun = self.finalized = False
        self.status = 0

    def code(self) -> Optional[int]:
        """Exit status, negative for a signal; None while it runs."""
        code = self.process.poll()
        return code if code is None or code < 0 else self.status or code

    def fault(self) -> str:
        """How it ended where it should not have; "" for one that runs or ended well."""
        code = self.code()
        if code is None or (code == 0 and self.finalized >= self.begun):
            return ""
        how = "ended before the others were done" if code == 0 else f"ended with exit status {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        return f"process {self.rank} (pid {self.process.pid}) {how}"


class Board:
    """What the processes tell each other when they start, their addresses: the server's side of PMI-1, lines of
    `name=value` words, as MPICH's library speaks it to whoever started it.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.values: Dict[str, str] = {}
        self.waiting: List[Child] = []
        # MPICH makes the names of its shared memory from this one: it must be no other run's.
        self.name = f"fullconv-{secrets.token_hex(8)}"

    def answer(self, child: Child, line: str) -> None:
        """Answer one line. Raises ValueError: it is not of this protocol."""
        words = dict(word.partition("=")[::2] for word in line.split())
        command, key = words.get("cmd"), words.get("key", "")
        if command == "barrier_in":
            self.waiting.append(child)
            if len(self.waiting) == self.size:
                for other in self.waiting:
                    say(other, "cmd=barrier_out")
                self.waiting.clear()
        elif command == "put":
            self.values[key] = words["value"]
            say(child, "cmd=put_result rc=0 msg=success")
        elif command == "get":
            found = key in self.values
            value = self.values.get(key, "unknown")
            say(child, f"cmd=get_result rc={0 if found else -1} msg={'success' if found else 'no_key'} value={value}")
        elif command == "abort":
            child.begun, child.status = True, int(words.get("exitcode", 1))  # it ends by itself now
        elif command in self.constants():
            child.begun = True
            child.finalized = command == "finalize"
            say(child, f"cmd={self.constants()[command]}")
        else:
            raise ValueError(f"process {child.rank} speaks another protocol than PMI-1: {line!r}")

    def constants(self) -> Dict[str, str]:
        """Answers that are always the same."""
        return {
            "init": "response_to_init pmi_version=1 pmi_subversion=1 rc=0",
            "get_maxes": "maxes kvsname_max=256 keylen_max=64 vallen_max=1024",
            "get_appnum": "appnum appnum=0",
            "get_my_kvsname": f"my_kvsname kvsname={self.name}",
            "get_universe_size": f"universe_size size={self.size}",
            "finalize": "finalize_ack",
        }


def say(child: Child, line: str) -> None:
    """Send a line to a process."""
    child.text.write(f"{line}\n")
    child.text.flush()


def environment(processes: int) -> Dict[str, str]:
    """Of the children: this one's; shared memory as the only way between them; the cores dealt out to them."""
    cores = str(max(1, physical_cores() // processes))
    # `import fullconv` has set OMP_NUM_THREADS to all cores where it was not set.
    chosen = os.environ["OMP_NUM_THREADS"]
    threads = cores if chosen == str(physical_cores()) else chosen
    return {"UCX_TLS": "self,sm", **os.environ, "OMP_NUM_THREADS": threads}


def run(command: Sequence[str], processes: int) -> int:
    """Start the processes, serve them and watch over them; returns the exit status, 128 + N for signal N."""
    board, surroundings = Board(processes), environment(processes)
    children: List[Child] = []
    fault = ""
    try:
        with selectors.DefaultSelector() as selector:
            for rank in range(processes):
                children.append(Child(command, rank, processes, surroundings))
                selector.register(children[-1].socket, selectors.EVENT_READ, children[-1])
            while not fault and any(child.process.poll() is None for child in children):
                for key, _ in selector.select(LOOK):
                    child, line = key.data, key.data.text.readline()
                    if line:
                        board.answer(child, line)
                    else:
                        selector.unregister(key.fileobj)
                fault = next(filter(None, (child.fault() for child in children)), "")
    except KeyboardInterrupt:
        fault = "interrupted"  # the terminal has told the children too
        wait(children, FAREWELL)
    except (ValueError, OSError) as error:
        fault = str(error)
    finally:
        codes = [child.code() for child in children]
        end(children)
    fault = fault or next(filter(None, (child.fault() for child in children)), "")
    if fault:
        sys.stderr.write(f"launch: {fault}; all {processes} processes are ended\n")
    code = next((code for code in codes if code), 1 if fault else 0)
    return 128 - code if code < 0 else code


def wait(children: Sequence[Child], seconds: float) -> None:
    """Until all have ended, at most so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(child.process.poll() is None for child in children):
        time.sleep(LOOK)


def end(children: Sequence[Child]) -> None:
    """End those that still run; the shared memory that they could not give back goes too."""
    memory = {path for child in children for path in shared_memory(child.process.pid)}
    for child in children:
        child.process.terminate()
    wait(children, FAREWELL)
    for child in children:
        child.process.kill()
        child.process.wait()
        child.socket.close()
    for path in memory:
        path.unlink(missing_ok=True)


def shared_memory(pid: int) -> Set[Path]:
    """Files of MPICH's that a running process shares with the others; none where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return set()
    return {Path(line.split()[-1]) for line in lines if "/dev/shm/mpich_shm_" in line and line.split()[-1][0] == "/"}


def main(argv: Optional[List[str]] = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fullconv.lib.tools.launch", description=__doc__.split("\n\n")[0])
    parser.add_argument("-n", type=int, default=2, metavar="N", help="processes (2)")
    parser.add_argument("command", nargs="+", help="after --: a Python script, or a program, with its arguments")
    args = parser.parse_args(argv)
    if args.n < 1:
        parser.error(f"-n {args.n}: at least one process")
    script = args.command[0].endswith(".py")
    return run([*([sys.executable] if script else []), *args.command], args.n)


if __name__ == "__main__":
    sys.exit(main())
