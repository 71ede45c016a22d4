"""One file per task: raw frame to result through an engine."""
