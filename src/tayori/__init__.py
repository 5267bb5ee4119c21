"""tayori (便り): a mail server that reads Postfix's configuration and explains every decision."""

__version__ = "0.1.0"
