"""gRPC as a transport: the Open Inference Protocol v2 and the standard health service over the same runtime as HTTP."""
