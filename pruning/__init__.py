"""Pruning techniques: what to remove, and how to recover."""
