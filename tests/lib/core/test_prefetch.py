"""Work done ahead: its order, its errors, its end."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fullconv.lib.core.prefetch import LoaderError, prefetch

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_prefetch_keeps_the_order(workers):
    def slow(item):
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(prefetch(range(20), slow, workers)) == [i * i for i in range(20)]


def test_prefetch_names_the_item_that_failed():
    def make(item):
        if item == 3:
            raise ValueError("bad pixel")
        return item

    results = prefetch(range(6), make, 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LoaderError, match="3.*ValueError: bad pixel"):
        next(results)


def test_prefetch_stops_its_threads_when_the_consumer_stops():
    before = threading.active_count()
    results = prefetch(range(1000), lambda item: item, 2)
    next(results)
    results.close()
    assert threading.active_count() <= before


def test_an_item_that_does_not_come_is_named_in_time(caplog):
    never = threading.Event()
    results = prefetch(["1.jpg", "2.jpg"], lambda item: item == "1.jpg" or never.wait(), 2, patience=0.6)
    assert next(results) is True
    started = time.time()
    with pytest.raises(LoaderError, match=r"'2.jpg' was not read within 0.6 s: .*default.loader_timeout"):
        next(results)
    assert time.time() - started < 5 and "waiting for '2.jpg'" in caplog.text
    never.set()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_exit_in_a_worker_does_not_end_the_program_silently(workers):
    def leave(item):
        sys.exit(0)

    with pytest.raises(LoaderError, match="could not prepare 1: SystemExit: 0"):
        next(prefetch([1], leave, workers))


HANGING = """
import threading
from fullconv.lib.core.prefetch import prefetch
print("waiting", flush=True)
next(prefetch([1], lambda item: threading.Event().wait(), 2, patience=0))
"""


def test_one_ctrl_c_ends_a_program_whose_worker_hangs():
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert b"KeyboardInterrupt" in errors
