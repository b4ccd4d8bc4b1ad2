"""The routes of the REST side, one module a resource."""
