"""One file per kind of container: how its rows are found and read in bounded memory."""
