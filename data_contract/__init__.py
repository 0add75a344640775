"""What programs that never import each other must agree on, so that no figure is corrupted between them."""
