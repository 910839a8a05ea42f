"""A run: compress in a worker, admit, judge, measure, record."""
