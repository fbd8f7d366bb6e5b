//! Each kind of fault is found, under its rule, with the lines that show it.

use std::time::Duration;

use huddle_verify::{
    Options, Recording, Rule, check,
    recording::{Change, EventNote, Line, Note, Sees, digest, kind},
};

use crate::model::{World, assert_clean, broken, checked};

/// A run with something of everything: a retry, a reconnect, a removal, reads, second receipts.
fn run() -> Vec<Line> {
    let mut world = World::new();
    world.team("demo", &["ann", "bob", "cid"]);
    for (client, user, sees) in [
        ("ann-1", "ann", Sees::Events),
        ("bob-1", "bob", Sees::Events),
        ("bob-2", "bob", Sees::Messages),
        ("cid-1", "cid", Sees::Events),
    ] {
        world.connect(client, user, sees);
        world.subscribe(client, "demo", false);
    }
    for id in ["a1", "a2"] {
        world.begin_send("ann-1", "demo", id);
    }
    for id in ["a1", "a2"] {
        let taken = world.take("ann-1", "demo", id);
        world.receipt("ann-1", "demo", id, taken);
    }
    let seq = world.send("ann-1", "demo", "a3");
    world.stored("ann-1", "demo", seq);
    world.send("bob-1", "demo", "b1");
    world.deliver_all();
    world.send("bob-1", "demo", "b1");
    world.disconnect("bob-1");
    world.send("ann-1", "demo", "a4");
    world.reconnect("bob-1");
    world.subscribe("bob-1", "demo", false);
    world.read("ann-1", "demo", 0, seq, 100);
    world.read("bob-2", "demo", 0, seq, 2);
    world.send("cid-1", "demo", "c1");
    world.deliver_all();
    world.change("demo", "cid", Change::Removed);
    world.send("ann-1", "demo", "a5");
    world.deliver_all();
    world.wait(Duration::from_mins(2));
    world.send("bob-2", "demo", "b2");
    world.deliver_all();
    world.finish()
}

/// The one line that `is` true of, or the first of several.
fn find(lines: &[Line], is: impl Fn(&Line) -> bool) -> usize {
    lines.iter().position(is).expect("no such line")
}

fn history(lines: &mut [Line]) -> &mut Vec<EventNote> {
    let history = lines.iter_mut().find_map(|line| match &mut line.note {
        Note::History { events, .. } => Some(events),
        _ => None,
    });
    history.expect("no history")
}

fn row(lines: &mut [Line], id: &str) -> usize {
    history(lines).iter().position(|event| event.client_id.as_deref() == Some(id)).expect("no such row")
}

fn seq_of(lines: &mut [Line], id: &str) -> u64 {
    let row = row(lines, id);
    history(lines)[row].seq
}

/// The line that shows `client` what stands at the position of `id`.
fn shown(lines: &mut [Line], client: &str, id: &str) -> usize {
    let seq = seq_of(lines, id);
    find(lines, |line| line.client == client && matches!(&line.note, Note::Event(event) if event.seq == seq))
}

fn event(line: &mut Line) -> &mut EventNote {
    match &mut line.note {
        Note::Event(event) => event,
        note => panic!("no event: {note:?}"),
    }
}

fn receipt(lines: &[Line], id: &str) -> usize {
    find(lines, |line| matches!(&line.note, Note::Accepted { client_id, .. } if client_id == id))
}

fn page<'l>(lines: &'l mut [Line], client: &str) -> &'l mut Vec<EventNote> {
    let index = find(lines, |line| line.client == client && matches!(line.note, Note::ReadDone { .. }));
    match &mut lines[index].note {
        Note::ReadDone { events, .. } => events,
        _ => unreachable!(),
    }
}

fn insert(lines: &mut Vec<Line>, at: usize, model: usize, note: Note) {
    let line = Line { note, ..lines[model].clone() };
    lines.insert(at, line);
}

fn message(seq: u64, sender: &str, id: &str) -> EventNote {
    EventNote {
        team: "demo".into(),
        seq,
        prev_seq: None,
        sender: sender.into(),
        client_id: Some(id.into()),
        digest: Some(digest(id)),
        kind: kind::POSTED.into(),
        subject: None,
    }
}

/// What is done to the run, how, and the rules that are broken then.
type Case = (&'static str, fn(&mut Vec<Line>), &'static [Rule]);

