"""The limit of this machine, and how near to it a bundle's graphs come.

python -m saccade_bench.roofline models/bundles/road-camvid.saccade
"""
