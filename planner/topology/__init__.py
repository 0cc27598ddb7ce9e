"""What links the devices of machines: the graph, what moves over it, and dumps of real machines."""
