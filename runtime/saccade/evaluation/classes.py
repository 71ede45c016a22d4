"""Which of a bundle's classes is meant by each class of a dataset."""

from __future__ import annotations

from saccade.errors import RequestError

SHOWN_CLASSES = 10


def match_classes(dataset: tuple[str, ...], bundle: tuple[str, ...], *, by_order: bool = False) -> tuple[int, ...]:
    """The bundle's id of each class of the dataset: that of the same name, or with ``by_order`` of the same place.

    Classes that only the bundle has are nobody's. Raises ``RequestError`` for classes that the bundle lacks, and for
    ``by_order`` between lists of two lengths.
    """
    if by_order and len(dataset) == len(bundle):
        return tuple(range(len(bundle)))
    lacking = [name for name in dataset if name not in bundle]
    if not by_order and not lacking:
        return tuple(bundle.index(name) for name in dataset)
    raise RequestError(_mismatch(dataset, bundle, lacking, by_order))


def _mismatch(dataset: tuple[str, ...], bundle: tuple[str, ...], lacking: list[str], by_order: bool) -> str:
    both = f"the dataset's {len(dataset)} are {_shown(dataset)}, the bundle's {len(bundle)} are {_shown(bundle)}"
    if by_order:
        return f"classes can be matched by order only between equally many: {both}; match them by name"
    found = f"the bundle lacks {len(lacking)} of the dataset's classes ({_shown(lacking)}): {both}; "
    if len(dataset) == len(bundle):
        return f"{found}if they mean the same in this order, add --classes-by-order"
    return f"{found}name them as the bundle does, or leave them out of the dataset"


def _shown(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:SHOWN_CLASSES]) + (", …" if len(names) > SHOWN_CLASSES else "")
