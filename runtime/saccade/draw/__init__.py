"""Results made visible: class colours or boxes over a frame, a legend, a line of text."""

from saccade.draw.boxes import draw_boxes
from saccade.draw.panels import caption, legend
from saccade.draw.tint import overlay

__all__ = ["caption", "draw_boxes", "legend", "overlay"]
