//! Messages on their way to the wire, and how many of them one answer can carry.

use huddle_grpc::MESSAGE_BYTES_MAX;
use huddle_proto::{entity_to_wire, history::v1 as wire, mentions_to_wire};
use huddle_store::Message;

/// Bytes that the items of one answer may take: the largest gRPC message, less room for its other fields.
pub(crate) const ITEMS_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 1024;
/// Bytes around each item: a field's key and a length below [`MESSAGE_BYTES_MAX`].
const ITEM_FRAME_BYTES_MAX: usize = 5;

pub(crate) fn message(message: &Message) -> wire::Message {
    wire::Message {
        team: message.team.to_string(),
        seq: message.seq.get(),
        time_ms: message.time.0,
        sender: message.sender.to_string(),
        client_id: message.client_id.to_string(),
        body: message.body.as_str().to_owned(),
        mentions: mentions_to_wire(&message.tags),
        entity: entity_to_wire(&message.tags),
    }
}

/// How many bytes `item` takes as one of a list.
pub(crate) fn item_bytes(item: &impl prost::Message) -> usize {
    item.encoded_len() + ITEM_FRAME_BYTES_MAX
}

/// How many of `items`, from the first on, fit into one answer.
pub(crate) fn fitting<T: prost::Message>(items: &[T]) -> usize {
    let mut bytes = 0;
    items
        .iter()
        .take_while(|item| {
            bytes += item_bytes(*item);
            bytes <= ITEMS_BYTES_MAX
        })
        .count()
}
