"""Batch normalisation (Ioffe & Szegedy, ICML 2015) in three steps, so that the batch may lie on several devices.

Each device sums up its part, one device joins the parts, each normalises its part. `lib.core.joint_batch` puts them
into a network; on one device they are batch normalisation as in PyTorch.
"""

from __future__ import annotations

from typing import Optional

from fullconv.lib.operators.library import Array, invoke

__all__ = ["batch_moments", "batch_normalize", "batch_statistics"]


def batch_moments(data: Array, name: Optional[str] = None) -> Array:
    """(1, 3, C): per channel of data (N, C, ...) how many numbers it has, their mean and their biased variance."""
    return invoke("fullconv_batch_moments", data, name=name)


def batch_statistics(
    parts: Array, running_mean: Array, running_var: Array, momentum: float = 0.9, name: Optional[str] = None
) -> Array:
    """(2, C): mean and biased variance of all parts (K, 3, C), each weighing as much as it has numbers.

    running_mean, running_var (C,) become momentum times themselves plus 1 - momentum times the mean and, as PyTorch
    has it, the variance over one number less. On symbols they are auxiliary states. Raises MXNetError, naming operator
    and value, when a shape does not fit or momentum is not between 0 and 1.
    """
    averages = running_mean, running_var
    return invoke("fullconv_batch_statistics", parts, *averages, name=name, states=2, momentum=momentum)


def batch_normalize(
    data: Array, statistics: Array, gamma: Array, beta: Array, eps: float = 1e-5, name: Optional[str] = None
) -> Array:
    """(N, C, ...) (data - mean) / sqrt(variance + eps) * gamma + beta; all four inputs have gradients.

    statistics (2, C): of `batch_statistics`. gamma, beta (C,). Raises MXNetError, naming operator and value, when a
    shape does not fit.
    """
    return invoke("fullconv_batch_normalize", data, statistics, gamma, beta, name=name, eps=eps)
