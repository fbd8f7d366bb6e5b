//! Owns how events are written down.

use huddle_domain::{Event, EventKind, Seq};
use huddle_verify::recording::{EventNote, digest, kind};

/// An event as somebody saw it who sees all of it.
pub(in crate::faults) fn event_note(event: &Event) -> EventNote {
    let (kind, digest, subject) = match &event.kind {
        EventKind::Posted { body, .. } => (kind::POSTED, Some(digest(body.as_str())), None),
        EventKind::TeamCreated { owner, .. } => (kind::TEAM_CREATED, None, Some(owner)),
        EventKind::TeamRenamed { .. } => ("team_renamed", None, None),
        EventKind::TeamArchived => ("team_archived", None, None),
        EventKind::MemberAdded { user, .. } => (kind::MEMBER_ADDED, None, Some(user)),
        EventKind::MemberRemoved { user } => (kind::MEMBER_REMOVED, None, Some(user)),
        EventKind::MemberRoleChanged { user, .. } => ("member_role_changed", None, Some(user)),
    };
    EventNote {
        team: event.team.to_string(),
        seq: event.seq.get(),
        prev_seq: Some(event.prev_seq.get()),
        sender: event.sender.to_string(),
        client_id: Some(event.client_id.to_string()),
        digest,
        kind: kind.to_owned(),
        subject: subject.map(ToString::to_string),
    }
}

/// An event of a kind that is not known here.
pub(super) fn unknown_event_note(team: &str, seq: Seq, prev_seq: Seq) -> EventNote {
    EventNote {
        team: team.to_owned(),
        seq: seq.get(),
        prev_seq: Some(prev_seq.get()),
        sender: String::new(),
        client_id: None,
        digest: None,
        kind: "unknown".to_owned(),
        subject: None,
    }
}
