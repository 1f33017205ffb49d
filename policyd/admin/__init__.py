"""What the admin socket answers: the API of the CLI and of panels."""
