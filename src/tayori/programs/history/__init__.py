"""What happened to each session and each mail, kept for `trace`, `find`, `why` and `rehearse`."""
