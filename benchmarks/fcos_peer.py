"""FCOS R-50-FPN in PyTorch eager, the peer of `benchmarks/fcos.py`; needs numpy and torch, and nothing of ours.

    PYTHON benchmarks/fcos_peer.py {forward,train} {nchw,channels_last} CASE.npz OUT.npz [--layers]

CASE.npz: arrays by `state_dict` name, `x` (1, 3, H, W) and `boxes` (G, 5). OUT.npz gets what the first step gave. The
network is the published one, fixed normalisations as a factor and an offset; the losses are the original's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import torch
import torch.nn.functional as functional

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
from benchmarks.workers import serve  # noqa: E402

Tensors = Dict[str, torch.Tensor]
BLOCKS = (3, 4, 6, 3)
STRIDES = (8, 16, 32, 64, 128)
LIMITS = (-1.0, 64.0, 128.0, 256.0, 512.0, 1e8)
ALPHA, GAMMA = 0.25, 2.0


class Network:
    """The published network with given arrays."""

    def __init__(self, arrays: Tensors) -> None:
        self.arrays = arrays

    def __call__(self, x: torch.Tensor) -> List[Tuple[torch.Tensor, ...]]:
        """(logits, distances in pixels, centerness) of P3 to P7."""
        return [self.head(level, number) for number, level in enumerate(self.pyramid(self.body(x)))]

    def conv(self, name: str, x: torch.Tensor, stride: int = 1, pad: int = 0) -> torch.Tensor:
        weight, bias = self.arrays[f"{name}.weight"], self.arrays.get(f"{name}.bias")
        return functional.conv2d(x, weight, bias, stride, pad)

    def fixed(self, name: str, x: torch.Tensor) -> torch.Tensor:
        parts = ("weight", "bias", "running_mean", "running_var")
        weight, bias, mean, variance = (self.arrays[f"{name}.{part}"] for part in parts)
        factor = weight * variance.rsqrt()
        return x * factor.view(1, -1, 1, 1) + (bias - mean * factor).view(1, -1, 1, 1)

    def body(self, x: torch.Tensor) -> List[torch.Tensor]:
        """C3 to C5."""
        name = "backbone.body.stem"
        x = functional.relu(self.fixed(f"{name}.bn1", self.conv(f"{name}.conv1", x, 2, 3)))
        x = functional.max_pool2d(x, 3, 2, 1)
        maps = []
        for layer, blocks in enumerate(BLOCKS, 1):
            for block in range(blocks):
                x = self.bottleneck(f"backbone.body.layer{layer}.{block}", x, 2 if layer > 1 and block == 0 else 1)
            maps.append(x)
        return maps[1:]

    def bottleneck(self, name: str, x: torch.Tensor, stride: int) -> torch.Tensor:
        shortcut = x
        if f"{name}.downsample.0.weight" in self.arrays:
            shortcut = self.fixed(f"{name}.downsample.1", self.conv(f"{name}.downsample.0", x, stride))
        x = functional.relu(self.fixed(f"{name}.bn1", self.conv(f"{name}.conv1", x, stride)))
        x = functional.relu(self.fixed(f"{name}.bn2", self.conv(f"{name}.conv2", x, 1, 1)))
        return functional.relu(self.fixed(f"{name}.bn3", self.conv(f"{name}.conv3", x)) + shortcut)

    def pyramid(self, maps: List[torch.Tensor]) -> List[torch.Tensor]:
        total, levels = None, []
        for number, feature in reversed(list(enumerate(maps, 2))):
            inner = self.conv(f"backbone.fpn.fpn_inner{number}", feature)
            total = inner if total is None else inner + functional.interpolate(total, size=inner.shape[-2:])
            levels.insert(0, self.conv(f"backbone.fpn.fpn_layer{number}", total, 1, 1))
        p6 = self.conv("backbone.fpn.top_blocks.p6", levels[-1], 2, 1)
        return [*levels, p6, self.conv("backbone.fpn.top_blocks.p7", functional.relu(p6), 2, 1)]

    def tower(self, name: str, x: torch.Tensor) -> torch.Tensor:
        for place in (0, 3, 6, 9):
            norm = f"rpn.head.{name}.{place + 1}"
            x = self.conv(f"rpn.head.{name}.{place}", x, 1, 1)
            x = functional.group_norm(x, 32, self.arrays[f"{norm}.weight"], self.arrays[f"{norm}.bias"], 1e-5)
            x = functional.relu(x)
        return x

    def head(self, x: torch.Tensor, number: int) -> Tuple[torch.Tensor, ...]:
        classes, boxes = self.tower("cls_tower", x), self.tower("bbox_tower", x)
        distances = self.conv("rpn.head.bbox_pred", boxes, 1, 1) * self.arrays[f"rpn.head.scales.{number}.scale"]
        logits, centerness = (self.conv(f"rpn.head.{name}", classes, 1, 1) for name in ("cls_logits", "centerness"))
        return logits, distances.exp(), centerness


def targets(sizes: List[Tuple[int, int]], boxes: torch.Tensor) -> Tuple[torch.Tensor, ...]:
    """Labels (L,), distances (L, 4) and centerness (L,) of all locations."""
    labels, distances = [], []
    for (height, width), stride, low, high in zip(sizes, STRIDES, LIMITS, LIMITS[1:]):
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        x, y = ((v.reshape(-1, 1) * stride + stride // 2).float() for v in (x, y))
        sides = torch.stack([x - boxes[:, 0], y - boxes[:, 1], boxes[:, 2] - x, boxes[:, 3] - y], 2)
        farthest = sides.amax(2)
        inside = (sides.amin(2) > 0) & (farthest >= low) & (farthest <= high)
        area = ((boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)).expand_as(farthest)
        least, chosen = area.masked_fill(~inside, 1e8).min(1)
        labels.append(boxes[chosen, 4].long() * (least < 1e8))
        distances.append(sides[torch.arange(len(chosen)), chosen])
    label, side = torch.cat(labels), torch.cat(distances)
    horizontal, vertical = side[:, 0::2], side[:, 1::2]
    ratios = horizontal.amin(1) / horizontal.amax(1) * vertical.amin(1) / vertical.amax(1)
    return label, side, ratios.clamp(min=0).sqrt() * (label > 0)


def losses(outputs: List[Tuple[torch.Tensor, ...]], boxes: torch.Tensor) -> torch.Tensor:
    """(3,): of classes, boxes, centerness."""
    label, side, centrality = targets([(o[0].shape[2], o[0].shape[3]) for o in outputs], boxes)
    logits, distances, centerness = (torch.cat([o[kind].flatten(2)[0].T for o in outputs]) for kind in range(3))
    positive = label > 0
    count = max(float(positive.sum()), 1.0)
    wanted = functional.one_hot(label, logits.shape[1] + 1)[:, 1:].float()
    probability = logits.sigmoid()
    right = probability * wanted + (1 - probability) * (1 - wanted)
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    focal = (ALPHA * wanted + (1 - ALPHA) * (1 - wanted)) * (1 - right) ** GAMMA * entropy
    found, truth, weight = distances[positive], side[positive], centrality[positive]
    least = torch.min(found, truth)
    both = (least[:, 0] + least[:, 2]) * (least[:, 1] + least[:, 3])
    areas = [(s[:, 0] + s[:, 2]) * (s[:, 1] + s[:, 3]) for s in (found, truth)]
    overlap = (both + 1) / (areas[0] + areas[1] - both + 1)
    central = functional.binary_cross_entropy_with_logits(centerness[positive, 0], weight, reduction="sum")
    return torch.stack([focal.sum() / count, (-overlap.log() * weight).sum() / weight.sum(), central / count])


def trained(name: str) -> bool:
    """Whether an array learns: not the fixed norms, stem and first stage."""
    return not (".bn" in name or ".downsample.1" in name or ".stem." in name or ".layer1." in name)


def main() -> None:
    kind, layout, case, out = sys.argv[1:5]
    arrays = {name: torch.from_numpy(array) for name, array in np.load(case).items()}
    x, boxes = arrays.pop("x"), arrays.pop("boxes")
    if layout == "channels_last":
        arrays = {n: a.to(memory_format=torch.channels_last) if a.ndim == 4 else a for n, a in arrays.items()}
        x = x.to(memory_format=torch.channels_last)
    network = Network(arrays)

    def forward() -> List[np.ndarray]:
        with torch.no_grad():
            return [output.numpy() for level in network(x) for output in level]

    def train() -> List[np.ndarray]:
        optimizer.zero_grad()
        found = losses(network(x), boxes)
        found.sum().backward()
        optimizer.step()
        return [found.detach().numpy()]

    if kind == "train":
        for name, array in arrays.items():
            array.requires_grad_(trained(name))
        optimizer = torch.optim.SGD([a for a in arrays.values() if a.requires_grad], 0.0, 0.9, weight_decay=1e-4)
    step = train if kind == "train" else forward
    if "--layers" in sys.argv:
        step()
        with torch.profiler.profile() as profile:
            step()
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=20))
        return
    np.savez(out, *step())
    serve(step)


if __name__ == "__main__":
    main()
