"""llama.cpp: layer split over local and RPC devices."""
