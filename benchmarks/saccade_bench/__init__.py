"""Measurements of bundles on the machine at hand."""
