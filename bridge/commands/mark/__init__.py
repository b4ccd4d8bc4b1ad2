"""`bridge mark`: marks every record of a list as DoNotCall through a running bridge.

The command can be stopped and resumed.
"""
