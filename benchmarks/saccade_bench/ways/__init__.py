"""The ways of doing the work, each a module that is a process: ``python -m saccade_bench.ways.bundle SPEC``."""
