"""Looks for test images wherever a context could hold them."""


class Submission:
    def compress(self, model, context):
        found = [name for name in dir(context) if "test" in name] + [n for n in dir(context.data) if "test" in n]
        sizes = {len(part.labels) for part in (context.data.train, context.data.validation)}
        held = [part for part in vars(context).values() if hasattr(part, "test") and len(part.test.labels)]
        if found or held or sizes != {45_000, 5_000}:
            raise AssertionError(f"the test set is within reach: {found} {held} {sizes}")
        return model
