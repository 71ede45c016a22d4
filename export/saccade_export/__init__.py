"""From a PyTorch network to a sealed, proven bundle."""
