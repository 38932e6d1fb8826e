"""Types of records, and their reading and writing."""
