"""What is random: latents, the time to stop, and pixels."""
