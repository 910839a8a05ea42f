"""What a submission hands over and what becomes of it: contract, worker, export, admission."""
