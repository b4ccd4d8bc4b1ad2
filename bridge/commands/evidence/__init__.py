"""`bridge evidence`: exports and verifies evidence, and archives the records from which evidence is made."""
