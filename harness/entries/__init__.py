"""What a submission hands over and what becomes of it: loading, worker, export, admission, rules."""
