"""Where TensorRT-RTX, which can be asked here, differs from full TensorRT, which cannot: rules and reasons."""

from __future__ import annotations

DIFFERENCES = {
    "plugin": "NonMaxSuppression, NonZero, RoiAlign, DeformConv and DFT need plugins, of which TensorRT-RTX has none",
    "operation": "operations of other domains need plugins too",
    "scatter elements": "reductions of ScatterElements are a plugin of full TensorRT",
    "reshaped branch": "TensorRT-RTX 1.7 fails on some If nodes after a Reshape, which nobody reports of full TensorRT",
    "one position": "TensorRT-RTX 1.7 fails on some ConvTranspose of one position after a reduction",
    "pad of constants": "TensorRT-RTX 1.7 fails on some integers that it folds",
}
"""Rules about TensorRT-RTX alone. Where one was measured on it and full TensorRT's documents say otherwise or nothing
(bfloat16 in ConvTranspose, empty names), full TensorRT's verdict is unsure instead."""
