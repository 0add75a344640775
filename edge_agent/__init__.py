"""The program on the gateway: read meters, keep every reading until the cloud has confirmed it, send."""
