"""The file of a bundle: its form, its signature, its time stamp, and their verification."""
