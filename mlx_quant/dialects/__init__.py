"""Who wrote the configuration: from a ``quant_method`` or a sidecar to a scheme for each module by its name."""
