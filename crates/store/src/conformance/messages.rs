//! Reading messages: every position, order and limit against a model.

use huddle_domain::{EventKind, Role, Seq};

use super::{
    Fixture,
    fixture::claim,
    samples::{P0, added, created, event, name, posted, saying, store_all, team},
};
use crate::{Message, MessagePage, MessagePosition, MessageQuery, Order};

/// The last position of the sample team; messages, other events and holes take turns below it.
const LAST: u64 = 24;

/// Pages in all positions, both orders, at and beyond both ends, with other events and holes in between; for a team
/// without messages, too.
pub async fn every_page_of_messages_is_exact<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let mut messages = Vec::new();
    let events: Vec<_> = (1..=LAST)
        .filter_map(|seq| match seq % 5 {
            0 => Some(added("a", seq, &format!("u{seq}"), Role::Member)),
            3 => None,
            _ => {
                messages.push(seq);
                Some(posted("a", seq))
            }
        })
        .collect();
    store_all(&mut *writer, [events, vec![created("no-messages", LAST + 1, "ann")]].concat()).await;

    let with_seq = [MessagePosition::Before, MessagePosition::After, MessagePosition::Around];
    let mut positions = vec![MessagePosition::Newest, MessagePosition::Oldest];
    for seq in (0..=LAST + 2).chain([u64::MAX]) {
        positions.extend(with_seq.iter().map(|position| position(Seq::new(seq))));
    }
    for (team_id, messages) in [("a", &messages[..]), ("no-messages", &[]), ("no-such-team", &[])] {
        for position in &positions {
            for limit in [1, 2, 3, 5, 100] {
                for order in [Order::OldestFirst, Order::NewestFirst] {
                    let query = MessageQuery { position: *position, limit, order };
                    let page = store.list_messages(&team(team_id), query, None).await.unwrap();
                    assert_eq!(summary(&page), expected(messages, query), "{team_id}: {query:?}");
                }
            }
        }
    }
}

/// A message is what was posted, at the position where it was posted.
pub async fn a_message_is_found_by_its_position_only<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let sent = saying(posted("a", 2), "hello");
    let rename = event("a", 3, EventKind::TeamRenamed { name: name("Other") });
    store_all(&mut *writer, [created("a", 1, "ann"), sent.clone(), rename]).await;

    let EventKind::Posted { body, tags } = sent.kind else { unreachable!("the sample is a message") };
    let expected = Message {
        team: sent.team,
        seq: sent.seq,
        time: sent.time,
        sender: sent.sender,
        client_id: sent.client_id,
        body,
        tags,
    };
    assert_eq!(store.message(&team("a"), Seq::new(2), None).await.unwrap(), Some(expected));
    for (team_id, seq) in [("a", 0), ("a", 1), ("a", 3), ("a", 4), ("a", u64::MAX), ("b", 2)] {
        assert_eq!(store.message(&team(team_id), Seq::new(seq), None).await.unwrap(), None, "{team_id} {seq}");
    }
}

type Summary = (Vec<u64>, bool, bool);

fn summary(page: &MessagePage) -> Summary {
    (page.messages.iter().map(|message| message.seq.get()).collect(), page.has_older, page.has_newer)
}

/// What the contract says of `messages`, which ascend. Where a page is empty, older and newer are counted from where
/// it lies.
fn expected(messages: &[u64], query: MessageQuery) -> Summary {
    let limit = usize::try_from(query.limit).expect("a small limit");
    let up_to = |seq: Seq| messages.partition_point(|message| *message <= seq.get());
    let below = |seq: Seq| messages.partition_point(|message| *message < seq.get());
    let (first, end) = match query.position {
        MessagePosition::Newest => (messages.len().saturating_sub(limit), messages.len()),
        MessagePosition::Oldest => (0, limit),
        MessagePosition::Before(seq) => (below(seq).saturating_sub(limit), below(seq)),
        MessagePosition::After(seq) => (up_to(seq), up_to(seq) + limit),
        MessagePosition::Around(seq) => (up_to(seq).saturating_sub(limit.div_ceil(2)), up_to(seq) + limit / 2),
    };
    let end = end.min(messages.len());
    let mut page = messages[first..end].to_vec();
    if query.order == Order::NewestFirst {
        page.reverse();
    }
    (page, first > 0, end < messages.len())
}
