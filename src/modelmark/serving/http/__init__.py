"""HTTP as a transport: the edge frames, the service finds the protocol of an address; nothing here knows a model."""
