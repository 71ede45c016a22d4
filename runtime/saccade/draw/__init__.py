"""Results made visible: class colours or boxes over a frame, before and after, a legend, a line of text."""

from saccade.draw.boxes import draw_boxes
from saccade.draw.panels import caption, legend, side_by_side
from saccade.draw.tint import overlay

__all__ = ["caption", "draw_boxes", "legend", "overlay", "side_by_side"]
