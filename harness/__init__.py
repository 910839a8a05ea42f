"""The benchmark itself: tasks, entries, runs, results."""