const CASES: &[Case] = &[
    (
        "an accepted message is not in history, and nobody was shown it",
        |lines| {
            let gone = row(lines, "a5");
            let seq = history(lines).remove(gone).seq;
            lines.retain(|line| !matches!(&line.note, Note::Event(event) if event.seq == seq));
            for event in lines.iter_mut().filter_map(|line| match &mut line.note {
                Note::Event(event) => Some(event),
                _ => None,
            }) {
                event.prev_seq = event.prev_seq.map(|prev_seq| if prev_seq == seq { seq - 1 } else { prev_seq });
            }
            for event in history(lines) {
                event.prev_seq = event.prev_seq.map(|prev_seq| if prev_seq == seq { seq - 1 } else { prev_seq });
            }
        },
        &[Rule::Lost],
    ),
    (
        "an accepted message is not in history, and some were shown it",
        |lines| {
            let gone = row(lines, "a5");
            history(lines).remove(gone);
        },
        &[Rule::Lost, Rule::Disagreement, Rule::Gap],
    ),
    (
        "a message of the second receipt is not in history",
        |lines| {
            let gone = row(lines, "a3");
            history(lines).remove(gone);
        },
        &[Rule::Lost, Rule::StoredLie, Rule::Disagreement, Rule::Gap],
    ),
    (
        "a receipt names another position",
        |lines| {
            let (other, line) = (seq_of(lines, "a4"), receipt(lines, "a5"));
            let Note::Accepted { seq, .. } = &mut lines[line].note else { unreachable!() };
            *seq = other;
        },
        &[Rule::Lost, Rule::Reordered],
    ),
    (
        "an acknowledged removal is another event in history",
        |lines| {
            let index = history(lines).iter().position(|event| event.kind == kind::MEMBER_REMOVED).unwrap();
            history(lines)[index].subject = Some("dan".into());
        },
        // cid is a member all along then, and did not settle.
        &[Rule::Lost, Rule::Disagreement, Rule::Unsettled],
    ),
    (
        "a message is in history twice, and nobody was shown it again",
        |lines| {
            let copy = row(lines, "b2");
            let mut copy = history(lines)[copy].clone();
            copy.seq += 1;
            copy.prev_seq = Some(copy.seq - 1);
            history(lines).push(copy);
        },
        &[Rule::Doubled, Rule::Unsettled],
    ),
    (
        "history shows a position twice",
        |lines| {
            let index = row(lines, "a4");
            let copy = history(lines)[index].clone();
            history(lines).insert(index, copy);
        },
        &[Rule::Doubled],
    ),
    (
        "a retry is given another position",
        |lines| {
            let end = lines
                .iter()
                .rposition(|line| matches!(&line.note, Note::Accepted { client_id, .. } if client_id == "b1"));
            let Note::Accepted { seq, .. } = &mut lines[end.unwrap()].note else { unreachable!() };
            *seq += 50;
        },
        &[Rule::Lost, Rule::Doubled],
    ),
    (
        "an event is shown twice in a row",
        |lines| {
            let line = shown(lines, "ann-1", "a4");
            lines.insert(line, lines[line].clone());
        },
        &[Rule::Doubled],
    ),
    (
        "an event is shown again later on the same connection",
        |lines| {
            let (line, later) = (shown(lines, "bob-2", "a2"), shown(lines, "bob-2", "a5"));
            lines.insert(later, lines[line].clone());
        },
        &[Rule::Doubled],
    ),
    (
        "an event at the stated cursor is shown on the next connection",
        |lines| {
            let (old, new) = (shown(lines, "bob-1", "b1"), shown(lines, "bob-1", "a4"));
            let note = lines[old].note.clone();
            insert(lines, new, new, note);
        },
        &[Rule::Doubled],
    ),
    (
        "history has a message that nobody sent",
        |lines| {
            let end = history(lines).last().unwrap().seq;
            let phantom = message(end + 1, "ann", "phantom");
            history(lines).push(phantom);
        },
        &[Rule::Unsent, Rule::Unsettled],
    ),
    (
        "history has a message of somebody else",
        |lines| {
            let index = row(lines, "a4");
            history(lines)[index].sender = "bob".into();
        },
        &[Rule::Lost, Rule::Unsent, Rule::Disagreement],
    ),
    (
        "history has a message that was refused for good",
        |lines| {
            let line = receipt(lines, "a5");
            let (team, client_id, code) = ("demo".into(), "a5".into(), "too_long".into());
            lines[line].note = Note::Refused { team, client_id, code, retryable: false };
        },
        &[Rule::Unsent],
    ),
    (
        "something is accepted that was never sent",
        |lines| {
            let line = receipt(lines, "a5");
            let (team, client_id, seq) = ("demo".into(), "never".into(), 1_000_900);
            insert(lines, line, line, Note::Accepted { team, client_id, seq, duplicate: false });
        },
        &[Rule::Lost, Rule::Unsent],
    ),
    (
        "history has another content than was sent",
        |lines| {
            let (index, other) = (row(lines, "a4"), Some(digest("other")));
            history(lines)[index].digest.clone_from(&other);
            let seq = seq_of(lines, "a4");
            for line in lines.iter_mut() {
                match &mut line.note {
                    Note::Event(event) if event.seq == seq => event.digest.clone_from(&other),
                    Note::ReadDone { events, .. } => {
                        for event in events.iter_mut().filter(|event| event.seq == seq) {
                            event.digest.clone_from(&other);
                        }
                    }
                    _ => {}
                }
            }
        },
        &[Rule::Conflict],
    ),
    (
        "a key is accepted with a second content",
        |lines| {
            let line =
                lines.iter().rposition(|line| matches!(&line.note, Note::Send { client_id, .. } if client_id == "b1"));
            let Note::Send { digest: sent, .. } = &mut lines[line.unwrap()].note else { unreachable!() };
            *sent = digest("other");
        },
        &[Rule::Conflict],
    ),
    (
        "a retry is not called a duplicate",
        |lines| {
            for line in lines {
                if let Note::Accepted { duplicate, .. } = &mut line.note {
                    *duplicate = false;
                }
            }
        },
        &[Rule::Conflict],
    ),
    (
        "two events are shown in the wrong order",
        |lines| {
            let (one, other) = (shown(lines, "bob-2", "a2"), shown(lines, "bob-2", "a3"));
            lines.swap(one, other);
        },
        &[Rule::Reordered],
    ),
    (
        "two events are shown in the wrong order to one who sees prev_seq",
        |lines| {
            let (one, other) = (shown(lines, "ann-1", "a2"), shown(lines, "ann-1", "a3"));
            lines.swap(one, other);
        },
        // The one that came too early said so.
        &[Rule::Reordered, Rule::Gap],
    ),
    (
        "two sends of one connection are taken in the wrong order",
        |lines| {
            let is_send = |line: &Line, id: &str| matches!(&line.note, Note::Send { client_id, .. } if client_id == id);
            let (one, other) = (find(lines, |line| is_send(line, "a1")), find(lines, |line| is_send(line, "a2")));
            lines.swap(one, other);
        },
        &[Rule::Reordered],
    ),
    (
        "history is not in order",
        |lines| {
            let (one, other) = (row(lines, "a2"), row(lines, "a3"));
            history(lines).swap(one, other);
        },
        &[Rule::Reordered],
    ),
    ("a page is not in order", |lines| page(lines, "bob-2").swap(0, 1), &[Rule::Reordered]),
    (
        "one client is shown another content",
        |lines| {
            let line = shown(lines, "bob-2", "a2");
            event(&mut lines[line]).digest = Some(digest("other"));
        },
        &[Rule::Disagreement],
    ),
    (
        "one client is shown another sender",
        |lines| {
            let line = shown(lines, "ann-1", "a2");
            event(&mut lines[line]).sender = "bob".into();
        },
        &[Rule::Disagreement],
    ),
    (
        "a page has another content",
        |lines| page(lines, "ann-1")[4].digest = Some(digest("other")),
        &[Rule::Disagreement],
    ),
    (
        "a client is shown an event that history does not have",
        |lines| {
            let line = lines.iter().rposition(|line| line.client == "bob-2" && matches!(line.note, Note::Event(_)));
            let line = line.unwrap();
            let seq = event(&mut lines[line]).seq + 1;
            insert(lines, line + 1, line, Note::Event(message(seq, "ann", "phantom")));
        },
        &[Rule::Disagreement],
    ),
    (
        "an event is left out",
        |lines| {
            let line = shown(lines, "ann-1", "a4");
            lines.remove(line);
        },
        &[Rule::Gap],
    ),
    (
        "an event is left out where there is no prev_seq",
        |lines| {
            let line = shown(lines, "bob-2", "a3");
            lines.remove(line);
        },
        &[Rule::Gap],
    ),
    (
        "the first event of a resume is left out",
        |lines| {
            let line = shown(lines, "bob-1", "a4");
            lines.remove(line);
        },
        &[Rule::Gap],
    ),
    (
        "a client resumes after what it was never shown",
        |lines| {
            let (seq, line) = (seq_of(lines, "a4"), shown(lines, "bob-1", "a4"));
            lines.remove(line);
            let resumed = lines[..line]
                .iter()
                .rposition(|line| line.client == "bob-1" && matches!(line.note, Note::Subscribe { .. }));
            let Note::Subscribe { after, .. } = &mut lines[resumed.unwrap()].note else { unreachable!() };
            *after = Some(seq);
        },
        &[Rule::Gap],
    ),
    (
        "a client settles at a cursor that it has by its own word only",
        |lines| {
            let (seq, settled) = (
                seq_of(lines, "b2"),
                find(lines, |line| line.client == "bob-1" && matches!(line.note, Note::Settled { .. })),
            );
            let line = shown(lines, "bob-1", "b2");
            let (user, gateway, sees) = ("bob".to_owned(), "gateway-1".to_owned(), Sees::Events);
            let connected = Note::Connected { user, gateway, sees };
            let subscribe = Note::Subscribe { team: "demo".to_owned(), after: Some(seq) };
            for (offset, note) in [connected, subscribe].into_iter().enumerate() {
                let at_us = lines[settled].at_us;
                lines.insert(settled + offset, Line { at_us, client: "bob-1".into(), connection: 2, note });
            }
            lines.remove(line);
        },
        &[Rule::Gap, Rule::Unsettled],
    ),
    (
        "word that all has been sent comes too early",
        |lines| {
            let line = shown(lines, "bob-1", "a5");
            let seq = seq_of(lines, "a5");
            insert(lines, line, line, Note::CaughtUp { team: "demo".into(), seq });
        },
        // What comes after it comes all the same, out of its place.
        &[Rule::Gap],
    ),
    (
        "an event names a predecessor that was not shown",
        |lines| {
            let line = shown(lines, "ann-1", "a1");
            let event = event(&mut lines[line]);
            event.prev_seq = Some(event.seq - 1);
            history(lines)[0].seq -= 1;
            for line in lines.iter_mut() {
                if let Note::Event(event) = &mut line.note {
                    event.prev_seq =
                        event.prev_seq.map(|prev_seq| if prev_seq == 1_000_001 { 1_000_000 } else { prev_seq });
                    if event.seq == 1_000_001 {
                        event.seq = 1_000_000;
                    }
                }
                if let Note::ReadDone { events, .. } = &mut line.note {
                    events.retain(|event| event.seq != 1_000_001);
                }
            }
        },
        &[Rule::Gap, Rule::StaleRead],
    ),
    (
        "an event hides its predecessor",
        |lines| {
            let line = shown(lines, "ann-1", "a4");
            let event = event(&mut lines[line]);
            event.prev_seq = Some(event.seq - 2);
        },
        &[Rule::Gap],
    ),
    (
        "history contradicts itself about what comes before",
        |lines| {
            let index = row(lines, "a4");
            let seq = history(lines)[index].seq;
            history(lines)[index].prev_seq = Some(seq - 2);
        },
        &[Rule::Gap],
    ),
    (
        "a client settles short of the end",
        |lines| {
            let end = seq_of(lines, "a5");
            let line = find(lines, |line| line.client == "bob-1" && matches!(line.note, Note::Settled { .. }));
            let Note::Settled { cursor, .. } = &mut lines[line].note else { unreachable!() };
            *cursor = end;
        },
        &[Rule::Unsettled],
    ),
    (
        "a client settles at the end without having been given it",
        |lines| {
            let line = shown(lines, "bob-2", "b2");
            lines.remove(line);
        },
        &[Rule::Unsettled],
    ),
    (
        "a client does not settle",
        |lines| {
            let line = find(lines, |line| line.client == "bob-2" && matches!(line.note, Note::Settled { .. }));
            lines.remove(line);
        },
        &[Rule::Unsettled],
    ),
    (
        "a page lacks the client's own message",
        |lines| {
            page(lines, "ann-1").truncate(5);
        },
        &[Rule::StaleRead],
    ),
    (
        "a page has a hole",
        |lines| {
            page(lines, "bob-2").remove(0);
        },
        &[Rule::StaleRead],
    ),
    (
        "an empty page says that there is more",
        |lines| {
            let line = find(lines, |line| matches!(line.note, Note::ReadDone { .. }));
            let read = lines.iter().filter(|line| matches!(line.note, Note::Read { .. })).count() as u64 + 1;
            let (at_us, client) = (lines[line].at_us, lines[line].client.clone());
            let asked = Note::Read { read, team: "demo".into(), after: 0, min_seq: 0 };
            let done = Note::ReadDone { read, events: Vec::new(), has_more: true };
            for (offset, note) in [asked, done].into_iter().enumerate() {
                lines.insert(line + 1 + offset, Line { at_us, client: client.clone(), connection: 0, note });
            }
        },
        &[Rule::StaleRead],
    ),
    ("an empty page answers a read with min_seq", |lines| page(lines, "ann-1").clear(), &[Rule::StaleRead]),
    (
        "a read of what does not exist yet is answered",
        |lines| {
            let line = find(lines, |line| matches!(line.note, Note::Read { .. }));
            let Note::Read { min_seq, .. } = &mut lines[line].note else { unreachable!() };
            *min_seq = 2_000_000;
        },
        &[Rule::StaleRead],
    ),
    (
        "a stranger is shown an event",
        |lines| {
            let line = shown(lines, "ann-1", "a4");
            let (at_us, shown) = (lines[line].at_us, lines[line].note.clone());
            let (user, gateway, sees) = ("eve".to_owned(), "gateway-1".to_owned(), Sees::Events);
            let connected = Note::Connected { user, gateway, sees };
            let subscribe = Note::Subscribe { team: "demo".to_owned(), after: None };
            let ended = Note::Ended { team: "demo".to_owned(), code: "not_found".to_owned() };
            for (offset, note) in [connected, subscribe, shown, ended].into_iter().enumerate() {
                lines.insert(line + 1 + offset, Line { at_us, client: "eve-1".into(), connection: 0, note });
            }
        },
        &[Rule::Leaked],
    ),
    (
        "a stranger can read",
        |lines| {
            let end = find(lines, |line| matches!(line.note, Note::Settled { .. }));
            let (events, at_us) = (history(lines).clone(), lines[end].at_us);
            let (user, gateway, sees) = ("eve".to_owned(), "history-0".to_owned(), Sees::Events);
            let connected = Note::Connected { user, gateway, sees };
            let read = Note::Read { read: 1, team: "demo".into(), after: 0, min_seq: 0 };
            let done = Note::ReadDone { read: 1, events, has_more: false };
            for (offset, note) in [connected, read, done].into_iter().enumerate() {
                lines.insert(end + offset, Line { at_us, client: "eve-1".into(), connection: 0, note });
            }
        },
        &[Rule::Leaked],
    ),
    (
        "a stranger's send is taken",
        |lines| {
            let index = row(lines, "a4");
            history(lines)[index].sender = "eve".into();
        },
        &[Rule::Lost, Rule::Unsent, Rule::Disagreement, Rule::SentAfterRemoval],
    ),
    (
        "a removed member is shown the next event",
        |lines| {
            let end = find(lines, |line| line.client == "cid-1" && matches!(line.note, Note::Ended { .. }));
            let line = shown(lines, "ann-1", "a5");
            let note = lines[line].note.clone();
            insert(lines, end + 1, end, note);
        },
        &[Rule::Leaked],
    ),
    (
        "a removed member resumes on another connection",
        |lines| {
            let end = find(lines, |line| matches!(line.note, Note::Settled { .. }));
            let removal = history(lines).iter().find(|event| event.kind == kind::MEMBER_REMOVED).unwrap().seq;
            let line = shown(lines, "ann-1", "a5");
            let (team, note) = ("demo".to_owned(), lines[line].note.clone());
            let (user, gateway, sees) = ("cid".to_owned(), "gateway-1".to_owned(), Sees::Events);
            let connected = Note::Connected { user, gateway, sees };
            let subscribe = Note::Subscribe { team, after: Some(removal) };
            let at_us = lines[end].at_us;
            for (offset, note) in [connected, subscribe, note].into_iter().enumerate() {
                lines.insert(end + offset, Line { at_us, client: "cid-1".into(), connection: 1, note });
            }
        },
        &[Rule::Leaked],
    ),
    (
        "a removed member reads long after",
        |lines| {
            let end = find(lines, |line| matches!(line.note, Note::Settled { .. }));
            let (events, at_us) = (history(lines).clone(), lines[end].at_us);
            let read = Note::Read { read: 99, team: "demo".into(), after: 0, min_seq: 0 };
            for (offset, note) in [read, Note::ReadDone { read: 99, events, has_more: false }].into_iter().enumerate() {
                lines.insert(end + offset, Line { at_us, client: "cid-1".into(), connection: 0, note });
            }
        },
        &[Rule::Leaked],
    ),
    (
        "a removed member's send is taken long after",
        |lines| {
            let end = lines.iter().rposition(|line| matches!(line.note, Note::Settled { .. })).unwrap();
            let last = history(lines).last().unwrap().seq;
            let late = EventNote { prev_seq: Some(last), ..message(last + 1, "cid", "late") };
            history(lines).push(late);
            let at_us = lines[end].at_us;
            let (team, client_id, digest) = ("demo".to_owned(), "late".to_owned(), digest("late"));
            let send = Note::Send { team: team.clone(), client_id: client_id.clone(), digest };
            let accepted = Note::Accepted { team, client_id, seq: last + 1, duplicate: false };
            for (offset, note) in [send, accepted].into_iter().enumerate() {
                lines.insert(end + 1 + offset, Line { at_us, client: "cid-1".into(), connection: 0, note });
            }
        },
        // The others had settled before.
        &[Rule::Unsettled, Rule::SentAfterRemoval],
    ),
    (
        "a removed member's retry is answered long after",
        |lines| {
            let end = find(lines, |line| matches!(line.note, Note::Settled { .. }));
            let (seq, at_us) = (seq_of(lines, "c1"), lines[end].at_us);
            let (team, client_id, digest) = ("demo".to_owned(), "c1".to_owned(), digest("c1"));
            let send = Note::Send { team: team.clone(), client_id: client_id.clone(), digest };
            let accepted = Note::Accepted { team, client_id, seq, duplicate: true };
            for (offset, note) in [send, accepted].into_iter().enumerate() {
                lines.insert(end + offset, Line { at_us, client: "cid-1".into(), connection: 0, note });
            }
        },
        &[Rule::SentAfterRemoval],
    ),
    (
        "history has a message of somebody who was no member yet",
        |lines| {
            let events = history(lines);
            let added = events.iter().position(|event| event.subject.as_deref() == Some("bob")).unwrap();
            let mut moved = events.remove(added);
            moved.seq = events.last().unwrap().seq + 1;
            moved.prev_seq = None;
            for event in events.iter_mut() {
                event.prev_seq = None;
            }
            events.push(moved);
            let seq = 1_000_002;
            lines.retain(|line| {
                !matches!(&line.note, Note::Event(event) if event.seq == seq)
                    && !matches!(line.note, Note::MembershipChange { .. } | Note::ReadDone { .. })
            });
        },
        &[Rule::Gap, Rule::Unsettled, Rule::Leaked, Rule::SentAfterRemoval],
    ),
    (
        "the history is missing",
        |lines| lines.retain(|line| !matches!(line.note, Note::History { .. })),
        &[Rule::Unjudged],
    ),
    (
        "nothing says who a client is",
        |lines| lines.retain(|line| !(line.client == "cid-1" && matches!(line.note, Note::Connected { .. }))),
        // Nobody sent cid's message, as far as anybody knows, and nobody knows that it is cid who was removed.
        &[Rule::Unsent, Rule::Unsettled, Rule::Unjudged],
    ),
    (
        "a read that nobody asked for is answered",
        |lines| lines.retain(|line| !matches!(line.note, Note::Read { .. })),
        &[Rule::Unjudged],
    ),
];

