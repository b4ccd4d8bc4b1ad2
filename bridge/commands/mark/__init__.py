"""`bridge mark`: marks every record of a list as DoNotCall, through a running bridge. A stopped run can be resumed."""
