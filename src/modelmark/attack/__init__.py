"""Inputs that break servers, sent to an endpoint, each with the outcomes that are right. It knows the endpoint from outside."""
