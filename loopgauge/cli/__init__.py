"""One file per verb: parse the arguments, load the configuration, call one program."""
