"""One folder an entry; the harness finds them by their `submission.py`."""
