"""Reads teams from history through PyPI's `grpcio`, knowing nothing but what the server's reflection tells.

Standard input: {"target", "page", "teams": [{"team", "token"}]}. Standard output: one line of JSON for each team, with
its messages read page by page in either direction, its events read page by page, and its events as streamed up to the
end of the catch-up.
"""

import json
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "huddle.history.v1.HistoryService"
CALL_TIMEOUT_S = 20


class History:
    """Calls methods of the service by name."""

    def __init__(self, channel, token):
        self.channel = channel
        self.metadata = [("authorization", f"Bearer {token}")]
        database = ProtoReflectionDescriptorDatabase(channel)
        if SERVICE not in database.get_services():
            raise SystemExit(f"the server does not list {SERVICE}: {database.get_services()}")
        self.service = DescriptorPool(database).FindServiceByName(SERVICE)

    def call(self, name, **fields):
        method = self.service.FindMethodByName(name)
        connect = self.channel.unary_stream if method.server_streaming else self.channel.unary_unary
        answer = GetMessageClass(method.output_type)
        stub = connect(
            f"/{SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        request = GetMessageClass(method.input_type)(**fields)
        return stub(request, metadata=self.metadata, timeout=CALL_TIMEOUT_S)

    def messages(self, team, page, order, position):
        place, found = {}, []
        while True:
            answer = self.call("ListMessages", team=team, limit=page, order=order, **place)
            found.extend(answer.messages)
            if not (answer.has_newer if position == "after" else answer.has_older):
                return found
            place = {position: answer.messages[-1].seq}

    def events(self, team, page):
        after, found = 0, []
        while True:
            answer = self.call("ListEvents", team=team, limit=page, after=after)
            found.extend(answer.events)
            if not answer.has_more:
                return found
            after = answer.events[-1].seq

    def streamed(self, team):
        found, call = [], self.call("StreamEvents", team=team)
        for item in call:
            if item.WhichOneof("item") == "caught_up":
                call.cancel()
                return found, item.caught_up.seq
            found.append(item.event)
        raise SystemExit("a stream of events ended by itself")


def plain(messages):
    return [MessageToDict(message, preserving_proto_field_name=True) for message in messages]


def main():
    plan = json.load(sys.stdin)
    with grpc.insecure_channel(plan["target"]) as channel:
        for each in plan["teams"]:
            history, team = History(channel, each["token"]), each["team"]
            streamed, caught_up = history.streamed(team)
            answer = {
                "team": team,
                "oldest_first": plain(history.messages(team, plan["page"], 2, "after")),
                "newest_first": plain(history.messages(team, plan["page"], 1, "before")),
                "events": plain(history.events(team, plan["page"])),
                "streamed": plain(streamed),
                "caught_up": str(caught_up),
            }
            print(json.dumps(answer))


main()
