"""Classification of pictures by a trained model."""
