"""How the accuracy comes back after weights are removed."""
