//! Random honest runs are clean; one random fault in them is found.

use std::{collections::BTreeMap, time::Duration};

use huddle_verify::{
    Rule,
    recording::{Change, EventNote, Line, Note, Sees, digest, kind},
};

use crate::model::{World, assert_clean, broken, checked};

const SEEDS: u64 = 150;
const STEPS: usize = 250;
const TEAMS: [&str; 2] = ["red", "blue"];
const CLIENTS: [(&str, &str, Sees); 6] = [
    ("ann-1", "ann", Sees::Events),
    ("ann-2", "ann", Sees::Messages),
    ("bob-1", "bob", Sees::Events),
    ("cid-1", "cid", Sees::Messages),
    ("cid-2", "cid", Sees::Events),
    ("dan-1", "dan", Sees::Events),
];

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// Clients that send, read, come and go, are removed and added, over a service that keeps its word.
fn honest_run(seed: u64) -> Vec<Line> {
    let mut random = Random(seed);
    let mut world = World::new();
    for team in TEAMS {
        world.team(team, &["ann", "bob", "cid", "dan"]);
    }
    for (name, user, sees) in CLIENTS {
        world.connect(name, user, sees);
        for team in TEAMS {
            let from_now = random.one_in(3);
            world.subscribe(name, team, from_now);
        }
    }
    // Sends whose outcome their client does not know, to be tried again.
    let mut unknown: Vec<(&str, &str, String)> = Vec::new();
    let mut sent: Vec<(&str, &str, String)> = Vec::new();
    for step in 0..STEPS {
        let (name, user, _) = random.pick(&CLIENTS);
        let team = random.pick(&TEAMS);
        if random.one_in(40) {
            world.wait(Duration::from_secs(100));
        }
        match random.below(12) {
            0 => leave_or_come(&mut world, &mut random, name),
            1 => {
                let member = random.pick(&["bob", "cid", "dan"]);
                let change = if world.is_member(team, member) { Change::Removed } else { Change::Added };
                if change == Change::Added || random.one_in(2) {
                    world.change(team, member, change);
                }
            }
            2 if world.is_member(team, user) && !sent.is_empty() => {
                let (_, team, _) = sent[random.below(sent.len())].clone();
                let seq = world.last_seq(team);
                let (after, limit) = (seq.saturating_sub(random.next() % 40), 1 + random.below(30));
                if world.is_member(team, user) {
                    world.read(name, team, after, if random.one_in(2) { seq } else { 0 }, limit);
                }
            }
            3 if !unknown.is_empty() => {
                let index = random.below(unknown.len());
                let (name, team, id) = unknown[index].clone();
                let user = CLIENTS.iter().find(|client| client.0 == name).unwrap().1;
                if world.is_connected(name) && world.is_member(team, user) {
                    world.send(name, team, &id);
                    unknown.remove(index);
                    sent.push((name, team, id));
                }
            }
            4 if !sent.is_empty() => {
                let (name, team, id) = sent[random.below(sent.len())].clone();
                let user = CLIENTS.iter().find(|client| client.0 == name).unwrap().1;
                if world.is_connected(name) && world.is_member(team, user) {
                    world.send(name, team, &id);
                }
            }
            5..=9 if world.is_connected(name) && world.is_member(team, user) => {
                let ids: Vec<String> = (0..=random.below(3)).map(|part| format!("s{step}-{part}")).collect();
                for id in &ids {
                    world.begin_send(name, team, id);
                }
                for id in ids {
                    match random.below(8) {
                        0 => unknown.push((name, team, id)),
                        1 => {
                            world.take(name, team, &id);
                            unknown.push((name, team, id));
                        }
                        2 => {
                            world.refuse(name, team, &id, true);
                            unknown.push((name, team, id));
                        }
                        _ => {
                            let taken = world.take(name, team, &id);
                            world.receipt(name, team, &id, taken);
                            if random.one_in(2) {
                                world.stored(name, team, taken.0);
                            }
                            sent.push((name, team, id));
                        }
                    }
                }
            }
            _ => {
                let count = 1 + random.below(5);
                world.deliver(name, team, count);
            }
        }
        resubscribe(&mut world, &mut random);
    }
    world.finish()
}

