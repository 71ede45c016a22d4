"""The eleven CamVid classes in the order of the SegNet split, their display colours, and the void id."""

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)

# The colours that CamVid's own label images use for these classes (Brostow et al., 2009).
COLORS = (
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (0, 0, 192),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)

VOID = 11
"""Pixels with this id belong to no class and are left out of scores."""
