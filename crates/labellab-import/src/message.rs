//! Owns what a row of `message` has to be in order to become an event.

use huddle_domain::{
    Body, BodyError, ClientId, Entity, EntityId, EntityKind, Event, EventKind, Seq, Tags, TeamId, UserId,
};

use crate::{report::Reason, tables::MessageRow};

/// The event of `row`, without its predecessor.
pub(crate) fn event(row: &MessageRow, team: &TeamId) -> Result<Event, Reason> {
    let id = u64::try_from(row.key.id).ok().filter(|id| *id > 0).ok_or(Reason::MessageId)?;
    let sender = user_id(row.user).ok_or(Reason::MessageSender)?;
    let time = row.time.ok_or(Reason::MessageTime)?;
    let body = Body::parse(&row.body).map_err(|error| match error {
        BodyError::Empty => Reason::BodyEmpty,
        BodyError::TooLong => Reason::BodyTooLong,
        BodyError::Nul => Reason::BodyNul,
    })?;
    let client_id = ClientId::parse(&format!("labellab-message-{id}")).map_err(|_| Reason::MessageId)?;
    // What cannot be carried over is told by `entity`, and the message comes all the same.
    let tags = Tags::new([], entity(row).unwrap_or_default()).unwrap_or_default();
    let kind = EventKind::Posted { body, tags };
    Ok(Event { team: team.clone(), seq: Seq::new(id), prev_seq: Seq::ZERO, time, sender, client_id, kind })
}

/// The thing that the message of `row` points to. LabelLab's clients send an empty type where there is none.
pub(crate) fn entity(row: &MessageRow) -> Result<Option<Entity>, Reason> {
    let kind = row.entity_type.as_deref().filter(|kind| !kind.is_empty());
    let Some((kind, id)) = kind.zip(row.entity_id) else { return Ok(None) };
    let kind = EntityKind::parse(kind).map_err(|_| Reason::Entity)?;
    let id = EntityId::parse(&id.to_string()).map_err(|_| Reason::Entity)?;
    Ok(Some(Entity { kind, id }))
}

/// LabelLab's team id as Huddle's.
pub(crate) fn team_id(id: i64) -> Option<TeamId> {
    if id > 0 { TeamId::parse(&id.to_string()).ok() } else { None }
}

/// LabelLab's user id as Huddle's.
pub(crate) fn user_id(id: i64) -> Option<UserId> {
    if id > 0 { UserId::parse(&id.to_string()).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use huddle_domain::UnixMillis;

    use super::*;
    use crate::tables::Key;

    fn row() -> MessageRow {
        MessageRow {
            key: Key { id: 7, offset: 0 },
            body: "<b>hi</b>".to_owned(),
            team: 3,
            user: 5,
            entity_type: None,
            entity_id: None,
            time: Some(UnixMillis(1)),
        }
    }

    #[test]
    fn a_message_keeps_id_time_sender_and_body() {
        let team = team_id(3).unwrap();
        let event = event(&row(), &team).unwrap();
        assert_eq!((event.seq, event.time, event.sender.as_str()), (Seq::new(7), UnixMillis(1), "5"));
        assert_eq!((event.team.as_str(), event.client_id.as_str()), ("3", "labellab-message-7"));
        assert_eq!(event.kind, EventKind::posted(Body::parse("<b>hi</b>").unwrap()));
    }

    #[test]
    fn a_message_keeps_what_it_points_to_where_that_can_be() {
        let team = team_id(3).unwrap();
        let of = |kind: Option<&str>, id| {
            let row = MessageRow { entity_type: kind.map(str::to_owned), entity_id: id, ..row() };
            let EventKind::Posted { tags, .. } = event(&row, &team).unwrap().kind else { panic!("no message") };
            let shown = tags.entity().map(|entity| (entity.kind.to_string(), entity.id.to_string()));
            (shown, entity(&row).err())
        };
        let some = |kind: &str, id: &str| (Some((kind.to_owned(), id.to_owned())), None);
        assert_eq!(of(Some("issue"), Some(7)), some("issue", "7"));
        assert_eq!(of(Some("log"), Some(-1)), some("log", "-1"));
        for (kind, id) in [(None, None), (Some(""), None), (Some(""), Some(7)), (None, Some(7)), (Some("issue"), None)]
        {
            assert_eq!(of(kind, id), (None, None), "{kind:?} {id:?}");
        }
        for kind in [" ", "an issue", "größe", "a.b", &"x".repeat(65)] {
            assert_eq!(of(Some(kind), Some(7)), (None, Some(Reason::Entity)), "{kind}");
        }
    }

    #[test]
    fn what_cannot_be_an_event_says_why() {
        let team = team_id(3).unwrap();
        let broken = |change: fn(&mut MessageRow)| {
            let mut row = row();
            change(&mut row);
            event(&row, &team).unwrap_err()
        };
        assert_eq!(broken(|row| row.key.id = 0), Reason::MessageId);
        assert_eq!(broken(|row| row.key.id = -1), Reason::MessageId);
        assert_eq!(broken(|row| row.user = 0), Reason::MessageSender);
        assert_eq!(broken(|row| row.time = None), Reason::MessageTime);
        assert_eq!(broken(|row| row.body.clear()), Reason::BodyEmpty);
        assert_eq!(broken(|row| row.body = "x".repeat(4_001)), Reason::BodyTooLong);
        assert_eq!(broken(|row| row.body.push('\0')), Reason::BodyNul);
    }
}
