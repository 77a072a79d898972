"""What a run leaves to read: lines on the console and in a file, numbers as JSON and for TensorBoard."""

from __future__ import annotations

import itertools
import json
import logging
import math
import sys
import time
from pathlib import Path
from typing import Any, List, Mapping, Union

from tqdm import tqdm

from fullconv.lib.utils.bar import on_terminal

FORMAT = "%(asctime)s %(message)s"


class _LogFile(logging.FileHandler):
    """A log file that cannot be written ends the run with one error, where logging would print a traceback a line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, self.baseFilename) from None
        super().handleError(record)


class _Console(logging.StreamHandler):
    """Lines that leave a bar whole. Those of progress are not shown where a bar has them: on a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "progress", False) and on_terminal() and self.stream.isatty():
            return
        try:
            tqdm.write(self.format(record), file=self.stream)
            self.flush()
        except Exception:  # as logging's own handlers do
            self.handleError(record)


class RunLogger:
    """Log files of one run in `folder`.

    `<name>_<YYYY-mm-dd-HH-MM>.log` (the original's file name; with `-2` and so on within one minute) gets every line
    the console gets; a file of the same name ending in `.jsonl` one object per record, written at once so that a killed
    run loses nothing.

    Args:
        folder: created if absent.
        name: base name of the yaml file.
        tensorboard: also write event files to `<folder>/tensorboard`.
        silent: write no files, and only warnings to the console: another process of the run does the rest.

    Raises:
        ImportError: TensorBoard files are wanted and tensorboardX is not installed.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Union[str, Path], name: str, tensorboard: bool = False, silent: bool = False) -> None:
        folder, self.silent = Path(folder), silent
        if not silent:
            folder.mkdir(parents=True, exist_ok=True)
        stem = _free_stem(folder, f"{name}_{time.strftime('%Y-%m-%d-%H-%M')}")
        self.log_path, self.jsonl_path = folder / f"{stem}.log", folder / f"{stem}.jsonl"
        self.logger = logging.getLogger(f"fullconv.{folder.resolve()}.{name}")
        # What data sets, checkpoints and evaluation have to say belongs into the run's log too.
        self.loggers = (self.logger, logging.getLogger("fullconv.lib"))
        self._close_handlers()
        handlers: List[logging.Handler] = [_Console(sys.stdout)]
        if not silent:
            handlers.append(_LogFile(self.log_path, encoding="utf-8"))
        for handler in handlers:
            handler.setFormatter(logging.Formatter(FORMAT))
        for logger in self.loggers:
            logger.setLevel(logging.WARNING if silent else logging.INFO)
            logger.propagate = False
            logger.handlers.extend(handlers)
        self.events = _event_writer(folder / "tensorboard") if tensorboard and not silent else None

    def info(self, line: str) -> None:
        """One line for the reader."""
        self._reopen()
        self.logger.info("%s", line)

    def progress(self, line: str) -> None:
        """One line of running numbers: always in the file, on the console where there is no bar (`lib.utils.bar`)."""
        self.logger.info("%s", line, extra={"progress": True})

    def warning(self, line: str) -> None:
        """One line the reader should act on."""
        self.logger.warning("WARNING %s", line)

    def record(self, values: Mapping[str, Any]) -> None:
        """One JSON line; numbers also go to TensorBoard at `values["step"]`. NaN and infinity become null."""
        if self.silent:
            return
        self._reopen()
        plain = {key: _plain(value) for key, value in values.items()}
        try:
            with open(self.jsonl_path, "a", encoding="utf-8") as file:
                file.write(json.dumps(plain, allow_nan=False) + "\n")
        except OSError as error:  # a failed write does not say of what
            raise OSError(error.errno, error.strerror, str(self.jsonl_path)) from None
        if self.events is not None:
            for key, value in plain.items():
                if isinstance(value, (int, float)) and key != "step":
                    self.events.add_scalar(key, value, int(plain.get("step") or 0))
            self.events.flush()

    def close(self) -> None:
        """Close the files."""
        self._close_handlers()
        if self.events is not None:
            self.events.close()

    def _reopen(self) -> None:
        """Go on in a new file where somebody removed the log or its folder: lines would go to a file without a name."""
        if self.silent or self.log_path.exists():
            return
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        for handler in self.logger.handlers:
            if isinstance(handler, _LogFile):
                handler.close()  # the next line opens the file anew
        self.warning(f"{self.log_path} was removed while it was written: the lines before this one are lost")

    def _close_handlers(self) -> None:
        for logger in self.loggers:
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
                handler.close()
            logger.propagate = True


def _free_stem(folder: Path, stem: str) -> str:
    """A file name without ending that no other run's log has."""
    names = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
    return next(name for name in names if not any((folder / f"{name}{end}").exists() for end in (".log", ".jsonl")))


def _plain(value: Any) -> Any:
    """numpy and MXNet numbers as Python numbers; what json has no word for as null."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _event_writer(folder: Path) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError(f"default.tensorboard needs tensorboardX: pip install tensorboardX ({error})") from None
    return SummaryWriter(str(folder))
