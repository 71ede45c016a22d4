"""Cost as work grows: larger frames, more at once, more cameras, more threads, longer clips."""
