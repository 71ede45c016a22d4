"""One file per task and target: the camera frame joined to the network, the network to its result."""