#[test]
fn the_run_itself_is_clean() {
    let counts = assert_clean(run()).counts;
    assert_eq!((counts.settled, counts.duplicates, counts.reads), (3, 1, 2));
}

#[test]
fn every_fault_breaks_its_rules_and_no_others() {
    for (what, doctor, rules) in CASES {
        let mut lines = run();
        doctor(&mut lines);
        let report = checked(lines);
        assert_eq!(broken(&report), *rules, "{what}: {:#?}", report.findings);
        for finding in &report.findings {
            assert!(!finding.text.is_empty(), "{what}");
            assert!(finding.lines.iter().all(|line| *line >= 2), "{what}: {finding:?}");
        }
    }
}

#[test]
fn every_rule_has_a_fault_that_breaks_it() {
    for rule in Rule::ALL {
        assert!(CASES.iter().any(|(_, _, rules)| rules.contains(&rule)), "{rule}");
    }
}

#[test]
fn a_finding_names_the_lines_that_show_it() {
    let mut lines = run();
    let line = shown(&mut lines, "ann-1", "a4");
    lines.insert(line, lines[line].clone());
    let report = checked(lines);
    let [finding] = report.findings.as_slice() else { panic!("{report:#?}") };
    assert_eq!(finding.lines, [line + 2, line + 3]);
    assert_eq!((finding.team.as_str(), finding.client.as_deref()), ("demo", Some("ann-1")));
}

