"""What a technician needs beside a device: look at it, check the site file, set a scale."""
