"""What is fitted to single images, or to an observation scale, after training."""
