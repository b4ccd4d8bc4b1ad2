"""The HTTP side of a CometD session: requests, cookies, and the route to the server."""