#[test]
fn findings_are_bounded_and_all_counted() {
    let mut lines = run();
    history(&mut lines).retain(|event| event.kind != kind::POSTED);
    let options = Options { findings_per_rule_max: 2, ..Options::default() };
    let report = check(&Recording::of(7, lines), &options);
    let lost = report.by_rule.iter().find(|count| count.rule == Rule::Lost).unwrap();
    assert_eq!(lost.findings, 9);
    assert_eq!(report.findings.iter().filter(|finding| finding.rule == Rule::Lost).count(), 2);
    assert!(report.total() > report.findings.len() as u64);
}

#[test]
fn what_is_to_settle_is_up_to_the_options() {
    let mut lines = run();
    lines.retain(|line| !matches!(line.note, Note::Settled { .. }));
    let options = Options { expect_settled: false, ..Options::default() };
    assert!(check(&Recording::of(7, lines), &options).is_clean());
}

#[test]
fn the_bound_of_a_removal_is_up_to_the_options() {
    let lines = run();
    let strict = Options { revocation_bound: Duration::ZERO, ..Options::default() };
    assert!(check(&Recording::of(7, lines.clone()), &strict).is_clean());
    let mut lines = lines;
    // cid sends on, a moment after being removed.
    let end = find(&lines, |line| line.client == "cid-1" && matches!(line.note, Note::Ended { .. }));
    let last = history(&mut lines).last().unwrap().seq;
    history(&mut lines).push(EventNote { prev_seq: Some(last), ..message(last + 1, "cid", "late") });
    insert(&mut lines, end, end, Note::Send { team: "demo".into(), client_id: "late".into(), digest: digest("late") });
    let report = check(&Recording::of(7, lines.clone()), &strict);
    assert!(broken(&report).contains(&Rule::SentAfterRemoval), "{report:#?}");
    assert!(!broken(&checked(lines)).contains(&Rule::SentAfterRemoval));
}

