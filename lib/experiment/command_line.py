"""The command line of all `<method>_end2end_*.py` scripts: options, configuration, devices, stages, foreseen errors."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass, replace
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx

from fullconv.lib.core.devices import Devices, choose_devices
from fullconv.lib.core.distributed import ALONE, World, join, started_processes
from fullconv.lib.core.engine import DivergedError
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment import foreseen
from fullconv.lib.experiment.foreseen import explain
from fullconv.lib.experiment.settings import USED, Settings

FORESEEN = (*foreseen.FORESEEN, DivergedError)
"""Errors whose text says what is wrong with files, options or data; anything else is a defect, with its traceback."""

logger = logging.getLogger("fullconv")


TRAIN, TEST = PARTS = ("train", "test")
"""What a script does."""


class Option(NamedTuple):
    """A command-line option. With `key` it is another spelling of that configuration key, read and checked like it;
    without, it is a switch of the run, `args.<name>`, or one of `choices`, by default the first. part: TRAIN or TEST
    where it means nothing to the other; a script that does only the other refuses it."""

    name: str
    help: str
    key: str = ""
    choices: Tuple[str, ...] = ()
    part: str = ""


@dataclass(frozen=True)
class Method:
    """What the scripts need to know of a method. load: `config.load`. settings: of a resolved config.

    frequent, gpus, devices: the configuration keys that the options of these names set. options: its own ones. An
    option that a method does not have is refused, never taken and ignored. immaterial: patterns of the keys, besides
    those three, that may change between two runs that give the same numbers. accumulate: the key of the batches that
    a device takes for one update; a machine with fewer GPUs than the config names multiplies it. "": devices repeat
    by themselves until an update is full.
    """

    name: str
    load: Callable[..., Any]
    settings: Callable[[Any], Settings]
    frequent: str
    gpus: str
    devices: str
    options: Tuple[Option, ...] = ()
    immaterial: Tuple[str, ...] = ()
    accumulate: str = ""

    def run_key(self, name: str) -> str:
        """A key of `lib.experiment.default_group.add_run_keys`, which every method has beside its `frequent`."""
        return f"{self.frequent.rpartition('.')[0]}.{name}"

    def all_options(self, parts: Sequence[str] = PARTS) -> List[Option]:
        """The options of all methods, then its own, as far as they mean something to these parts."""
        known = (
            Option("frequent", "batches between two log lines", self.frequent),
            Option("gpus", "GPU numbers, for example 0,1", self.gpus),
            Option("devices", "cpu, cpu:N for N devices on the processor, or gpu:0,1", self.devices),
            Option(
                "engine", "what computes the network: mxnet, onnxruntime, openvino", self.run_key("engine"), part=TEST
            ),
            Option("precision", "fp32, or bf16 with openvino", self.run_key("precision"), part=TEST),
            Option("vis", "also write a picture of every tested image", part=TEST),
            Option("shuffle", "test the images in random order", part=TEST),
            Option("resume", "go on from the newest valid checkpoint", part=TRAIN),
            Option("used", "what to do with an earlier run's files where this one starts anew", "", USED, TRAIN),
            Option("changed", "resume although settings are others than the run's", part=TRAIN),
            *self.options,
        )
        return [option for option in known if option.part in ("", *parts)]


class Run(NamedTuple):
    """One run of an experiment: its options, resolved config, settings, devices and processes."""

    args: argparse.Namespace
    config: Any
    settings: Settings
    contexts: List[mx.Context]
    world: World = ALONE


def parser(method: Method, description: str, parts: Sequence[str] = PARTS) -> argparse.ArgumentParser:
    """The options of a method's scripts; the originals' names where they had one."""
    # Abbreviations would turn an option that this method lacks into one that it has.
    options = argparse.ArgumentParser(description=description, allow_abbrev=False)
    options.add_argument("--cfg", required=True, help="experiment configuration, a yaml file")
    for option in method.all_options(parts):
        if option.key:
            help_text = f"{option.help} (sets {option.key})"
            options.add_argument(f"--{option.name}", metavar="VALUE", help=help_text)
        elif option.choices:
            first = option.choices[0]
            options.add_argument(f"--{option.name}", choices=option.choices, default=first, help=option.help)
        else:
            options.add_argument(f"--{option.name}", action="store_true", help=option.help)
    base.add_config_arguments(options)
    return options


def overrides(method: Method, args: argparse.Namespace) -> List[Tuple[str, str]]:
    """(key, value) pairs that the options stand for, behind those of --set and of the last words."""
    pairs = base.overrides_from(args)
    for option in method.all_options():
        value = getattr(args, option.name, None)  # None too where the script has no such option
        if option.key and value is not None:
            pairs += base.parse_overrides([option.key, value])
            if option.name == "gpus":  # asked for by name: no processor stands in for them
                pairs += base.parse_overrides([method.devices, f"gpu:{value}"])
    return pairs


def start(method: Method, description: str, argv: Optional[Sequence[str]] = None, parts: Sequence[str] = PARTS) -> Run:
    """Parse the command line, resolve the config and choose devices.

    A bad option, config or device ends the program with its message and exit code 2.
    """
    options = parser(method, description, parts)
    args = options.parse_args(argv)
    if args.gpus is not None and args.devices is not None:
        options.error(f"--gpus {args.gpus} and --devices {args.devices}: give one of them")
    try:
        given = overrides(method, args)
        config = method.load(args.cfg, given)
        settings = replace(
            method.settings(config),
            method=method.name,
            immaterial=(method.frequent, method.gpus, method.devices, *method.immaterial),
            used=getattr(args, "used", USED[0]),
            changed=getattr(args, "changed", False),
        )
        chosen = choose_devices(settings.gpus, settings.devices)
        if chosen.accumulate > 1:
            _stand_in(method, config, chosen, dict(given))
        world = join(settings.kvstore) if TRAIN in parts or started_processes() > 1 else ALONE
    except (ValueError, FileNotFoundError, ImportError) as error:
        options.exit(2, f"{error}\n")
    return Run(args, config, settings, chosen.contexts, world)


def _stand_in(method: Method, config: Any, chosen: Devices, given: Mapping[str, str]) -> None:
    """Write the devices that stand in for those of the config into it, and the batches that each of them takes."""
    there = [str(context.device_id) for context in chosen.contexts if context.device_type == "gpu"]
    _set(config, method.gpus, lambda _: ",".join(there))
    if not method.accumulate:
        return
    if method.accumulate in given:
        print(f"{method.accumulate} stays {given[method.accumulate]}, which the command line says")
    else:
        _set(config, method.accumulate, lambda batches: batches * chosen.accumulate)


def _set(config: Any, key: str, change: Callable[[Any], Any]) -> None:
    """Let `change` make the new value of a dotted key of the old one."""
    *groups, leaf = key.split(".")
    for group in groups:
        config = config[group]
    config[leaf] = change(config[leaf])


def main(
    method: Method,
    description: str,
    *stages: Callable[[Run], Any],
    then: Optional[Callable[[Run], Any]] = None,
    parts: Sequence[str] = PARTS,
) -> None:
    """Run the stages in order; parts: what they do, of PARTS. Of several processes all train; what comes `then`, and a
    script that only tests, is the first one's alone.

    A foreseen error ends the program with its message, without a traceback, as exit 1.
    """
    run = start(method, description, parts=parts)
    everybodys, firsts = (stages, [then] if then else []) if TRAIN in parts else ((), stages)
    with run.world.ending_together():
        try:
            for stage in (*everybodys, *(firsts if run.world.first else ())):
                stage(run)
        except FORESEEN as error:
            who = "" if run.world.first else f"{run.world}: "
            logger.error("%s%s: %s", who, type(error).__name__, explain(error))
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            if run.world.first:
                logger.error("interrupted; --resume goes on from the last finished epoch")
            raise SystemExit(130) from None
