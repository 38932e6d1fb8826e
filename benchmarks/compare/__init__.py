"""The regression gate: what became worse between two sets of records of one machine, and how sure that is."""
