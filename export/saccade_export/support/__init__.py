"""Which engines take a graph, told on a machine without a GPU: a table of rules, and NVIDIA's own builder beside it."""