fn leave_or_come(world: &mut World, random: &mut Random, name: &str) {
    if !world.is_connected(name) {
        world.reconnect(name);
    } else if random.one_in(2) {
        world.disconnect(name);
    }
}

fn resubscribe(world: &mut World, random: &mut Random) {
    for (name, user, _) in CLIENTS {
        for team in TEAMS {
            let wants = world.is_connected(name) && !world.is_live(name, team) && world.is_member(team, user);
            if wants && random.one_in(4) {
                world.subscribe(name, team, false);
            }
        }
    }
}

/// The events that each line of `lines` shows, by index.
fn events(lines: &[Line]) -> Vec<(usize, &EventNote)> {
    let shown = lines.iter().enumerate().filter_map(|(index, line)| match &line.note {
        Note::Event(event) => Some((index, event)),
        _ => None,
    });
    shown.collect()
}

/// Pairs of lines that show one subscription two events, one after the other.
fn neighbours(lines: &[Line]) -> Vec<(usize, usize)> {
    let mut last = BTreeMap::new();
    let mut pairs = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let of = |team: &String| (line.client.clone(), line.connection, team.clone());
        match &line.note {
            Note::Subscribe { team, .. } | Note::CaughtUp { team, .. } => drop(last.remove(&of(team))),
            Note::Event(event) => {
                if let Some(before) = last.insert(of(&event.team), index) {
                    pairs.push((before, index));
                }
            }
            _ => {}
        }
    }
    pairs
}

fn accepted(lines: &[Line]) -> Vec<(usize, u64)> {
    let accepted = lines.iter().enumerate().filter_map(|(index, line)| match &line.note {
        Note::Accepted { seq, .. } => Some((index, *seq)),
        _ => None,
    });
    accepted.collect()
}

fn histories(lines: &mut [Line]) -> Vec<&mut Vec<EventNote>> {
    let histories = lines.iter_mut().filter_map(|line| match &mut line.note {
        Note::History { events, .. } => Some(events),
        _ => None,
    });
    histories.collect()
}

fn drop_row(lines: &mut [Line], seq: u64) {
    for events in histories(lines) {
        events.retain(|event| event.seq != seq);
    }
}

fn any_history<'l>(lines: &'l mut [Line], random: &mut Random) -> &'l mut Vec<EventNote> {
    let mut histories = histories(lines);
    let which = random.below(histories.len());
    histories.swap_remove(which)
}

fn choose<T: Clone>(random: &mut Random, from: &[T]) -> Option<T> {
    (!from.is_empty()).then(|| from[random.below(from.len())].clone())
}

fn lines_that(lines: &[Line], is: impl Fn(&Line) -> bool) -> Vec<usize> {
    lines.iter().enumerate().filter(|(_, line)| is(line)).map(|(index, _)| index).collect()
}

