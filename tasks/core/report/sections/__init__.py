"""One file per section of the page, in the words of its heading."""
