"""Asks a server over one connection that stays open, and takes the time."""

import http.client
import json
import time
import urllib.parse


class Client:
    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def ask(self, parameters):
        """The answer, and milliseconds to its last byte."""
        target = "/api/v1/metrics/query?" + urllib.parse.urlencode(parameters)
        started = time.perf_counter()
        self.connection.request("GET", target)
        response = self.connection.getresponse()
        body = response.read()
        latency_ms = (time.perf_counter() - started) * 1e3
        assert response.status == 200, body
        return json.loads(body), latency_ms
