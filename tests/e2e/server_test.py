"""The HTTP server from outside, over real sockets: what clients of OpenAI's API see, what broken requests get, and how
it ends.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import json
import signal
import socket
import threading
import time
import unittest

import scripted_model
from command_line import BAD_FILE, PROGRAM, ROOT, USAGE, CommandLine
from running_server import RunningServer

DEMO = ROOT / "models/demo"
WEATHER = {"type": "function", "function": {"name": "f", "description": "Does it.", "parameters": {"type": "object", "properties": {}}}}


def message_of(events, index=0):
    """What a client makes of a stream: the message, its log-probabilities and its end."""
    message = {"content": "", "reasoning": "", "tool_calls": []}
    tokens, reason = [], None
    for event in events:
        for choice in event["choices"]:
            if choice["index"] != index:
                continue
            delta = choice["delta"]
            message["content"] += delta.get("content", "")
            message["reasoning"] += delta.get("reasoning", "")
            for call in delta.get("tool_calls", []):
                if "id" in call:
                    assert call["index"] == len(message["tool_calls"])
                    message["tool_calls"].append({"name": call["function"]["name"], "arguments": ""})
                message["tool_calls"][call["index"]]["arguments"] += call["function"]["arguments"]
            tokens += (choice["logprobs"] or {}).get("content", [])
            reason = choice["finish_reason"] or reason
    return message, tokens, reason


def whole_of(answer, index=0):
    choice = answer["choices"][index]
    message = choice["message"]
    calls = [{key: call["function"][key] for key in ("name", "arguments")} for call in message.get("tool_calls", [])]
    return (
        {"content": message["content"] or "", "reasoning": message["reasoning"] or "", "tool_calls": calls},
        (choice["logprobs"] or {}).get("content", []),
        choice["finish_reason"],
    )


class ServerSuite(CommandLine):
    """One server a class; `arguments` are its own."""

    arguments = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = RunningServer(*cls.model_arguments(), *cls.arguments)

    @classmethod
    def tearDownClass(cls):
        code, stderr = cls.server.stop()
        super().tearDownClass()
        assert code == 0, stderr

    @classmethod
    def model_arguments(cls):
        return [cls.model, "--date", "2026-01-31"]

    def scripted(self, name, script, loop_to=None):
        folder = self.folder / name
        if not folder.exists():
            scripted_model.make(PROGRAM, folder, script, loop_to)
        return RunningServer(folder, "--date", "none")

    def refused(self, answer, status, says, param=None):
        self.assertEqual(answer.status, status, answer.body)
        error = answer.error()
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        self.assertIn(says, error["message"])
        if param is not None:
            self.assertEqual(error["param"], param)


class Routes(ServerSuite):
    arguments = ("--served-model-name", "gpt-oss-20b", "--served-model-name", "second")

    def test_what_is_there(self):
        self.assertEqual((self.server.get("/health").status, self.server.get("/health").json()), (200, {"status": "ok"}))
        self.assertRegex(self.server.get("/version").json()["version"], r"^\d+\.\d+\.\d+$")
        models = self.server.get("/v1/models").json()
        self.assertEqual((models["object"], [model["id"] for model in models["data"]]), ("list", ["gpt-oss-20b", "second"]))
        for name in ["gpt-oss-20b", "openai/gpt-oss-20b", "openai%2Fgpt-oss-20b", "gpt-oss:20b", "second?x=1"]:
            self.assertEqual(self.server.get("/v1/models/" + name).status, 200, name)
        self.refused(self.server.get("/v1/models/other"), 404, "gpt-oss-20b", "model")
        self.refused(self.server.get("/v1/nothing"), 404, "/v1/nothing")
        self.refused(self.server.get("/v1/chat/completions"), 405, "POST")
        head = self.server.ask("HEAD", "/health")
        self.assertEqual((head.status, head.body, head.headers["Content-Length"]), (200, b"", "15"))

    def test_request_ids_come_back(self):
        self.assertEqual(self.server.get("/health", **{"x-request-id": "mine-1"}).headers["x-request-id"], "mine-1")
        self.assertRegex(self.server.get("/health").headers["x-request-id"], "^req-")
        self.assertRegex(self.server.get("/health", **{"x-request-id": "a b"}).headers["x-request-id"], "^req-")

    def test_tokens(self):
        text = "Hä <|end|> x"
        there = self.server.post("/tokenize", {"prompt": text}).json()
        self.assertEqual(there["count"], len(there["tokens"]))
        self.assertEqual(self.server.post("/detokenize", {"tokens": there["tokens"]}).json(), {"prompt": text})
        chat = self.server.post("/tokenize", {"messages": [{"role": "user", "content": "<|end|>"}]}).json()
        self.assertTrue(self.server.post("/detokenize", {"tokens": chat["tokens"]}).json()["prompt"].endswith("<|start|>assistant"))
        self.refused(self.server.post("/detokenize", {"tokens": [10**12]}), 400, "not a token id", "tokens")
        self.refused(self.server.post("/tokenize", {}), 400, "required", "prompt")

    def test_pages_of_others_are_sent_away(self):
        self.refused(self.server.get("/health", Host="evil.example"), 403, "localhost")
        self.refused(self.server.get("/health", Origin="http://evil.example"), 403, "origin")
        self.assertEqual(self.server.get("/health", Host="localhost:1", Origin="http://localhost:1").status, 200)

    # --- requests -----------------------------------------------------------------------------------------------------

    def test_fields_that_are_wrong_are_named(self):
        for fields, says, param in [
            ({"temperature": "hot"}, "expected a number", "temperature"),
            ({"temperature": 3}, "is not from 0 to 2", "temperature"),
            ({"top_p": -1}, "is not from", "top_p"),
            ({"n": 0}, "is not from 1", "n"),
            ({"n": 1e300}, "whole number", "n"),
            ({"seed": 2**63}, "is not from", "seed"),
            ({"max_tokens": 1.5}, "whole number", "max_tokens"),
            ({"stop": [""]}, "empty", "stop"),
            ({"stop": ["x"] * 17}, "17", "stop"),
            ({"top_logprobs": 2}, "logprobs", "top_logprobs"),
            ({"logprobs": True, "top_logprobs": 21}, "is not from", "top_logprobs"),
            ({"logit_bias": {"5": 1}}, "biases", "logit_bias"),
            ({"functions": [{}]}, "tools", "functions"),
            ({"response_format": {"type": "json_object"}}, "grammars", "response_format"),
            ({"stream_options": {"include_usage": True}}, "stream", "stream_options"),
            ({"tools": {}}, "array", "tools"),
            ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "name", "tools[0].function.name"),
            ({"tools": [WEATHER, WEATHER]}, "twice", "tools[1].function.name"),
            ({"tools": [WEATHER], "tool_choice": "required"}, "cannot force", "tool_choice"),
            ({"reasoning_effort": "huge"}, "none of", "reasoning_effort"),
            ({"messages": []}, "at least one", "messages"),
            ({"messages": None}, "required", "messages"),
            ({"messages": [{"role": "robot", "content": "x"}]}, "none of", "messages[0].role"),
            ({"messages": [{"role": "user"}]}, "required", "messages[0].content"),
            ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "only text", "messages[0].content[0].type"),
            ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "y"}]}, "no call", "messages[0].tool_call_id"),
            ({"model": 5}, "a string", "model"),
        ]:
            with self.subTest(fields=fields):
                self.refused(self.server.chat("x", **fields), 400, says, param)
        self.refused(self.server.chat("x", model="gpt-4"), 404, "gpt-4", "model")
        self.refused(self.server.chat("x" * 200000, max_tokens=1), 400, "context")

    def test_fields_that_ask_for_nothing_are_taken(self):
        answer = self.server.chat("x", max_tokens=1, logit_bias={}, functions=[], response_format={"type": "text"}, user="u",
                                  n=None, stop=None, tools=[], tool_choice="none", unknown={"a": [1]}, parallel_tool_calls=True)
        self.assertEqual(answer.status, 200, answer.body)

    def test_bodies_that_are_no_request(self):
        def said(body):
            return self.server.post("/v1/chat/completions", body)

        self.refused(said(b""), 400, "not valid JSON")
        self.refused(said(b"{"), 400, "not valid JSON")
        self.refused(said(b"[]"), 400, "object")
        self.refused(said(b'{"messages": "\xff"}'), 400, "not valid JSON")
        self.refused(said(b'{"n": 1e999}'), 400, "out of range")
        self.refused(said(b"[" * 100000), 400, "nested")
        self.refused(said(b'{"a":' * 100000), 400, "nested")
        self.refused(said(json.dumps({str(i): 0 for i in range(5000)})), 400, "members")
        self.assertEqual(self.server.get("/health").status, 200)

    # --- answers ------------------------------------------------------------------------------------------------------

    def test_an_answer_has_the_shape_of_openais(self):
        answer = self.server.chat("Hello", max_tokens=5, seed=1)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        body = answer.json()
        self.assertEqual(list(body), ["id", "object", "created", "model", "choices", "usage"])
        self.assertRegex(body["id"], "^chatcmpl-")
        self.assertEqual((body["object"], body["model"]), ("chat.completion", "gpt-oss-20b"))
        self.assertEqual(body["choices"][0]["finish_reason"], "length")
        usage = body["usage"]
        self.assertEqual(usage["completion_tokens"], 5)
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + 5)
        again = self.server.chat("Hello", max_tokens=5, seed=1).json()
        self.assertEqual(again["choices"], body["choices"])
        self.assertGreater(again["usage"]["prompt_tokens_details"]["cached_tokens"], 0)

    def test_streams_of_raw_text_are_the_whole_in_pieces(self):
        for prompt in ["Hello", [72, 101], ["a", "b"], [[72], [101, 102]]]:
            fields = {"prompt": prompt, "max_tokens": 12, "seed": 3, "n": 2, "logprobs": 2}
            whole = self.server.post("/v1/completions", fields)
            self.assertEqual(whole.status, 200, whole.body)
            whole = whole.json()
            count = 2 * (len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1)
            self.assertEqual([choice["index"] for choice in whole["choices"]], list(range(count)))
            events = self.server.post("/v1/completions", {**fields, "stream": True, "stream_options": {"include_usage": True}}).events()
            self.assertEqual(events.pop()["usage"]["completion_tokens"], whole["usage"]["completion_tokens"])
            for choice in whole["choices"]:
                parts = [event["choices"][0] for event in events if event["choices"][0]["index"] == choice["index"]]
                self.assertEqual("".join(part["text"] for part in parts), choice["text"])
                self.assertEqual(parts[-1]["finish_reason"], choice["finish_reason"])
                for name in ["tokens", "token_logprobs", "top_logprobs", "text_offset"]:
                    self.assertEqual(sum(((part["logprobs"] or {}).get(name, []) for part in parts), []), choice["logprobs"][name])
                self.assertEqual("".join(choice["logprobs"]["tokens"]).isascii(), choice["text"].isascii())


class Answers(ServerSuite):
    """Of a model that was trained: what it says makes sense."""

    @classmethod
    def model_arguments(cls):
        return [DEMO, "--date", "2026-01-31"]

    def both(self, *arguments, **fields):
        """An answer whole and as a stream, the same in every part."""
        whole = self.server.chat(*arguments, **fields)
        self.assertEqual(whole.status, 200, whole.body)
        streamed = self.server.chat(*arguments, **fields, stream=True)
        self.assertEqual((streamed.status, streamed.headers["Content-Type"]), (200, "text/event-stream"), streamed.body)
        events = streamed.events()
        self.assertEqual(len({(event["id"], event["created"], event["model"]) for event in events}), 1)
        for index in range(fields.get("n", 1)):
            self.assertEqual(message_of(events, index), whole_of(whole.json(), index))
        return whole.json(), events

    def test_streamed_is_whole(self):
        for fields in [{}, {"n": 3}, {"stop": ["4"]}, {"max_tokens": 7}, {"reasoning_effort": "low"}, {"include_reasoning": False},
                       {"logprobs": True, "top_logprobs": 2}, {"max_reasoning_tokens": 3}, {"presence_penalty": 0.5, "min_p": 0.1}]:  # fmt: skip
            with self.subTest(fields=fields):
                self.both("What is 12 + 30?", seed=7, **fields)

    def test_it_answers(self):
        body, events = self.both("What is 48 * 76?", temperature=0)
        message = body["choices"][0]["message"]
        self.assertIn("3648", message["content"])
        self.assertIn("3648", message["reasoning"])
        self.assertEqual(body["choices"][0]["finish_reason"], "stop")
        self.assertGreater(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 0)
        self.assertEqual(events[0]["choices"][0]["delta"], {"role": "assistant", "content": ""})
        self.assertTrue(all(len(event["choices"]) == 1 and "usage" not in event for event in events))
        hidden = self.server.chat("What is 48 * 76?", temperature=0, reasoning={"exclude": True}).json()
        self.assertEqual(hidden["choices"][0]["message"]["reasoning"], None)
        self.assertEqual(hidden["choices"][0]["message"]["content"], message["content"])

    def test_log_probabilities_are_those_of_the_content(self):
        body, _ = self.both("What is 12 + 30?", temperature=0, logprobs=True, top_logprobs=1)
        choice = body["choices"][0]
        tokens = choice["logprobs"]["content"]
        self.assertEqual(b"".join(bytes(token["bytes"]) for token in tokens).decode(), choice["message"]["content"])
        for token in tokens:
            self.assertEqual((token["top_logprobs"][0]["token"], token["top_logprobs"][0]["logprob"]), (token["token"], token["logprob"]))
            self.assertLessEqual(token["logprob"], 0)

    def test_usage_comes_when_asked_for(self):
        fields = {"max_tokens": 5, "seed": 1, "stream": True}
        events = self.server.chat("Hi", **fields, stream_options={"include_usage": True}).events()
        self.assertEqual((events[-1]["choices"], events[-1]["usage"]["completion_tokens"]), ([], 5))
        self.assertTrue(all(event["usage"] is None for event in events[:-1]))

    def test_clients_at_once_get_what_they_get_alone(self):
        questions = [f"What is {a} + {a * 7}?" for a in range(3, 11)]
        alone = [whole_of(self.server.chat(question, seed=5).json()) for question in questions]
        together = [None] * len(questions)

        def ask(at):
            together[at] = message_of(self.server.chat(questions[at], seed=5, stream=True).events())

        threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(questions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, alone)


class Harmony(ServerSuite):
    """What a model writes beside text, said by models that say what the test wants."""

    def both(self, server, **fields):
        whole = whole_of(server.chat("x", temperature=0, **fields).json())
        streamed = message_of(server.chat("x", temperature=0, stream=True, **fields).events())
        self.assertEqual(streamed, whole)
        message, _, reason = whole
        return message["content"], message["reasoning"], message["tool_calls"], reason

    def test_calls(self):
        with self.scripted("call", ["<|channel|>commentary to=functions.f <|message|>", "{}<|call|>"]) as server:
            self.assertEqual(self.both(server, tools=[WEATHER]), ("", "", [{"name": "f", "arguments": "{}"}], "tool_calls"))
            self.assertIsNone(server.chat("x", temperature=0, tools=[WEATHER]).json()["choices"][0]["message"]["content"])
            # Nobody asked for calls: what the model writes is its thought.
            for fields in [{}, {"tools": [WEATHER], "tool_choice": "none"}]:
                self.assertEqual(self.both(server, **fields), ("", "{}", [], "stop"))
            self.assertEqual(self.both(server, tools=[WEATHER], max_tokens=10), ("", "", [{"name": "f", "arguments": "{}"}], "length"))

    def test_a_declared_function_is_called_without_its_namespace_too(self):
        with self.scripted("bare", ["<|channel|>commentary to=f <|message|>", "{}<|call|>"]) as server:
            self.assertEqual(self.both(server, tools=[WEATHER]), ("", "", [{"name": "f", "arguments": "{}"}], "tool_calls"))

    def test_tools_that_are_not_run_here_are_skipped(self):
        tools = [{"type": "web_search"}, {"type": "evil\r\nx: y"}, {"type": "namespace", "tools": [WEATHER]}]
        answer = self.server.chat("x", tools=tools, max_tokens=1)
        self.assertEqual((answer.status, answer.headers["x-skipped-tools"]), (200, "web_search, evilxy"), answer.body)
        prompt = self.server.post("/tokenize", {"messages": [{"role": "user", "content": "x"}], "tools": tools}).json()["tokens"]
        self.assertIn("type f = (_: {", self.server.post("/detokenize", {"tokens": prompt}).json()["prompt"])

    def test_a_history_becomes_a_prompt(self):
        messages = [
            {"role": "system", "content": "Be"},
            {"role": "developer", "content": [{"type": "text", "text": "brief."}]},
            {"role": "user", "content": "U"},
            {"role": "assistant", "reasoning": "R", "content": None,
             "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "T"},
        ]  # fmt: skip
        asked = {"messages": messages, "tools": [WEATHER], "reasoning_effort": "xhigh"}
        prompt = self.server.post("/detokenize", {"tokens": self.server.post("/tokenize", asked).json()["tokens"]}).json()["prompt"]
        self.assertIn("Reasoning: high", prompt)
        self.assertIn("# Instructions\n\nBe\n\nbrief.\n\n# Tools", prompt)
        self.assertTrue(prompt.endswith(
            "<|start|>user<|message|>U<|end|><|start|>assistant<|channel|>analysis<|message|>R<|end|>"
            "<|start|>assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|>"
            "<|start|>functions.f to=assistant<|channel|>commentary<|message|>T<|end|><|start|>assistant"))  # fmt: skip

    def test_a_client_that_leaves_ends_its_answer(self):
        with self.scripted("endless", ["<|channel|>analysis<|message|>", "Hm, so "], loop_to="H") as server:
            for stream in [True, False]:
                body = json.dumps({"messages": [{"role": "user", "content": "x"}], "temperature": 0, "stream": stream})
                client = socket.create_connection((server.host, server.port))
                client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                if stream:
                    self.assertIn(b"200 OK", client.recv(100))
                while server.metric("vllm:num_requests_running") == 0:
                    time.sleep(0.01)
                client.close()
                while server.metric("vllm:num_requests_running") + server.metric("vllm:num_requests_waiting") > 0:
                    time.sleep(0.01)
            self.assertEqual(server.metric("oxidized:requests_cancelled_total"), 2)
            self.assertEqual(server.stop()[0], 0)


class Sockets(ServerSuite):
    arguments = ("--max-body", "100000")

    def status(self, data, **how):
        got = self.server.raw(data, **how)
        return [int(part.split(b" ", 1)[0]) for part in got.split(b"HTTP/1.1 ")[1:]]

    def test_broken_requests_get_a_status(self):
        host = b"Host: localhost\r\n"
        post = b"POST /v1/chat/completions HTTP/1.1\r\n" + host
        for data, status in [
            (b"GET /health HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n", 200),
            (b"GET /health HTTP/1.0\r\n\r\n", 200),
            (b"nonsense\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"GET /health HTTP/1.1\r\n\r\n", 400),  # no Host
            (b"GET /health HTTP/1.1\r\n" + host + host + b"\r\n", 400),
            (b"GET /%zz HTTP/1.1\r\n" + host + b"\r\n", 400),
            (b"GET http://localhost/health HTTP/1.1\r\n" + host + b"\r\n", 400),
            (b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\n" + host + b"\r\n", 431),
            (b"GET /health HTTP/1.1\r\n" + host + b"a: " + b"x" * 40000 + b"\r\n\r\n", 431),
            (post + b"Content-Length: 100001\r\n\r\n", 413),
            (post + b"Content-Length: x\r\n\r\n", 400),
            (post + b"Content-Length: -1\r\n\r\n", 400),
            (post + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
            (post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
            (post + b"Transfer-Encoding: chunked\r\n\r\n" + b"ffff\r\n" + b"x" * 65535 + b"\r\nffff\r\n" + b"x" * 65535 + b"\r\n0\r\n\r\n", 413),
        ]:
            with self.subTest(data=data[:80]):
                self.assertEqual(self.status(data, end=status == 400), [status])
        self.assertEqual(self.server.get("/health").status, 200)

    def test_a_length_and_chunks_together_are_refused(self):
        data = b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        self.assertEqual(self.status(data, end=True), [400])

    def test_a_body_that_never_comes_bothers_nobody(self):
        with socket.create_connection((self.server.host, self.server.port)) as half:
            half.sendall(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
            self.assertEqual(self.server.get("/health").status, 200)
            half.shutdown(socket.SHUT_WR)
            self.assertEqual(half.recv(10), b"")

    def test_requests_in_a_row_are_answered_in_their_order(self):
        get = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
        data = get % (b"health", b"") + get % (b"nothing", b"") + get % (b"version", b"Connection: close\r\n")
        self.assertEqual(self.status(data), [200, 404, 200])
        self.assertEqual(self.status(data, end=True), [200, 404, 200])

    def test_a_body_is_sent_after_it_was_asked_for(self):
        body = b'{"prompt": "x"}'
        data = b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%s"
        self.assertEqual(self.status(data % (len(body), body)), [100, 200])

    def test_connections_live_on(self):
        connection = self.server.connection()
        for _ in range(3):
            connection.request("POST", "/v1/completions", json.dumps({"prompt": "x", "max_tokens": 2, "stream": True}))
            self.assertTrue(connection.getresponse().read().endswith(b"data: [DONE]\n\n"))
            sock = connection.sock
        self.assertIs(connection.sock, sock)
        connection.close()


class Keys(ServerSuite):
    @classmethod
    def setUpClass(cls):
        CommandLine.setUpClass.__func__(cls)
        cls.file = cls.folder / "keys"
        cls.file.write_text("# ours\nfrom-file\n")
        cls.server = RunningServer(cls.model, "--api-key", "one", "--api-key-file", cls.file)

    def test_every_route_but_health_needs_one(self):
        self.assertEqual(self.server.get("/health").status, 200)
        for path in ["/version", "/v1/models", "/metrics", "/nothing"]:
            self.refused(self.server.get(path), 401, "key")
            self.refused(self.server.get(path, Authorization="Bearer on"), 401, "key")
        for path in ["/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize"]:
            self.refused(self.server.post(path, {}), 401, "key")
        for headers in [{"Authorization": "Bearer one"}, {"Authorization": "bearer from-file"}, {"x-api-key": "one"}]:
            self.assertEqual(self.server.get("/v1/models", **headers).status, 200)
        self.assertEqual(self.server.get("/v1/models", Host="any.example", **{"x-api-key": "one"}).status, 200)

    def test_the_file_is_read_again(self):
        self.file.write_text("other\n")
        self.server.signal(signal.SIGHUP)
        while self.server.get("/version", **{"x-api-key": "other"}).status != 200:
            time.sleep(0.01)
        self.assertEqual(self.server.get("/version", **{"x-api-key": "one"}).status, 200)
        self.file.write_text("# ours\nfrom-file\n")
        self.server.signal(signal.SIGHUP)
        while self.server.get("/version", **{"x-api-key": "from-file"}).status != 200:
            time.sleep(0.01)


class Program(CommandLine):
    """The command: its options, where they come from, and how it ends."""

    def endless(self):
        folder = self.folder / "endless"
        if not folder.exists():
            scripted_model.make(PROGRAM, folder, ["<|channel|>analysis<|message|>", "Hm, so "], "H")
        return folder

    def stream(self, server, **fields):
        connection = server.connection()
        self.addCleanup(connection.close)
        body = {"messages": [{"role": "user", "content": "x"}], "temperature": 0, "stream": True, **fields}
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        return connection.getresponse()

    def test_options_come_from_everywhere(self):
        config = self.folder / "config"
        config.write_text("[serve]\nport = 0\nserved-model-name = configured\n")
        environment = {"OXIDIZED_CONFIG": str(config), "OXIDIZED_API_KEY": "k", "OXIDIZED_PORT": "1"}
        with RunningServer(self.model, environment=environment) as server:
            models = server.get("/v1/models", **{"x-api-key": "k"}).json()
            self.assertEqual(models["data"][0]["id"], "configured")
            self.assertIn("x-api-key", server.stop()[1])

    def test_what_cannot_be_is_said(self):
        self.refused(USAGE, "--port", "serve", self.model, "--port", "70000")
        self.refused(USAGE, "host 256.0.0.1.nowhere.invalid", "serve", self.model, "--host", "256.0.0.1.nowhere.invalid")
        self.refused(USAGE, "printable", "serve", self.model, "--api-key", "a b", "--port", 0)
        self.refused(BAD_FILE, "no-such-keys", "serve", self.model, "--api-key-file", self.folder / "no-such-keys", "--port", 0)
        self.refused(USAGE, "--model-path", "serve", self.model, "--model-path", self.model)
        with RunningServer(self.model) as server:
            self.refused(USAGE, "in use", "serve", self.model, "--port", server.port)

    def test_the_first_signal_waits_for_what_runs(self):
        with RunningServer(self.endless()) as server:
            answer = self.stream(server, max_tokens=400)
            self.assertTrue(answer.readline().startswith(b"data: "))
            waiting = server.connection()  # a connection that is there already is told
            waiting.connect()
            server.signal()
            while server.get("/health").status == 200:
                time.sleep(0.01)
            waiting.request("POST", "/v1/completions", json.dumps({"prompt": "x"}))
            refused = waiting.getresponse()
            self.assertEqual((refused.status, refused.headers["retry-after"]), (503, "1"))
            waiting.close()
            self.assertTrue(answer.read().endswith(b"data: [DONE]\n\n"))
            self.assertEqual(server.wait()[0], 0)

    def test_waiting_has_an_end_and_the_second_signal_has_no_patience(self):
        with RunningServer(self.endless(), "--drain-timeout", "0") as server:
            self.stream(server)
            code, stderr = server.stop()
            self.assertEqual(code, 0)
            self.assertIn("answers were cut: they took longer than 0 s", stderr)
        with RunningServer(self.endless()) as server:
            self.stream(server)
            server.signal()
            while server.get("/health").status == 200:
                time.sleep(0.01)
            server.signal()
            self.assertEqual(server.wait()[0], 128 + signal.SIGTERM)

    def test_who_comes_when_too_many_wait_is_told(self):
        with RunningServer(self.endless(), "--max-sequences", "1", "--max-queue", "1") as server:
            self.stream(server)
            self.stream(server)
            refused = server.chat("x")
            self.assertEqual((refused.status, refused.error()["type"], refused.headers["retry-after"]), (429, "rate_limit_error", "1"))


if __name__ == "__main__":
    unittest.main()
