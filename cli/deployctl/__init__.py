"""deployctl: the command line and the site side."""

__version__ = "0.1.0"
