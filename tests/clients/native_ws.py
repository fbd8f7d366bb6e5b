"""Talks Huddle's native protocol in JSON through PyPI's `websockets`: many connections, one process, by a plan.

Standard input: the plan in one line of JSON, then `go` (send), then `stop`. Standard output: `caught_up`, `done`.
Every frame that comes goes into the file `record` of the plan as it is, one line each. See
tests/src/clients/foreign.rs.
"""

import asyncio
import json
import sys
from collections import Counter, deque

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

RECONNECT_PAUSE_S = 0.1
RETRY_PAUSE_S = 0.2
# Plans are long lines.
LINE_BYTES_MAX = 64 * 1024 * 1024


class Fatal(Exception):
    """What a client cannot go on from."""


class Member:
    """One user's client: it keeps its place in each team over as many connections as it takes."""

    def __init__(self, plan, record, report):
        self.plan, self.record, self.report = plan, record, report
        self.attempt = 0
        self.sending = self.stopping = False
        self.caught_up = set()
        self.messages = Counter()
        self.cursors = {each["team"]: each["after"] for each in plan["subscriptions"]}
        self.unfinished = {(send["team"], send["client_id"]): [send, None] for send in plan["sends"]}
        self.reconnect_in = 0.0
        self.socket = None

    async def run(self):
        while not self.stopping:
            url = self.plan["urls"][self.attempt % len(self.plan["urls"])]
            try:
                async with connect(url, subprotocols=[Subprotocol("huddle.v1.json")], compression=None) as socket:
                    await self.converse(socket)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                if code == 1009 or 4400 <= code <= 4499:
                    raise Fatal(f"{self.plan['name']}: {closed}") from closed
                if not self.stopping:
                    print(f"{self.plan['name']}: {closed}, connecting again", file=sys.stderr)
            except (OSError, InvalidHandshake, TimeoutError) as error:
                print(f"{self.plan['name']}: {error}, trying again", file=sys.stderr)
            self.socket = None
            if not self.stopping:
                self.attempt += 1
                await asyncio.sleep(max(RECONNECT_PAUSE_S, self.reconnect_in))
                self.reconnect_in = 0.0

    async def converse(self, socket):
        self.last_id = 0
        self.requests = {}
        self.stored_up_to = {}
        self.waiting = deque(send for send, _ in self.unfinished.values())
        self.in_flight = 0
        self.welcomed = False
        self.socket = socket
        await self.request({"hello": {"token": self.plan["token"]}})
        # Until the gateway or `stop` closes it: the latter raises nothing.
        async for text in socket:
            if not isinstance(text, str):
                raise Fatal(f"{self.plan['name']}: a binary frame")
            await self.receive(text)
        if not self.stopping:
            raise ConnectionClosed(socket.protocol.close_rcvd, socket.protocol.close_sent)

    async def request(self, request):
        self.last_id += 1
        self.requests[str(self.last_id)] = request
        await self.socket.send(json.dumps({"id": str(self.last_id), **request}))

    async def receive(self, text):
        name = json.dumps(self.plan["name"])
        self.record.write(f'{{"connection":{name},"attempt":{self.attempt},"frame":{text}}}\n')
        frame = json.loads(text)
        asked = self.requests.pop(frame["reply_to"], None) if frame.get("reply_to") else None
        if "welcome" in frame:
            self.welcomed = True
            for team, after in self.cursors.items():
                await self.request({"subscribe": {"team": team} if after is None else {"team": team, "after": after}})
            await self.send_more()
        elif event := frame.get("event"):
            self.cursors[event["team"]] = event["seq"]
            self.messages[event["team"]] += "posted" in event
        elif caught_up := frame.get("caught_up"):
            self.cursors[caught_up["team"]] = caught_up.get("seq", "0")
            self.caught_up.add(caught_up["team"])
        elif accepted := frame.get("accepted"):
            self.in_flight -= 1
            entry = self.unfinished.get((accepted["team"], accepted["client_id"]))
            if entry:
                entry[1] = int(accepted["seq"])
            self.finish(accepted["team"])
            await self.send_more()
        elif stored := frame.get("stored"):
            self.stored_up_to[stored["team"]] = int(stored["seq"])
            self.finish(stored["team"])
        elif "unsubscribed" in frame:
            if not self.requests:
                await self.socket.close()
        elif go_away := frame.get("go_away"):
            self.reconnect_in = go_away.get("reconnect_in_ms", 0) / 1000
        elif ended := frame.get("subscription_ended"):
            if not ended["error"].get("retryable"):
                raise Fatal(f"{self.plan['name']}: {text}")
            await self.socket.close()
        elif error := frame.get("error"):
            if not error.get("retryable"):
                raise Fatal(f"{self.plan['name']}: {text}")
            asyncio.get_running_loop().call_later(RETRY_PAUSE_S, self.retry, self.socket, asked)
        self.report()

    def retry(self, socket, asked):
        if socket is not self.socket:
            return
        if "send" in asked:
            self.in_flight -= 1
            self.waiting.appendleft(asked["send"])
            self.later(self.send_more())
        else:
            self.later(self.request(asked))

    def later(self, work):
        async def done():
            try:
                await work
            except ConnectionClosed:
                pass  # The reading side notices it too.

        self.task = asyncio.create_task(done())

    def finish(self, team):
        stored_up_to = self.stored_up_to.get(team, -1)
        for key, (send, seq) in list(self.unfinished.items()):
            if send["team"] == team and seq is not None and seq <= stored_up_to:
                del self.unfinished[key]

    def go(self):
        self.sending = True
        if self.socket:
            self.later(self.send_more())
        self.report()

    async def send_more(self):
        if not self.sending or not self.welcomed or self.stopping:
            return
        while self.in_flight < self.plan["in_flight_max"] and self.waiting:
            self.in_flight += 1
            await self.request({"send": self.waiting.popleft()})

    async def stop(self):
        self.stopping = True
        if not self.socket:
            return
        if not self.cursors:
            await self.socket.close()
        for team in self.cursors:
            await self.request({"unsubscribe": {"team": team}})

    def is_caught_up(self):
        return all(each["team"] in self.caught_up for each in self.plan["subscriptions"])

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
        members.extend(Member(connection, record, report) for connection in plan["connections"])
        async with asyncio.TaskGroup() as tasks:
            for member in members:
                tasks.create_task(member.run())
            while line := (await reader.readline()).decode().strip():
                if line == "go":
                    for member in members:
                        member.go()
                elif line == "stop":
                    for member in members:
                        await member.stop()
                    break
            else:
                raise Fatal("the input has ended")


asyncio.run(main())
