"""Public: in-memory twins of the ports, and the conformance kits that plugin authors run."""