/// Does one thing to the lines; `None` when the run has nothing that it can be done to.
type Mutation = (&'static str, fn(&mut Vec<Line>, &mut Random) -> Option<()>, Rule);

const MUTATIONS: &[Mutation] = &[
    (
        "drop an accepted row",
        |lines, random| {
            let (_, seq) = choose(random, &accepted(lines))?;
            drop_row(lines, seq);
            Some(())
        },
        Rule::Lost,
    ),
    (
        "drop a stored row",
        |lines, random| {
            let stored = lines.iter().filter_map(|line| match line.note {
                Note::Stored { seq, .. } => Some(seq),
                _ => None,
            });
            let seq = choose(random, &stored.collect::<Vec<_>>())?;
            drop_row(lines, seq);
            Some(())
        },
        Rule::StoredLie,
    ),
    (
        "drop a change of members",
        |lines, random| {
            let changes = lines.iter().filter_map(|line| match line.note {
                Note::MembershipChange { seq, .. } => Some(seq),
                _ => None,
            });
            let seq = choose(random, &changes.collect::<Vec<_>>())?;
            drop_row(lines, seq);
            Some(())
        },
        Rule::Lost,
    ),
    (
        "repeat a row",
        |lines, random| {
            let events = any_history(lines, random);
            let mut copy = events[random.below(events.len())].clone();
            copy.seq = events.last()?.seq + 1;
            copy.prev_seq = None;
            events.push(copy);
            Some(())
        },
        Rule::Doubled,
    ),
    (
        "repeat an event",
        |lines, random| {
            let shown: Vec<usize> = events(lines).into_iter().map(|(index, _)| index).collect();
            let index = choose(random, &shown)?;
            lines.insert(index, lines[index].clone());
            Some(())
        },
        Rule::Doubled,
    ),
    (
        "show what is below the cursor",
        |lines, random| {
            let subscribed = lines_that(lines, |line| matches!(line.note, Note::Subscribe { after: Some(_), .. }));
            let index = choose(random, &subscribed)?;
            let Note::Subscribe { team, after: Some(after) } = &lines[index].note else { return None };
            let is_old = |event: &EventNote| event.team == *team && event.seq <= *after;
            let old = events(lines).into_iter().rfind(|(_, event)| is_old(event))?.1;
            let note = Note::Event(old.clone());
            lines.insert(index + 1, Line { note, ..lines[index].clone() });
            Some(())
        },
        Rule::Doubled,
    ),
    (
        "add a row that nobody sent",
        |lines, random| {
            let events = any_history(lines, random);
            let last = events.last()?.clone();
            let (client_id, digest) = (Some("phantom".to_owned()), Some(digest("phantom")));
            let (seq, kind, subject) = (last.seq + 1, kind::POSTED.to_owned(), None);
            let sender = "ann".to_owned();
            events.push(EventNote { seq, prev_seq: Some(last.seq), sender, client_id, digest, kind, subject, ..last });
            Some(())
        },
        Rule::Unsent,
    ),
    (
        "store another content",
        |lines, random| {
            let (_, seq) = choose(random, &accepted(lines))?;
            for event in histories(lines).into_iter().flatten().filter(|event| event.seq == seq) {
                event.digest = Some(digest("another"));
            }
            Some(())
        },
        Rule::Conflict,
    ),
    (
        "call no retry a duplicate",
        |lines, _| {
            let mut changed = None;
            for line in lines {
                if let Note::Accepted { duplicate, .. } = &mut line.note {
                    // The second receipt of a key: the first one had come before the retry began.
                    if *duplicate {
                        changed = Some(());
                    }
                    *duplicate = false;
                }
            }
            changed
        },
        Rule::Conflict,
    ),
    (
        "accept another content under a key",
        |lines, random| {
            // Retries that are answered right away, with no earlier attempt that the answer could be for.
            let mut waiting: BTreeMap<&str, i32> = BTreeMap::new();
            let mut retries = Vec::new();
            for (index, line) in lines.iter().enumerate() {
                match &line.note {
                    Note::Send { client_id, .. } => {
                        let next = lines.get(index + 1).map(|line| &line.note);
                        let answered =
                            matches!(next, Some(Note::Accepted { client_id: next, .. }) if next == client_id);
                        let is_retry = waiting.contains_key(client_id.as_str());
                        let others = waiting.entry(client_id).or_default();
                        if answered && is_retry && *others == 0 {
                            retries.push(index);
                        }
                        *others += 1;
                    }
                    Note::Accepted { client_id, .. } | Note::Refused { client_id, .. } => {
                        *waiting.entry(client_id).or_default() -= 1;
                    }
                    _ => {}
                }
            }
            let index = choose(random, &retries)?;
            let Note::Send { digest: sent, .. } = &mut lines[index].note else { return None };
            *sent = digest("another");
            Some(())
        },
        Rule::Conflict,
    ),
    (
        "swap two events",
        |lines, random| {
            let (one, other) = choose(random, &neighbours(lines))?;
            let note = lines[one].note.clone();
            lines[one].note = std::mem::replace(&mut lines[other].note, note);
            Some(())
        },
        Rule::Reordered,
    ),
    (
        "swap two rows",
        |lines, random| {
            let events = any_history(lines, random);
            let index = random.below(events.len() - 1);
            events.swap(index, index + 1);
            Some(())
        },
        Rule::Reordered,
    ),
    (
        "change what one client is shown",
        |lines, random| {
            let shown: Vec<usize> = events(lines).into_iter().map(|(index, _)| index).collect();
            let index = choose(random, &shown)?;
            let Note::Event(event) = &mut lines[index].note else { return None };
            event.sender = "eve".into();
            Some(())
        },
        Rule::Disagreement,
    ),
    (
        "show what does not exist",
        |lines, random| {
            let shown: Vec<usize> = events(lines).into_iter().map(|(index, _)| index).collect();
            let index = choose(random, &shown)?;
            let mut line = lines[index].clone();
            let Note::Event(event) = &mut line.note else { return None };
            event.seq = 9_000_000;
            lines.insert(index + 1, line);
            Some(())
        },
        Rule::Disagreement,
    ),
    (
        "leave an event out",
        |lines, random| {
            let (one, _) = choose(random, &neighbours(lines))?;
            lines.remove(one);
            Some(())
        },
        Rule::Gap,
    ),
    (
        "name a wrong predecessor",
        |lines, random| {
            let pairs: Vec<(usize, usize)> = neighbours(lines)
            .into_iter()
            .filter(|(one, _)| matches!(&lines[*one].note, Note::Event(event) if event.prev_seq.is_some_and(|prev_seq| prev_seq != 0)))
            .collect();
            let (one, other) = choose(random, &pairs)?;
            let Note::Event(EventNote { prev_seq: before, .. }) = lines[one].note.clone() else { return None };
            let Note::Event(event) = &mut lines[other].note else { return None };
            event.prev_seq = before;
            Some(())
        },
        Rule::Gap,
    ),
    (
        "settle too early",
        |lines, random| {
            let settled = lines_that(lines, |line| matches!(line.note, Note::Settled { .. }));
            let index = choose(random, &settled)?;
            let Note::Settled { cursor, .. } = &mut lines[index].note else { return None };
            *cursor = 1_000_000;
            Some(())
        },
        Rule::Unsettled,
    ),
    (
        "do not settle",
        |lines, random| {
            let settled = lines_that(lines, |line| matches!(line.note, Note::Settled { .. }));
            lines.remove(choose(random, &settled)?);
            Some(())
        },
        Rule::Unsettled,
    ),
    (
        "leave something out of a page",
        |lines, random| {
            let pages =
                lines_that(lines, |line| matches!(&line.note, Note::ReadDone { events, .. } if events.len() > 1));
            let index = choose(random, &pages)?;
            let Note::ReadDone { events, .. } = &mut lines[index].note else { return None };
            // The last one may be missing where nothing says that it must be there.
            events.remove(random.below(events.len() - 1));
            Some(())
        },
        Rule::StaleRead,
    ),
    (
        "show a removed member one more event",
        |lines, random| {
            let ended = lines.iter().enumerate().filter_map(|(index, line)| {
                let Note::Ended { team, .. } = &line.note else { return None };
                // Right before it, the client was shown the removal; those who see messages only were not.
                let Note::Event(removal) = &lines[index - 1].note else { return None };
                let is_removal = removal.kind == kind::MEMBER_REMOVED && lines[index - 1].client == line.client;
                let next = lines.iter().find_map(|line| match &line.note {
                    Note::History { team: of, events } if of == team => {
                        let mut later = events.iter().filter(|event| event.seq > removal.seq);
                        // The next one, unless it is the one that adds the user again.
                        later.next().filter(|event| event.subject != removal.subject).cloned()
                    }
                    _ => None,
                })?;
                is_removal.then_some((index, next))
            });
            // Whoever has been added again by then may see what was before.
            let is_removed = |index: usize, event: &EventNote| {
                !lines[..index].iter().any(|line| {
                    matches!(&line.note, Note::MembershipChange { team, user, seq, kind: Change::Added }
                        if *team == event.team && lines[index].client.starts_with(user) && *seq > event.seq)
                })
            };
            let ended: Vec<_> = ended.filter(|(index, next)| is_removed(*index, next)).collect();
            let (index, next) = choose(random, &ended)?;
            lines.insert(index + 1, Line { note: Note::Event(next), ..lines[index].clone() });
            Some(())
        },
        Rule::Leaked,
    ),
    (
        "take a removed member's send",
        |lines, random| {
            let removals = lines.iter().filter_map(|line| match &line.note {
                Note::MembershipChange { team, user, seq, kind: Change::Removed } => {
                    Some((line.at_us, team.clone(), user.clone(), *seq))
                }
                _ => None,
            });
            let (removed_us, team, user, removal) = choose(random, &removals.collect::<Vec<_>>())?;
            let (name, _, _) = *CLIENTS.iter().find(|client| client.1 == user)?;
            let at_us = removed_us + 61_000_000;
            // Right behind the removal, at a position that is free because other teams' events stand between.
            let events = histories(lines).into_iter().find(|events| events[0].team == team)?;
            let index = events.iter().position(|event| event.seq == removal)?;
            let is_free = events.get(index + 1).is_none_or(|next| next.seq > removal + 1);
            if !is_free {
                return None;
            }
            let (client_id, sent) = ("late".to_owned(), digest("late"));
            events.insert(
                index + 1,
                EventNote {
                    team: team.clone(),
                    seq: removal + 1,
                    prev_seq: None,
                    sender: user,
                    client_id: Some(client_id.clone()),
                    digest: Some(sent.clone()),
                    kind: kind::POSTED.to_owned(),
                    subject: None,
                },
            );
            let note = Note::Send { team, client_id, digest: sent };
            let end = lines.len() - TEAMS.len();
            lines.insert(end, Line { at_us, client: name.to_owned(), connection: 0, note });
            Some(())
        },
        Rule::SentAfterRemoval,
    ),
    (
        "forget a history",
        |lines, random| {
            let histories = lines_that(lines, |line| matches!(line.note, Note::History { .. }));
            lines.remove(choose(random, &histories)?);
            Some(())
        },
        Rule::Unjudged,
    ),
];

#[test]
fn random_honest_runs_are_clean() {
    let mut counts = huddle_verify::Counts::default();
    for seed in 0..SEEDS {
        let one = assert_clean(honest_run(seed)).counts;
        counts.duplicates += one.duplicates;
        counts.unknown += one.unknown;
        counts.connections += one.connections;
        counts.reads += one.reads;
    }
    // The runs are not clean because nothing happens in them.
    assert!(counts.duplicates > SEEDS && counts.unknown > SEEDS && counts.reads > SEEDS, "{counts:?}");
    assert!(counts.connections > SEEDS * CLIENTS.len() as u64, "{counts:?}");
}

#[test]
fn one_random_fault_is_found() {
    for (what, mutate, rule) in MUTATIONS {
        let mut applied = 0;
        for seed in 0..SEEDS / 10 {
            let mut lines = honest_run(seed);
            if mutate(&mut lines, &mut Random(seed ^ 0xfa17)).is_none() {
                continue;
            }
            applied += 1;
            let report = checked(lines);
            assert!(broken(&report).contains(rule), "{what}, seed {seed}: {:#?}", report.findings);
        }
        assert!(applied >= 3, "{what} could be done to {applied} runs only");
    }
}

#[test]
fn the_same_recording_gives_the_same_report() {
    for (what, mutate, _) in MUTATIONS {
        let mut lines = honest_run(3);
        mutate(&mut lines, &mut Random(3));
        let (one, other) = (checked(lines.clone()), checked(lines));
        assert_eq!(one.findings, other.findings, "{what}");
    }
}
