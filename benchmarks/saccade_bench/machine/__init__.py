"""What this machine is, and what it did while something was measured on it."""
