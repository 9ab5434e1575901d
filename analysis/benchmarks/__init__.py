"""What the model and its studies cost, on this machine."""
