"""Raises while it compresses."""


class Submission:
    def compress(self, model, context):
        raise ZeroDivisionError("the submission's own mistake")
