"""A server of the program's own, for the suites of its API: started on a free port, asked with http.client.

Not a suite by itself; it needs OXIDIZED_PROGRAM as they do.
"""

import http.client
import json
import os
import signal
import socket
import subprocess

from command_line import PROGRAM

TIMEOUT = 300


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.json()["error"]

    def events(self):
        """The JSON of a stream's events; the last one must be [DONE]."""
        lines = self.body.decode().split("\n\n")
        assert lines[-1] == "" and lines[-2] == "data: [DONE]", lines[-2:]
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


class RunningServer:
    def __init__(self, *arguments, environment=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_")}
        env.update(environment or {})
        port = [] if "OXIDIZED_PORT" in env or "--port" in arguments else ["--port", 0]
        command = PROGRAM + [str(a) for a in ["serve", *arguments, *port]]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on http://"):
            self.process.kill()
            raise AssertionError((line, self.process.communicate()[1].decode()))
        self.host, port = line.strip().removeprefix("listening on http://").rsplit(":", 1)
        self.port = int(port)

    def connection(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)

    def ask(self, method, path, body=None, headers=None):
        """`body`: bytes, text, or what JSON is made of."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def post(self, path, body, **headers):
        return self.ask("POST", path, body, headers)

    def chat(self, content, **fields):
        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        return self.post("/v1/chat/completions", {"messages": messages, **fields})

    def raw(self, data, end=False):
        """What comes back for these bytes until the server closes; `end`: nothing more is sent, and that is said."""
        with socket.create_connection((self.host, self.port), timeout=TIMEOUT) as client:
            client.sendall(data)
            if end:
                client.shutdown(socket.SHUT_WR)
            got = b""
            while piece := client.recv(65536):
                got += piece
            return got

    def metric(self, name):
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(name + "{"):
                return int(line.rsplit(" ", 1)[1])
        raise AssertionError(name)

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self):
        """The exit code, and what stood on stderr."""
        stderr = self.process.communicate(timeout=TIMEOUT)[1].decode()
        return self.process.returncode, stderr

    def stop(self):
        self.signal()
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
