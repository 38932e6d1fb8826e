"""Types of records; reading and writing them."""
