"""`bridge mark`: marks every record of a list as DoNotCall through a running bridge. It can be stopped and resumed."""
