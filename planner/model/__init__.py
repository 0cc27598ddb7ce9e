"""What the network is: architecture, tensors, bytes."""
