"""Where frames come from: ``open_source`` turns a path, a glob or a URI into a ``Source``."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from saccade.errors import RequestError, SourceError
from saccade.sources.base import Source, SourceFault, SourceFrame
from saccade.sources.images import IMAGE_SUFFIXES, ImageSource, folder_images, glob_images
from saccade.sources.scenes import SceneSource
from saccade.sources.video import VideoSource

__all__ = ["Source", "SourceFault", "SourceFrame", "open_source"]

_SUPPORTED = "supported are an image, a folder of images, a glob or a video file (also as file://), and scenes:"


def open_source(uri: str | os.PathLike[str]) -> Source:
    """The source that ``uri`` names: a path, a glob, ``file://...`` or ``scenes:...``.

    Raises ``SourceError`` for what does not exist or cannot be opened, and ``RequestError`` for a scheme that is
    not supported yet or a missing library.
    """
    text = os.fspath(uri)
    if not text:
        raise RequestError(f"the source is empty; {_SUPPORTED}")
    if isinstance(uri, str) and text.startswith("scenes:"):
        return SceneSource(text)
    if isinstance(uri, str) and text.lower().startswith("file:"):
        return _open_path(text, _path_of_file_uri(text))
    # A file may have a colon in its name, so what exists is no URI. Path.exists would raise for a very long one.
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text) if isinstance(uri, str) else None
    if scheme and not os.path.exists(text):  # noqa: PTH110
        raise RequestError(f"sources of scheme '{scheme[1]}:' are not supported yet; {_SUPPORTED}")
    return _open_path(text, text)


def _path_of_file_uri(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise RequestError(f"{uri} names the host '{parts.netloc}'; a file URI on this machine has three slashes")
    return unquote(parts.path)


def _open_path(uri: str, text: str) -> Source:
    path = Path(text)
    try:
        if path.is_dir():
            return ImageSource(uri, folder_images(path))
        if path.is_file():
            return ImageSource(uri, [path]) if path.suffix.lower() in IMAGE_SUFFIXES else VideoSource(uri, path)
        if path.exists():
            raise SourceError(f"{text} is neither a file nor a folder; {_SUPPORTED}")
    except OSError as error:
        raise SourceError(f"{text} cannot be read: {error.strerror or error}") from error
    if glob.has_magic(text):
        return ImageSource(uri, glob_images(text))
    raise SourceError(f"{text} does not exist; {_SUPPORTED}")
