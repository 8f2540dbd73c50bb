"""Teaching a domain over HTTP: its labels, labelled examples, and tunings on them. Knows no torch."""
