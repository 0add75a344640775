"""The store that needs no server: two SQLite files, each with one writer."""
