"""How bits lie in which tensors: one module a packing, its stem the format id."""
