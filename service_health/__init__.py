"""What a running program says of itself: to the service manager that started it, and to whoever collects metrics."""
