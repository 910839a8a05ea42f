"""What a compressed model runs on, real or simulated."""
