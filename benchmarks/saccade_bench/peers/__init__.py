"""Other ways to the same result, each an arm of its own: ``saccade bench A.saccade --peer opencv-careful``.

Their libraries are no dependencies: ``make bench-peers`` installs them into virtual environments of their own. A peer's
process imports nothing of Saccade but ``saccade_bench.serving`` and this folder, which need numpy at most.
"""
