"""Every file that a person writes is read here; what is wrong in it is said in one line: file, key and mend."""
