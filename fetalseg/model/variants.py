"""Every number of every network, in one table."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from fetalseg.anatomy import structure_names
from fetalseg.preprocess import InputRule

__all__ = ["VARIANTS", "AnchorShape", "Variant", "variant"]

BackboneKind = Literal["resnet50", "mobilenet_v2", "tiny"]
ConvKind = Literal["plain", "separable"]
ScoreKind = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class AnchorShape:
    """One default box, repeated at every place of a pyramid level.

    Attributes:
        width: px of the network input.
        height: px of the network input.
        columns: how many stand side by side within one place; above 1 for boxes that are narrow against the stride.
        rows: how many stand above each other within one place; above 1 for boxes that are flat against the stride.
    """

    width: float
    height: float
    columns: int = 1
    rows: int = 1


@dataclass(frozen=True)
class Variant:
    """The numbers of one network; `dataclasses.asdict` of it travels in checkpoints and model files.

    Attributes:
        name: what users call it.
        input: how a frame becomes the input.
        backbone: which feature extractor.
        anchors: the default boxes of each pyramid level, finest level (P3, stride 8) first; sets the number of levels.
        pyramid_channels: width of the pyramid.
        head_channels: width of the layers before the predictions.
        head_layers: 3x3 layers before the predictions.
        head_shared: one set of weights for all levels, which then have equally many anchors a place.
        prototypes: K.
        protonet_channels: width of the prototype branch.
        protonet_layers: 3x3 layers at stride 8, before the upsampling.
        protonet_skip: add the backbone's features of stride 4 after the upsampling: thin structures need their detail.
        pyramid_fine: add the backbone's features of stride 4, brought down to stride 8, to P3.
        conv: kind of the 3x3 layers outside the backbone: "plain" with bias, "separable" with BatchNorm.
        score: "softmax" over background (index 0) and structures, or an independent "sigmoid" for each structure.
        structures: C.
    """

    name: str
    input: InputRule
    backbone: BackboneKind
    anchors: tuple[tuple[AnchorShape, ...], ...]
    pyramid_channels: int
    head_channels: int
    head_layers: int
    head_shared: bool
    prototypes: int
    protonet_channels: int
    protonet_layers: int
    protonet_skip: bool
    pyramid_fine: bool
    conv: ConvKind
    score: ScoreKind
    structures: int = len(structure_names())

    def __post_init__(self) -> None:
        if len(self.anchors) < 3 or not all(self.anchors):
            raise ValueError(
                f"a variant needs anchors on 3 levels (P3, P4, P5) or more, got {list(map(len, self.anchors))}"
            )
        counts = self.anchors_per_place
        if self.head_shared and len(set(counts)) > 1:
            raise ValueError(f"a shared head needs equally many anchors on every level, got {counts}")
        size = (self.input.height, self.input.width)
        if (self.protonet_skip or self.pyramid_fine) and any(side % 8 for side in size):
            raise ValueError(f"features of stride 4 need an input whose sides are multiples of 8, got {size}")

    @property
    def anchors_per_place(self) -> tuple[int, ...]:
        """Number of anchors at one place, for each level."""
        return tuple(sum(shape.columns * shape.rows for shape in level) for level in self.anchors)

    @property
    def prototype_shape(self) -> tuple[int, int]:
        """(Hp, Wp): twice the size of P3."""
        height, width = self.level_shapes[0]
        return 2 * height, 2 * width

    @property
    def level_shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of each level; a convolution of stride 2 rounds up."""
        strides = [2 ** (3 + i) for i in range(len(self.anchors))]
        return tuple((-(-self.input.height // s), -(-self.input.width // s)) for s in strides)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Variant:
        """Reads `dataclasses.asdict(variant)`, also after a detour through JSON.

        Raises:
            ValueError: an unknown or missing key; the message names it.
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown keys of a variant: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        try:
            anchors = tuple(tuple(AnchorShape(**shape) for shape in level) for level in values["anchors"])
            return cls(**{**values, "input": InputRule(**values["input"]), "anchors": anchors})
        except (KeyError, TypeError) as error:
            raise ValueError(f"incomplete variant: {error}") from None


def _square(scale: float) -> tuple[AnchorShape, ...]:
    """Three squares of side s, s/sqrt2 and s*sqrt2, as the public YOLACT makes them of the aspects 1, 1/2 and 2."""
    return tuple(AnchorShape(scale * ratio**0.5, scale * ratio**0.5) for ratio in (1.0, 0.5, 2.0))


# The network of Bolya et al., ICCV 2019, the yardstick: published sizes, anchors ordered as in the public code.
_YOLACT_R50 = Variant(
    name="yolact-r50",
    input=InputRule(height=550, width=550, channels=3, resize="stretch", interpolation="linear"),
    backbone="resnet50",
    anchors=tuple(_square(scale) for scale in (24, 48, 96, 192, 384)),
    pyramid_channels=256,
    head_channels=256,
    head_layers=1,
    head_shared=True,
    prototypes=32,
    protonet_channels=256,
    protonet_layers=3,
    protonet_skip=False,
    pyramid_fine=False,
    conv="plain",
    score="softmax",
)

# The default. Anchors are fitted to the boxes of real frames (nasal bone, palate, nuchal translucency, cranium) and to
# sizes published for 11 to 14 weeks (the rest), both at the scale of the input: a greedy choice of the shapes that add
# most overlap for their number. Flat ones stand in several rows: places 8 px apart miss a nasal bone 7 px high. Nuchal
# translucencies are long, yet stand on the finest level: what tells them, two lines 20 px apart, is lost on the next.
# A share of 0.96 of augmented real nasal bones, 0.99 of nuchal translucencies and all palates find an anchor with IoU
# 0.5 (0.35 and 0.60 is the IoU of their ninth best, the last to learn them for sure).
_FETALSEG_S = Variant(
    name="fetalseg-s",
    input=InputRule(height=288, width=416, channels=1, resize="letterbox"),
    backbone="mobilenet_v2",
    anchors=(
        (
            AnchorShape(16, 5.5, rows=3),
            AnchorShape(24, 8, rows=3),
            AnchorShape(31, 9.5, rows=2),
            AnchorShape(22, 20),
            AnchorShape(80, 13, rows=2),
            AnchorShape(125, 17, rows=2),
            AnchorShape(185, 22),
            AnchorShape(225, 34),
        ),
        (
            AnchorShape(20, 135, columns=2),
            AnchorShape(34, 48, columns=2),
            AnchorShape(48, 67),
            AnchorShape(57, 34, rows=2),
            AnchorShape(28, 28, columns=2, rows=2),
        ),
        (
            AnchorShape(48, 190, columns=2),
            AnchorShape(67, 95, columns=2),
            AnchorShape(95, 48, rows=2),
            AnchorShape(95, 190, columns=2),
            AnchorShape(135, 40, rows=2),
            AnchorShape(226, 48, rows=2),
        ),
        (
            AnchorShape(34, 113, columns=2, rows=2),
            AnchorShape(135, 95, columns=2, rows=2),
            AnchorShape(160, 190, columns=2),
            AnchorShape(226, 95, rows=2),
            AnchorShape(269, 190),
        ),
    ),
    pyramid_channels=96,
    head_channels=96,
    head_layers=2,
    head_shared=False,
    prototypes=32,
    protonet_channels=64,
    protonet_layers=2,
    protonet_skip=True,
    pyramid_fine=True,
    conv="separable",
    score="sigmoid",
)


def _scaled(anchors: tuple[tuple[AnchorShape, ...], ...], factor: float) -> tuple[tuple[AnchorShape, ...], ...]:
    """The same shapes for an input `factor` times as large."""
    return tuple(
        tuple(replace(shape, width=shape.width * factor, height=shape.height * factor) for shape in level)
        for level in anchors
    )


# The default's network on 1.9 times as many pixels: what is thin at 416x288 is what it misses. Every weight of the
# default fits, so it starts from those (`fetalseg train --init`).
_FETALSEG_M = replace(
    _FETALSEG_S,
    name="fetalseg-m",
    input=InputRule(height=400, width=576, channels=1, resize="letterbox"),
    anchors=_scaled(_FETALSEG_S.anchors, 576 / 416),
)

# Small enough that a test builds, trains a few steps and exports it within seconds.
_FETALSEG_TEST = Variant(
    name="fetalseg-test",
    input=InputRule(height=64, width=96, channels=1, resize="letterbox"),
    backbone="tiny",
    anchors=(
        (AnchorShape(12, 6, rows=2), AnchorShape(16, 16)),
        (AnchorShape(32, 32), AnchorShape(48, 16)),
        (AnchorShape(64, 48),),
    ),
    pyramid_channels=16,
    head_channels=16,
    head_layers=1,
    head_shared=False,
    prototypes=8,
    protonet_channels=16,
    protonet_layers=1,
    protonet_skip=True,
    pyramid_fine=True,
    conv="separable",
    score="sigmoid",
)

VARIANTS: dict[str, Variant] = {v.name: v for v in (_YOLACT_R50, _FETALSEG_S, _FETALSEG_M, _FETALSEG_TEST)}


def variant(name: str) -> Variant:
    """The variant called `name`.

    Raises:
        ValueError: no such variant; the message lists the known names.
    """
    try:
        return VARIANTS[name]
    except KeyError:
        raise ValueError(f"unknown variant {name!r}; expected one of {', '.join(VARIANTS)}") from None
