"""smtpd: one SMTP session from greeting to goodbye. `session.Session` is the way in."""
