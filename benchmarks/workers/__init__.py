"""Worker processes, which end with everything they started."""
