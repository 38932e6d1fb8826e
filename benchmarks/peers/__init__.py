"""What people would use instead, trained side by side with this suite on the same net and images."""
