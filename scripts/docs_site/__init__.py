"""What the documentation site adds to docs/: pages of other folders, formulas as MathML, the routes of the service."""
