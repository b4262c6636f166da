"""A version on its way from its mark to all of the traffic: what was agreed of it, how far it is, what was found."""
