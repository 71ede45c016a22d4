"""A GPU through CUDA's runtime: the driver, memory and streams, for the engines that run on one."""
