"""How anything is measured, and what may disturb it: one file a quantity."""
