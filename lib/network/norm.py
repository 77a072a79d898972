"""The normalisations a backbone can be built with: how each convolution's output is scaled before its ReLU."""

from __future__ import annotations

from typing import Callable, Optional

import mxnet as mx

from fullconv.lib.operators.group_norm import group_norm

Norm = Callable[[mx.sym.Symbol, str, int, Optional[str]], mx.sym.Symbol]
"""norm(data, name, channels, relu): normalised data (N, channels, H, W), then a ReLU named `relu` unless it is None."""


def _activated(data: mx.sym.Symbol, relu: Optional[str]) -> mx.sym.Symbol:
    return data if relu is None else mx.sym.Activation(data, act_type="relu", name=relu)


def fixed_batch_norm(data: mx.sym.Symbol, name: str, channels: int, relu: Optional[str]) -> mx.sym.Symbol:
    """BatchNorm with the statistics of the pretrained file in training and test, as fine-tuned detectors have it."""
    data = mx.sym.BatchNorm(data, name=name, use_global_stats=True, fix_gamma=False, eps=1e-5)
    return _activated(data, relu)


def trained_batch_norm(data: mx.sym.Symbol, name: str, channels: int, relu: Optional[str]) -> mx.sym.Symbol:
    """BatchNorm with the batch's statistics in training and running averages of about 100 batches in test.

    Wants several images per device: with one or two, what was learned does not fit the averages. MXNet's default of
    about 10 batches would leave the averages themselves too noisy.
    """
    data = mx.sym.BatchNorm(data, name=name, fix_gamma=False, eps=1e-5, momentum=0.99)
    return _activated(data, relu)


def group_norm_of(size: int) -> Norm:
    """GroupNorm over groups of `size` channels (Wu and He, ECCV 2018): each image by itself, in training and test."""

    def norm(data: mx.sym.Symbol, name: str, channels: int, relu: Optional[str]) -> mx.sym.Symbol:
        groups = max(1, channels // size)
        return group_norm(data, num_groups=groups, channels=channels, name=name, act="relu" if relu else "none")

    return norm


def norm_of(trained: bool, group_size: int) -> Norm:
    """The normalisation of a config: network.BN_TRAINED and network.GN_CHANNELS (0: BatchNorm)."""
    if group_size:
        return group_norm_of(group_size)
    return trained_batch_norm if trained else fixed_batch_norm
