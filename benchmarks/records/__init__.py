"""What is written down: the types of records, their reading and their writing."""
