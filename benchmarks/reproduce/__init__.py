"""Everything that the committed tables need, measured again on the machine at hand."""
