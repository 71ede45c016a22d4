"""YOLOX: an anchor-free one-stage detector (Ge et al. 2021, arXiv 2107.08430), nano, tiny and s.

Modules carry the names of the official checkpoints, so their state dicts load as they are. Backbone: CSPDarknet with a
focus stem; neck: a path-aggregation pyramid; head: decoupled, see ``yolox_head``. Input: (N, 3, H, W) float32, BGR in
0..255, H and W multiples of 32.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from saccade_models.onnx_weights import load_folded
from saccade_models.yolox_head import DualHead, Head, RawOutput

SIZES = {"nano": (0.33, 0.25), "tiny": (0.33, 0.375), "s": (0.33, 0.50)}
"""Depth and width multiples of the paper's table 3; nano is depthwise."""


class Convolution(nn.Module):
    """Convolution, BatchNorm, SiLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels_in, channels_out, kernel, stride, padding=(kernel - 1) // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels_out, eps=1e-3, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.bn(self.conv(x)))


class SeparableConvolution(nn.Module):
    """A depthwise convolution, then a pointwise one."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.dconv = Convolution(channels_in, channels_in, kernel, stride, groups=channels_in)
        self.pconv = Convolution(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pconv(self.dconv(x))


def convolution(channels_in: int, channels_out: int, kernel: int, stride: int, depthwise: bool) -> nn.Module:
    """The paper's convolution, or the separable one that nano puts in its place."""
    kind = SeparableConvolution if depthwise else Convolution
    return kind(channels_in, channels_out, kernel, stride)


class Focus(nn.Module):
    """Every 2x2 block of pixels to channels (top left, bottom left, top right, bottom right), then a convolution."""

    def __init__(self, channels_out: int) -> None:
        super().__init__()
        self.conv = Convolution(12, channels_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        blocks = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.conv(torch.cat(blocks, dim=1))


class Bottleneck(nn.Module):
    """1x1, then 3x3, with a shortcut where asked."""

    def __init__(self, channels: int, shortcut: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels, 1)
        self.conv2 = convolution(channels, channels, 3, 1, depthwise)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class CspLayer(nn.Module):
    """Cross-stage partial block: half of the channels through ``depth`` bottlenecks, half past them."""

    def __init__(self, channels_in: int, channels_out: int, depth: int, shortcut: bool, depthwise: bool) -> None:
        super().__init__()
        hidden = channels_out // 2
        self.conv1 = Convolution(channels_in, hidden, 1)
        self.conv2 = Convolution(channels_in, hidden, 1)
        self.conv3 = Convolution(2 * hidden, channels_out, 1)
        self.m = nn.Sequential(*(Bottleneck(hidden, shortcut, depthwise) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        through, past = self.conv1(x), self.conv2(x)
        return self.conv3(torch.cat((self.m(through), past), dim=1))


class SpatialPyramid(nn.Module):
    """Max pooling at 5, 9 and 13 pixels side by side."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        hidden = channels_in // 2
        self.conv1 = Convolution(channels_in, hidden, 1)
        self.m = nn.ModuleList(nn.MaxPool2d(kernel, 1, kernel // 2) for kernel in (5, 9, 13))
        self.conv2 = Convolution(4 * hidden, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *(pool(x) for pool in self.m)], dim=1))


class CspDarknet(nn.Module):
    """(N, 3, H, W) to features at strides 8, 16 and 32, with 4, 8 and 16 times ``base`` channels."""

    def __init__(self, base: int, depth: int, depthwise: bool) -> None:
        super().__init__()
        conv = partial(convolution, kernel=3, stride=2, depthwise=depthwise)
        self.stem = Focus(base)
        self.dark2 = nn.Sequential(conv(base, base * 2), CspLayer(base * 2, base * 2, depth, True, depthwise))
        self.dark3 = nn.Sequential(conv(base * 2, base * 4), CspLayer(base * 4, base * 4, depth * 3, True, depthwise))
        self.dark4 = nn.Sequential(conv(base * 4, base * 8), CspLayer(base * 8, base * 8, depth * 3, True, depthwise))
        self.dark5 = nn.Sequential(
            conv(base * 8, base * 16),
            SpatialPyramid(base * 16, base * 16),
            CspLayer(base * 16, base * 16, depth, False, depthwise),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride8 = self.dark3(self.dark2(self.stem(x)))
        stride16 = self.dark4(stride8)
        return stride8, stride16, self.dark5(stride16)


class Pyramid(nn.Module):
    """Backbone and path aggregation: down the pyramid, then up again."""

    def __init__(self, base: int, depth: int, depthwise: bool) -> None:
        super().__init__()
        c3, c4, c5 = base * 4, base * 8, base * 16
        csp = partial(CspLayer, depth=depth, shortcut=False, depthwise=depthwise)
        self.backbone = CspDarknet(base, depth, depthwise)
        self.lateral_conv0 = Convolution(c5, c4, 1)
        self.C3_p4 = csp(2 * c4, c4)
        self.reduce_conv1 = Convolution(c4, c3, 1)
        self.C3_p3 = csp(2 * c3, c3)
        self.bu_conv2 = convolution(c3, c3, 3, 2, depthwise)
        self.C3_n3 = csp(2 * c3, c4)
        self.bu_conv1 = convolution(c4, c4, 3, 2, depthwise)
        self.C3_n4 = csp(2 * c4, c5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride8, stride16, stride32 = self.backbone(x)
        lateral0 = self.lateral_conv0(stride32)
        middle = self.C3_p4(torch.cat((_twice(lateral0), stride16), dim=1))
        lateral1 = self.reduce_conv1(middle)
        out8 = self.C3_p3(torch.cat((_twice(lateral1), stride8), dim=1))
        out16 = self.C3_n3(torch.cat((self.bu_conv2(out8), lateral1), dim=1))
        out32 = self.C3_n4(torch.cat((self.bu_conv1(out16), lateral0), dim=1))
        return out8, out16, out32


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class YOLOX(nn.Module):
    """The whole detector.

    ``one_to_one`` adds a second head, trained so that each object gets one box (see ``DualHead``); ``output`` chooses
    the head that ``forward`` gives: "many", whose boxes need suppression, or "one", whose boxes do not.

    ``forward`` gives (N, A, 5 + classes) with the plain head, (N, A, 4 + classes) with the dual one, for the
    A = H·W·(1/64 + 1/256 + 1/1024) cells row by row, stride 8 first: centre offset and log size in units of the
    stride, then probabilities (objectness first, where the head has it). Official ONNX files have this layout.
    """

    def __init__(self, classes: int = 80, size: str = "nano", *, one_to_one: bool = False, output: str = "") -> None:
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"size must be one of {', '.join(SIZES)}, but got {size!r}")
        self.output = output or ("one" if one_to_one else "many")
        if self.output not in ("one", "many") or (self.output == "one" and not one_to_one):
            raise ValueError(f"output must be 'many', or with one_to_one 'one', but got {output!r}")
        self.size, self.classes = size, classes
        depth, width = SIZES[size]
        depthwise = size == "nano"
        self.backbone = Pyramid(int(64 * width), max(round(depth * 3), 1), depthwise)
        self.head = (DualHead if one_to_one else Head)(
            classes,
            channels=tuple(int(channels * width) for channels in (256, 512, 1024)),
            hidden=int(256 * width),
            stem=partial(Convolution, kernel=1),
            conv=partial(convolution, kernel=3, stride=1, depthwise=depthwise),
        )

    def forward(self, images: Tensor) -> Tensor:
        features = self.backbone(images)
        if self.output == "one":
            assert isinstance(self.head, DualHead)
            return self.head.one_to_one(features).probabilities()
        return self.head(features).probabilities()

    def begin_one_as_many(self) -> None:
        """Give the one-to-one head the weights of the one-to-many head, whose boxes it then has, each many times."""
        assert isinstance(self.head, DualHead)
        named = self.head.state_dict()
        self.head.one.load_state_dict({name: named[name] for name in self.head.one.state_dict()})

    def class_branches_of_one(self) -> nn.Module:
        """What decides which boxes the one-to-one head gives, and not where they are."""
        assert isinstance(self.head, DualHead)
        return nn.ModuleList([self.head.one.cls_convs, self.head.one.cls_preds])

    def raw(self, images: Tensor, *, only_peaks: bool = False) -> tuple[RawOutput, ...]:
        """Logits and offsets of every head, for training: the many, then the one where there is one.

        ``only_peaks`` gives the one as it is in use.
        """
        features = self.backbone(images)
        if isinstance(self.head, DualHead):
            return self.head.both(features, only_peaks=only_peaks)
        return (self.head(features),)

    def load_onnx(self, path: Path) -> None:
        """Take the weights of an official ONNX file, whose BatchNorms are folded. Raises ``WeightsError``."""
        load_folded(self, path, torch.zeros(1, 3, 64, 64))
