"""The one training loop, its recipes, and how references are made."""
