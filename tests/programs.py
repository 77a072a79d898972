"""The scripts' programs, run in this process."""

from __future__ import annotations

import sys
from typing import Any, Callable, Sequence, Tuple

import pytest

from fullconv.lib.experiment.command_line import Method, main


def runner(
    method: Method,
    usual: Sequence[Callable],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Callable[..., Tuple[Any, str]]:
    """run(options, *stages) as the scripts run them, by default the `usual` stages -> (exit code, everything written);
    a traceback fails the test.
    """

    def program(options: Sequence[Any], *stages: Callable) -> Tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", ["program", *map(str, options)])
        caplog.clear()
        try:
            main(method, "", *(stages or usual))
            code: Any = 0
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out + captured.err + caplog.text

    return program