#[test]
fn the_bound_of_a_removal_is_narrower_where_nothing_was_broken() {
    let options = Options { calm_revocation_bound: Some(Duration::from_secs(5)), ..Options::default() };
    // cid sends again 10 s after being removed, and is taken.
    let doctored = |fault_at_us: Option<u64>| {
        let mut lines = run();
        let removal = find(&lines, |line| matches!(&line.note, Note::MembershipChange { kind: Change::Removed, .. }));
        let removed_us = lines[removal].at_us;
        let last = history(&mut lines).last().unwrap().seq;
        history(&mut lines).push(EventNote { prev_seq: Some(last), ..message(last + 1, "cid", "late") });
        let end = find(&lines, |line| line.at_us > removed_us + 10_000_000);
        let send = Note::Send { team: "demo".into(), client_id: "late".into(), digest: digest("late") };
        let at_us = removed_us + 10_000_000;
        lines.insert(end, Line { at_us, client: "cid-1".into(), connection: 0, note: send });
        if let Some(at_us) = fault_at_us {
            let note = Note::Fault { row: "F1".into(), what: "gateway-0 killed".into() };
            lines.insert(0, Line { at_us: removed_us + at_us, client: "world".into(), connection: 0, note });
        }
        broken(&check(&Recording::of(7, lines), &options)).contains(&Rule::SentAfterRemoval)
    };
    assert!(doctored(None));
    assert!(!doctored(Some(1_000_000)), "not all may have been told");
    assert!(doctored(Some(4_000_000)), "all had been told");
}
