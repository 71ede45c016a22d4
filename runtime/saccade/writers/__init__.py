"""Where results go: videos, images, JSON lines. A file is seen at its name only when it is whole."""

from saccade.writers.contact_sheet import contact_sheet
from saccade.writers.files import ensure_folder
from saccade.writers.images import write_png
from saccade.writers.jsonl import JsonLinesWriter
from saccade.writers.video import VideoWriter

__all__ = ["JsonLinesWriter", "VideoWriter", "contact_sheet", "ensure_folder", "write_png"]
