"""The benchmark itself: tasks, submissions, runs, results."""
