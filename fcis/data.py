"""The data sets a config names, and the class count that follows from them."""

from __future__ import annotations

from typing import List

from lib import dataset
from lib.dataset.imdb import IMDB, append_flipped, filter_roidb


def build_imdb(config, image_set: str) -> IMDB:
    """The data set `dataset.dataset` with `image_set`; its class count is checked against the config's.

    dataset.NUM_CLASSES 0 takes the data's count; another number that differs raises ValueError.
    """
    data = config.dataset
    imdb = dataset.build(data.dataset, image_set, data.root_path, data.dataset_path, config.output_path)
    if data.NUM_CLASSES not in (0, imdb.num_classes):
        raise ValueError(
            f"dataset.NUM_CLASSES is {data.NUM_CLASSES} but {imdb.name} has {imdb.num_classes} classes with background "
            f"({', '.join(imdb.classes[:4])}, ...): set dataset.NUM_CLASSES 0 to take the data's count"
        )
    data.NUM_CLASSES = imdb.num_classes
    return imdb


def training_roidb(imdb: IMDB, config) -> List[dict]:
    """Entries with objects, mirrored copies appended (original section 5.4 and 5.1). ValueError if none is left."""
    train = config.TRAIN
    roidb = append_flipped(imdb.roidb()) if train.FLIP else imdb.roidb()
    kept = filter_roidb(roidb, train.FG_THRESH, train.BG_THRESH_HI, train.BG_THRESH_LO)
    if not kept:
        raise ValueError(
            f"{imdb.name}: none of its {len(roidb)} images has an object to train on; `python -m lib.dataset.check` "
            "lists what was found"
        )
    return kept
