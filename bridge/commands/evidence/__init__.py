"""`bridge evidence`: exports and verifies evidence, and archives the records that it is made of."""
