def add_kind(kinds):
    pass
