"""Talks LabelLab's protocol through PyPI's `python-socketio`: many sockets, one process, by a plan.

Standard input: the plan in one line of JSON, then `go` (send), then `stop`. Standard output: `caught_up`, `done`.
Every event and every acknowledgement goes into the file `record` of the plan, one line each. See
tests/src/clients/foreign.rs.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque

import socketio

RETRY_PAUSE_S = 0.2
CONNECT_PATIENCE_S = 10
STOP_PATIENCE_S = 3
# Plans are long lines.
LINE_BYTES_MAX = 64 * 1024 * 1024
EVENTS = [
    "receive_message",
    "notification",
    "message_error",
    "typing",
    "message_stored",
    "caught_up",
    "subscription_ended",
    "token_expiring",
    "go_away",
]


class Fatal(Exception):
    """What a client cannot go on from."""


def identifier(text):
    """Ids that are numbers go as numbers."""
    return int(text) if text.isdigit() and text[0] != "0" and len(text) < 16 else text


class Member:
    """One user's client: it keeps its place in each team over as many connections as it takes."""

    def __init__(self, plan, transports, record, report):
        self.plan, self.transports, self.record, self.report = plan, transports, record, report
        self.attempt = 0
        self.sending = self.stopping = self.is_connected = False
        self.caught_up = set()
        self.messages = Counter()
        self.cursors = {
            each["team"]: int(each["after"]) for each in plan["subscriptions"] if each["after"] is not None
        }
        self.unfinished = {(send["team"], send["client_id"]): [send, None] for send in plan["sends"]}
        self.failed = asyncio.get_running_loop().create_future()
        self.client = socketio.AsyncClient(handle_sigint=False)
        self.client.on("connect", self.connected)
        self.client.on("disconnect", self.disconnected)
        self.client.on("connect_error", self.not_connected)
        for event in EVENTS:
            self.client.on(event, self.receiver(event))

    async def run(self):
        """Connects; the library does so again by itself when a connection is lost. Returns only by an exception."""
        await self.connect()
        await self.failed

    async def connect(self):
        while True:
            try:
                return await self.client.connect(
                    self.plan["urls"][0],
                    auth=lambda: {"token": self.plan["token"], "resume": self.cursors},
                    transports=self.transports,
                    wait_timeout=CONNECT_PATIENCE_S,
                )
            except socketio.exceptions.ConnectionError as error:
                print(f"{self.plan['name']}: {error}, trying again", file=sys.stderr)
                await asyncio.sleep(RETRY_PAUSE_S)

    def fail(self, problem):
        if not self.failed.done():
            self.failed.set_exception(Fatal(f"{self.plan['name']}: {problem}"))

    def note(self, event, data):
        line = {
            "connection": self.plan["name"],
            "attempt": self.attempt,
            "at_ms": time.time_ns() // 1_000_000,
            "socketio": event,
            "data": data,
        }
        self.record.write(json.dumps(line) + "\n")

    async def connected(self):
        self.is_connected = True
        self.note("connected", {})
        self.stored_up_to = Counter()
        self.waiting = deque(send for send, _ in self.unfinished.values())
        self.in_flight = 0
        await self.send_more()
        self.report()

    async def not_connected(self, data=None):
        print(f"{self.plan['name']}: not connected: {data}", file=sys.stderr)
        refusal = data.get("data") if isinstance(data, dict) else None
        if refusal and "code" in refusal:
            self.fail(f"refused for good: {data}")

    async def disconnected(self, reason=None):
        self.is_connected = False
        if self.stopping:
            return
        if reason == self.client.reason.SERVER_DISCONNECT:
            if self.client.eio.state == "connected":
                return self.fail("sent away for good")
            # The library takes the end of a session for one for good, unlike the one in JavaScript.
            self.again = asyncio.create_task(self.connect_again())
        print(f"{self.plan['name']}: {reason}, connecting again", file=sys.stderr)
        self.attempt += 1

    async def connect_again(self):
        await asyncio.sleep(RETRY_PAUSE_S)
        await self.connect()

    def receiver(self, event):
        async def receive(data):
            await self.receive(event, data)

        return receive

    async def receive(self, event, data):
        self.note(event, data)
        team = str(data["team_id"]) if isinstance(data, dict) and "team_id" in data else None
        if event == "receive_message":
            self.cursors[team] = data["seq"]
            self.messages[team] += 1
        elif event == "caught_up":
            self.cursors[team] = max(data["seq"], self.cursors.get(team, 0))
            self.caught_up.add(team)
        elif event == "message_stored":
            self.stored(team, data["seq"])
        elif event == "message_error" or (event == "subscription_ended" and not data["error"].get("retryable")):
            self.fail(f"{event}: {data}")
        elif event == "subscription_ended":
            await self.client.eio.disconnect(abort=True)
        self.report()

    async def acknowledged(self, attempt, send, reply):
        if attempt != self.attempt:
            return
        self.in_flight -= 1
        if error := reply.get("error"):
            self.note("refused", reply)
            if not error.get("retryable"):
                return self.fail(f"{reply}")
            asyncio.get_running_loop().call_later(RETRY_PAUSE_S, self.retry, attempt, send)
        else:
            self.note("ack", reply)
            if entry := self.unfinished.get((send["team"], send["client_id"])):
                entry[1] = reply["seq"]
            self.stored(send["team"], reply["seq"] if reply["stored"] else 0)
            await self.send_more()
        self.report()

    def retry(self, attempt, send):
        if attempt == self.attempt:
            self.waiting.appendleft(send)
            self.later = asyncio.create_task(self.send_more())

    def stored(self, team, up_to):
        self.stored_up_to[team] = max(up_to, self.stored_up_to[team])
        for key, (send, seq) in list(self.unfinished.items()):
            if send["team"] == team and seq is not None and seq <= self.stored_up_to[team]:
                del self.unfinished[key]

    async def go(self):
        self.sending = True
        await self.send_more()
        self.report()

    async def send_more(self):
        if not self.sending or not self.is_connected or self.stopping:
            return
        while self.in_flight < self.plan["in_flight_max"] and self.waiting:
            send = self.waiting.popleft()
            message = {"team_id": identifier(send["team"]), "client_id": send["client_id"], "body": send["body"]}
            self.in_flight += 1
            await self.client.emit("send_message", message, callback=self.receipt(self.attempt, send))

    def receipt(self, attempt, send):
        async def acknowledged(reply):
            await self.acknowledged(attempt, send, reply)

        return acknowledged

    async def stop(self):
        self.stopping = True
        try:
            await asyncio.wait_for(self.client.shutdown(), STOP_PATIENCE_S)
        except TimeoutError:
            print(f"{self.plan['name']}: its connection did not end in time", file=sys.stderr)

    def is_caught_up(self):
        subscriptions = self.plan["subscriptions"]
        return self.is_connected and all(
            each["after"] is None or each["team"] in self.caught_up for each in subscriptions
        )

    def is_done(self):
        received = (self.messages[each["team"]] >= each["messages"] for each in self.plan["subscriptions"])
        return self.sending and not self.unfinished and all(received)


async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    plan = json.loads(await reader.readline())
    members, told = [], set()

    def tell(word, holds):
        if word not in told and members and all(holds(member) for member in members):
            told.add(word)
            print(word, flush=True)

    def report():
        tell("caught_up", Member.is_caught_up)
        if "caught_up" in told:
            tell("done", Member.is_done)

    with open(plan["record"], "w", encoding="utf-8") as record:
        transports = plan["client"]["transports"]
        members.extend(Member(connection, transports, record, report) for connection in plan["connections"])
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(member.run()) for member in members]
            while line := (await reader.readline()).decode().strip():
                if line == "go":
                    for member in members:
                        await member.go()
                elif line == "stop":
                    await asyncio.gather(*(member.stop() for member in members))
                    for task in running:
                        task.cancel()
                    break
            else:
                raise Fatal("the input has ended")


asyncio.run(main())
