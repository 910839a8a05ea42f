"""What a run leaves: records, and stages under keys of all that can change them."""
