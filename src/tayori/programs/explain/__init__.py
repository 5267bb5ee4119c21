"""`tayori explain`: a mail's whole way, by the same objects that a worker uses, without socket and queue."""
