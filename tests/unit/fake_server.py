"""A small OpenAI-compatible server in the test process, whose policy is known in closed form, and which can misbehave.

Every token is drawn from one distribution, whatever came before, so that the entropy of every position, its bounds and
its most likely tokens are numbers that a test can state.
"""

import json
import math
import random
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

END = "</s>"


def zipf(n: int, p_end: float = 0.1) -> dict[str, float]:
    """Return n - 1 words with probabilities that fall like 1 / rank, and the end token."""
    weights = [1 / (rank + 1) for rank in range(n - 1)]
    words = {f"w{i} ": (1 - p_end) * w / sum(weights) for i, w in enumerate(weights)}
    return {**words, END: p_end}


def entropy(policy: Mapping[str, float]) -> float:
    """Return -sum p ln p, nats."""
    return -math.fsum(p * math.log(p) for p in policy.values())


@dataclass
class FakeServer:
    """Use it as a context manager; `url` ends in /v1, and `bodies` are the requests that it was sent."""

    policy: Mapping[str, float] = field(default_factory=lambda: zipf(50))
    models: Sequence[Mapping[str, Any]] | None = ({"id": "m", "owned_by": "vllm", "created": 5},)
    key: str = ""
    failures: list[Any] = field(default_factory=list)
    """What the next POSTs meet instead of an answer: (status, headers), (status, headers, body), "reset" or "hang"."""
    refuses: frozenset[str] = frozenset()
    """Fields that it answers with 400, naming the first of them."""
    mute: bool = False
    """Whether a refusal does not say of what."""
    most_logprobs: int | None = 20
    """None: it gives no log-probabilities at all, and says so with 500, as llama-cpp-python does."""
    takes_n: bool = True
    n_alike: bool = False
    """Whether completions that are asked for together are the same one."""
    takes_ids: bool = True
    gives_ids: bool = False
    has_template: bool = True
    extra_prompt_tokens: int = 0
    counts: bool = True
    native: bool = False
    """Completions get the chat's shape of log-probabilities, as from llama.cpp's own server."""
    context: int = 10_000
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    together: int = 0
    """Most requests that were worked on at once."""
    delay: float = 0.0

    def __enter__(self) -> "FakeServer":
        fake, lock, running = self, threading.Lock(), [0]
        names = list(self.policy)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                if fake.key and self.headers.get("Authorization") != f"Bearer {fake.key}":
                    return self.answer(401, {"error": {"message": f"bad key {self.headers.get('Authorization')}"}})
                if fake.models is None:
                    return self.answer(404, {"detail": "Not Found"})
                return self.answer(200, {"object": "list", "data": list(fake.models)})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    fake.bodies.append(body)
                    fake.headers.append(dict(self.headers))
                    running[0] += 1
                    fake.together = max(fake.together, running[0])
                    failure = fake.failures.pop(0) if fake.failures else None
                try:
                    time.sleep(fake.delay)
                    self.meet(failure) if failure else self.serve(body)
                finally:
                    with lock:
                        running[0] -= 1

            def meet(self, failure: Any) -> None:
                if failure == "reset":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                elif failure == "hang":
                    time.sleep(1.0)
                    self.close_connection = True
                else:
                    status, headers, *rest = failure
                    self.answer(status, rest[0] if rest else {"error": {"message": "busy"}}, headers)

            def serve(self, body: dict[str, Any]) -> None:
                refused = fake.refusal(body, self.path)
                if refused is not None:
                    status, message = refused
                    return self.answer(status, {"error": {"message": message, "code": status}})
                return self.answer(200, fake.reply(body, self.path, names))

            def answer(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
                data = json.dumps(content).encode()
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def refusal(self, body: Mapping[str, Any], path: str) -> tuple[int, str] | None:
        """Return the status and the message that a request is refused with."""
        n_prompt = len(self.prompt(body).split())
        if n_prompt + body.get("max_tokens", body.get("max_completion_tokens", 0)) > self.context:
            return 400, f"This model's maximum context length is {self.context} tokens, reduce 'max_tokens'"
        if unknown := [name for name in body if name in self.refuses]:
            return 400, "bad request" if self.mute else f"Unrecognized request argument supplied: {unknown[0]}"
        asked = body.get("top_logprobs") or body.get("logprobs") or 0
        if asked and self.most_logprobs is None:
            return 500, "logprobs is not supported for models created with logits_all=False"
        if asked > (self.most_logprobs or 0):
            return 400, f"Requested sample logprobs of {asked}, which is greater than max allowed: {self.most_logprobs}"
        return self.unreadable(body)

    def unreadable(self, body: Mapping[str, Any]) -> tuple[int, str] | None:
        """Return how a prompt of a kind that the server does not take is refused."""
        if "messages" in body and not self.has_template:
            return 400, "default chat template is no longer allowed, so you must provide a chat template"
        if isinstance(body.get("prompt"), list) and not self.takes_ids:
            return 422, "[{'loc': ('body', 'prompt'), 'msg': 'Input should be a valid string'}]"
        return None

    @staticmethod
    def prompt(body: Mapping[str, Any]) -> str:
        """Return the text of a prompt."""
        if "messages" in body:
            return " ".join(m["content"] for m in body["messages"])
        prompt = body["prompt"]
        return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))

    def draw(self, seed: int, limit: int, names: Sequence[str]) -> tuple[list[int], str]:
        """Return the tokens of one completion and how it ended."""
        rng, ids = random.Random(seed), []
        while len(ids) < limit:
            ids += rng.choices(range(len(names)), weights=list(self.policy.values()))
            if names[ids[-1]] == END:
                return ids, "stop"
        return ids, "length"

    def reply(self, body: Mapping[str, Any], path: str, names: Sequence[str]) -> dict[str, Any]:
        """Return the answer to a request."""
        n = body.get("n", 1) if self.takes_n else 1
        limit = body.get("max_tokens", body.get("max_completion_tokens", 16))
        drawn = [self.draw(body.get("seed", 0) + (0 if self.n_alike else j), limit, names) for j in range(n)]
        choices = [self.choice(j, ids, reason, body, names) for j, (ids, reason) in enumerate(drawn)]
        usage = {
            "prompt_tokens": self.n_prompt_tokens(body),
            "completion_tokens": sum(len(ids) for ids, _ in drawn),
        }
        return {"object": "x", "choices": choices, **({"usage": usage} if self.counts else {})}

    def n_prompt_tokens(self, body: Mapping[str, Any]) -> int:
        """Return the tokens of a prompt: words of a text, ids as they are."""
        prompt = body.get("prompt")
        extra = self.extra_prompt_tokens if isinstance(prompt, str) and prompt.startswith("<s>") else 0
        return (len(prompt) if isinstance(prompt, list) else len(self.prompt(body).encode())) + extra

    def choice(
        self, index: int, ids: Sequence[int], reason: str, body: Mapping[str, Any], names: Sequence[str]
    ) -> dict[str, Any]:
        """Return one completion, in the shape that the request's path has."""
        text = "".join(names[i] for i in ids if names[i] != END)
        found: dict[str, Any] = {"index": index, "finish_reason": reason}
        k = body.get("top_logprobs") or body.get("logprobs") or 0
        chat = "messages" in body
        found |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        if self.gives_ids and body.get("return_token_ids"):
            found["token_ids"] = list(ids)
        if k:
            found["logprobs"] = self.told(ids, int(k), names, chat=chat or self.native)
        return found

    def told(self, ids: Sequence[int], k: int, names: Sequence[str], *, chat: bool) -> dict[str, Any]:
        """Return the log-probabilities of drawn tokens with the k likeliest."""
        top = sorted(self.policy.items(), key=lambda item: -item[1])[:k]
        if not chat:
            return {
                "tokens": [names[i] for i in ids],
                "token_logprobs": [math.log(self.policy[names[i]]) for i in ids],
                "top_logprobs": [
                    {name: math.log(p) for name, p in [*top, (names[i], self.policy[names[i]])]} for i in ids
                ],
            }
        likely = [{"token": name, "logprob": math.log(p), "bytes": list(name.encode())} for name, p in top]
        return {
            "content": [
                {"token": names[i], "logprob": math.log(self.policy[names[i]]), "bytes": None, "top_logprobs": likely}
                for i in ids
            ]
        }
