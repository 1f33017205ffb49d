"""A pipe whose reader is the test."""

import os


class Pipe:
    """A pipe whose writing end is a stream."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.stream = os.fdopen(writer, "w", encoding="ascii")

    def read(self) -> str:
        """Return what has been written and not read yet."""
        data = b""
        try:
            while more := os.read(self.reader, 65536):
                data += more
        except BlockingIOError:
            pass
        return data.decode("ascii")

    def close_reader(self) -> None:
        """Close the reading end, as a reader that ended."""
        os.close(self.reader)
        self.reader = -1

    def close(self) -> None:
        """Close both ends."""
        self.stream.close()
        if self.reader >= 0:
            os.close(self.reader)
