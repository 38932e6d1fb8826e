"""What a trained model takes pictures for."""
