"""The whole line on one machine, from simulated meter to page, in processes of their own."""
