//! `ListMessages`: a page of messages around, before or after a position, or at an end of the team.

use std::collections::VecDeque;

use huddle_grpc::{CallError, page_limit, position, team_id};
use huddle_proto::{
    Refusal,
    gateway::v1::ErrorCode,
    history::v1::{self as wire, ListMessagesRequest, ListMessagesResponse, list_messages_request::Position},
};
use huddle_store::{MessagePage, MessagePosition, MessageQuery, Order};
use tonic::Request;

use crate::{
    convert::{self, ITEMS_BYTES_MAX, item_bytes},
    reader::Reader,
};

/// Messages on a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 50;
/// Most messages on a page.
const LIMIT_MAX: u32 = 500;

pub(crate) async fn list_messages(
    reader: &Reader,
    request: Request<ListMessagesRequest>,
) -> Result<ListMessagesResponse, CallError> {
    let call = reader.open(&request)?;
    let request = request.into_inner();
    let team = team_id(&request.team)?;
    let query = query(&request)?;
    let min_seq = position("min_seq", request.min_seq)?;
    let page = reader.read(&call, &team, min_seq, |fence| reader.events.list_messages(&team, query, fence));
    Ok(response(&page.await?, query))
}

fn query(request: &ListMessagesRequest) -> Result<MessageQuery, Refusal> {
    let order = match wire::Order::try_from(request.order) {
        Ok(wire::Order::Unspecified | wire::Order::NewestFirst) => Order::NewestFirst,
        Ok(wire::Order::OldestFirst) => Order::OldestFirst,
        Err(_) => return Err(Refusal::new(ErrorCode::InvalidArgument, "`order` is not known to this version")),
    };
    let position = match request.position {
        Some(Position::Before(seq)) => MessagePosition::Before(position("before", seq)?),
        Some(Position::After(seq)) => MessagePosition::After(position("after", seq)?),
        Some(Position::Around(seq)) => MessagePosition::Around(position("around", seq)?),
        None if order == Order::NewestFirst => MessagePosition::Newest,
        None => MessagePosition::Oldest,
    };
    Ok(MessageQuery { position, limit: page_limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX)?, order })
}

/// A page of large messages is cut to what one answer can carry, and keeps the messages nearest to its position.
fn response(page: &MessagePage, query: MessageQuery) -> ListMessagesResponse {
    let (mut has_older, mut has_newer) = (page.has_older, page.has_newer);
    let mut messages: VecDeque<wire::Message> = page.messages.iter().map(convert::message).collect();
    if query.order == Order::NewestFirst {
        messages.make_contiguous().reverse();
    }
    let mut bytes: usize = messages.iter().map(item_bytes).sum();
    while bytes > ITEMS_BYTES_MAX {
        let cut = if farthest_is_oldest(&messages, query.position) {
            has_older = true;
            messages.pop_front()
        } else {
            has_newer = true;
            messages.pop_back()
        };
        bytes -= cut.as_ref().map_or(bytes, item_bytes);
    }
    let mut messages = Vec::from(messages);
    if query.order == Order::NewestFirst {
        messages.reverse();
    }
    ListMessagesResponse { messages, has_older, has_newer }
}

/// Whether, of messages that ascend, the oldest lies farther from `position` than the newest.
fn farthest_is_oldest(messages: &VecDeque<wire::Message>, position: MessagePosition) -> bool {
    match position {
        MessagePosition::Newest | MessagePosition::Before(_) => true,
        MessagePosition::Oldest | MessagePosition::After(_) => false,
        MessagePosition::Around(seq) => {
            messages.partition_point(|message| message.seq <= seq.get()) * 2 > messages.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use huddle_domain::{Body, ClientId, Seq, Tags, TeamId, UnixMillis, UserId};
    use huddle_grpc::MESSAGE_BYTES_MAX;
    use huddle_store::Message;
    use prost::Message as _;

    use super::*;

    /// 500 messages of the largest size, positions 1 to 500, in `order`.
    fn large_page(order: Order) -> MessagePage {
        let message = |seq| Message {
            team: TeamId::parse("t").unwrap(),
            seq: Seq::new(seq),
            time: UnixMillis(0),
            sender: UserId::parse("u").unwrap(),
            client_id: ClientId::parse("c").unwrap(),
            body: Body::parse(&"\u{10348}".repeat(4_000)).unwrap(),
            tags: Tags::default(),
        };
        let mut messages: Vec<Message> = (1..=500).map(message).collect();
        if order == Order::NewestFirst {
            messages.reverse();
        }
        MessagePage { messages, has_older: false, has_newer: false }
    }

    #[test]
    fn a_page_that_is_too_large_keeps_what_is_nearest_to_its_position() {
        for (position, order, nearest, older, newer) in [
            (MessagePosition::Newest, Order::NewestFirst, 500, true, false),
            (MessagePosition::Before(Seq::new(501)), Order::OldestFirst, 500, true, false),
            (MessagePosition::Oldest, Order::OldestFirst, 1, false, true),
            (MessagePosition::After(Seq::ZERO), Order::NewestFirst, 1, false, true),
            (MessagePosition::Around(Seq::new(250)), Order::OldestFirst, 250, true, true),
        ] {
            let answer = response(&large_page(order), MessageQuery { position, limit: 500, order });
            assert!(answer.encoded_len() <= MESSAGE_BYTES_MAX);
            assert!(answer.messages.len() > 200, "{}", answer.messages.len());
            let seqs: Vec<u64> = answer.messages.iter().map(|message| message.seq).collect();
            assert!(seqs.contains(&nearest), "{position:?}");
            let descends = order == Order::NewestFirst;
            assert!(seqs.is_sorted_by(|a, b| if descends { a > b } else { a < b }), "{position:?}");
            assert_eq!((answer.has_older, answer.has_newer), (older, newer), "{position:?}");
        }
    }
}
