"""The dense networks that all is measured against: found, loaded, trained, shipped."""
