"""A process that sends batches, one after the other, and notes in its ledger what was acknowledged.

  ledger_writer.py SEED WRITER PORT LEDGER

A line on stdin lets it send until the connection breaks; it then writes "down" and waits for the
next line: "resend" begins with the batch that was not answered, "skip" gives that one up.
"""

import http.client
import os
import sys
import time

from ledger import Batch

RETRY_STATUS = (408, 429, 503, 507)


class Writer:
    def __init__(self, seed, writer, port, path):
        self.seed, self.writer, self.port = seed, writer, port
        self.ledger = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.number = 0

    def note(self, line):
        os.write(self.ledger, line.encode("ascii", "backslashreplace") + b"\n")

    def send_until_broken(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            while True:
                path, headers, body = Batch(self.seed, self.writer, self.number).request()
                self.note(f"send {self.number}")
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status in (200, 204):
                    self.note(f"ack {self.number}")
                    self.number += 1
                elif answer.status in RETRY_STATUS:
                    time.sleep(0.01)
                else:
                    self.note(f"wrong {self.number} {answer.status} {text[:500]!r}")
                    self.number += 1
        except (OSError, http.client.HTTPException):
            connection.close()


def main():
    seed, writer, port, path = sys.argv[1:]
    sender = Writer(seed, int(writer), int(port), path)
    for line in sys.stdin:
        sender.number += line.strip() == "skip"
        sender.send_until_broken()
        print("down", flush=True)


if __name__ == "__main__":
    main()
