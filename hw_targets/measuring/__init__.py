"""What measuring a real machine takes, of whichever target: LoadGen, a process of its own, turns, noise, statistics."""
