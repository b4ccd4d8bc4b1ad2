"""`bridge mark`: marks every record of a list as DoNotCall through a running bridge, and goes on where it was."""
