"""Layers of 2013 in the words of today: `layers { layer { name: "c" type: "conv" num_output: 4 } bottom: ... }`.

What Caffe's upgrade_net_proto_text does: parameters that stand right in the layer move into the message of their type,
under today's names, and a padding layer becomes the padding of the convolution behind it.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Tuple

from fullconv.lib.convert.caffe_fields import Scope
from fullconv.lib.convert.caffe_types import BY_V0_WORD, is_source
from fullconv.lib.convert.prototxt import Message

KEPT = ("name", "blobs_lr", "weight_decay")

RENAMED = {
    "biasterm": "bias_term",
    "kernelsize": "kernel_size",
    "batchsize": "batch_size",
    "cropsize": "crop_size",
    "meanfile": "mean_file",
}

MESSAGES = {
    "Convolution": "convolution_param",
    "InnerProduct": "inner_product_param",
    "Pooling": "pooling_param",
    "LRN": "lrn_param",
    "Dropout": "dropout_param",
    "Concat": "concat_param",
}

PADDING = "padding"
"""The one layer of 2013 that has no successor."""

Padding = Dict[str, Tuple[str, int]]
"""Top of a padding layer -> (its bottom, pixels)."""


def upgraded(messages: Iterable[Message]) -> List[Message]:
    """Layer messages, those of 2013 among them rewritten; a line number stays the original's.

    Raises:
        ConvertError: a padding layer in front of something that cannot pad.
    """
    padding: Padding = {}
    found = []
    for message in messages:
        inner = message.get("layer")
        if not isinstance(inner, Message):
            found.append(message)
            continue
        scope = Scope(str(inner.get("name", "")), inner)
        bottoms = Scope(scope.layer, message).texts("bottom")
        if inner.get("type") == PADDING and len(bottoms) == 1:
            # The layer itself goes, and who reads its top reads its bottom.
            padding.update({top: (bottoms[0], scope.integer("pad", 0, 0)) for top in message.all("top")})
        else:
            found.append(_upgrade(scope, message, padding))
    return found


def _upgrade(scope: Scope, outer: Message, padding: Padding) -> Message:
    word = str(scope.message.get("type", ""))
    kind = BY_V0_WORD.get(word, word)
    target = "data_param" if is_source(kind) else MESSAGES.get(kind)
    found = Message(line=scope.message.line).add("type", kind)
    param = Message(line=scope.message.line)
    for field in scope.message.fields:
        if field.key in KEPT:
            found.add(field.key, field.value)
        elif field.key != "type":
            # A type without parameters of its own keeps what stands in it: the reader names what it does not know.
            (param if target else found).add(RENAMED.get(field.key, field.key), field.value)
    for field in outer.fields:
        if field.key == "bottom" and field.value in padding:
            bottom, pad = padding[field.value]
            if kind not in ("Convolution", "Pooling") or param.get("pad", 0):
                raise scope.error(f"a padding layer stands in front of {kind}, which cannot pad as well: pad in a conv")
            found.add("bottom", bottom)
            param.add("pad", pad)
        elif field.key != "layer":
            found.add(field.key, field.value)
    return found.add(target, param) if target else found
