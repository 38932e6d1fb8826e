"""What models take for what, from the predictions that runs keep: confusions, errors that all share, disagreement."""
