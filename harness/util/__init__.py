"""Names, files, progress, intervals: small things that know nothing of the benchmark."""
