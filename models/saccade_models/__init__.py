"""Networks, datasets and training in PyTorch."""
