"""Raises while it compresses."""


class Entry:
    def compress(self, model, context):
        raise ZeroDivisionError("the entry's own mistake")
