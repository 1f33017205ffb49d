"""What Mailman 3 says of its lists: asked by REST, off the way of a request."""
