//! Owns people who write and read in one team, over all gateways, while something is broken; and what must be so in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use huddle_client::{Encoding, Followed, Follower, OutgoingMessage, Receipt, Sender, SenderOptions};
use huddle_domain::{ClientId, Seq, TeamId};
use huddle_tests::{Access, StoredEvent, until};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

pub(crate) const TEAM: &str = "team";
/// How long anything may take that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// Between two attempts of a reader who is refused.
const READER_PAUSE: Duration = Duration::from_millis(200);

/// Who talks, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Each gateway has its share.
    pub(crate) writers: usize,
    /// Messages that a writer has under way at once.
    pub(crate) in_flight: usize,
    pub(crate) body_bytes: usize,
    /// The receipt that a writer waits for.
    pub(crate) receipt: Receipt,
}

/// A message's sender and key.
pub(crate) type Key = (String, String);

/// The receipts of a talk, and what its readers have seen. Grows while they talk.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    sent: Mutex<BTreeSet<Key>>,
    receipts: Mutex<Vec<(Instant, Key, u64)>>,
}

impl Notes {
    /// Adds a message that somebody else sent, with its position.
    pub(crate) fn add(&self, key: Key, seq: u64) {
        locked(&self.sent).insert(key.clone());
        locked(&self.receipts).push((Instant::now(), key, seq));
    }

    pub(crate) fn receipts(&self) -> usize {
        locked(&self.receipts).len()
    }

    /// The position that each message was said to have.
    pub(crate) fn positions(&self) -> BTreeMap<Key, u64> {
        locked(&self.receipts).iter().map(|(_, key, seq)| (key.clone(), *seq)).collect()
    }

    /// The longest time without a receipt.
    pub(crate) fn longest_silence(&self) -> Duration {
        let receipts = locked(&self.receipts);
        receipts.windows(2).map(|pair| pair[1].0.duration_since(pair[0].0)).max().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Talk,
    Hold,
    Stop,
}

/// What one reader has seen, in the order in which it came.
type Seen = Arc<Mutex<Vec<(u64, Key)>>>;

/// What a reader who began after a position has seen.
type Reader = (Seq, Seen);

/// Writers who never stop, and a reader at each gateway who began with the team.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) notes: Arc<Notes>,
    phase: watch::Sender<Phase>,
    writers: JoinSet<Result<()>>,
    readers: JoinSet<()>,
    seen: Vec<Reader>,
}

impl Talk {
    /// Makes the team and lets its members begin.
    pub(crate) async fn start(access: &Access, gateways: usize, manner: Manner) -> Result<Self> {
        let members: Vec<String> = (0..manner.writers).map(writer).chain((0..gateways).map(reader)).collect();
        access.create_team(TEAM, &members.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let mut talk = Self {
            notes: Arc::default(),
            phase: watch::Sender::new(Phase::Talk),
            writers: JoinSet::new(),
            readers: JoinSet::new(),
            seen: Vec::new(),
        };
        for gateway in 0..gateways {
            talk.read(access, gateway, &reader(gateway), Seq::ZERO)?;
        }
        for number in 0..manner.writers {
            let client = access.client_options(number % gateways, &writer(number), Encoding::Proto)?;
            let sender = Sender::new(SenderOptions { client, in_flight_max: manner.in_flight });
            let writing = write(sender, writer(number), manner, Arc::clone(&talk.notes), talk.phase.subscribe());
            talk.writers.spawn(writing);
        }
        Ok(talk)
    }

    /// Waits until there are `count` receipts.
    pub(crate) async fn receipts(&mut self, count: usize) -> Result<()> {
        let what = format!("there are {count} receipts");
        let enough = until(&what, PATIENCE, async || Ok((self.notes.receipts() >= count).then_some(())));
        tokio::select! {
            enough = enough => enough,
            ended = self.writers.join_next() => ended.context("there are no writers")??,
        }
    }

    /// Sends nothing new until [`Talk::go_on`], and waits until everything that was sent has its receipt.
    pub(crate) async fn hold(&mut self) -> Result<()> {
        self.phase.send_replace(Phase::Hold);
        until("everything that was sent has its receipt", PATIENCE, async || {
            Ok((self.notes.receipts() == locked(&self.notes.sent).len()).then_some(()))
        })
        .await
    }

    pub(crate) fn go_on(&self) {
        self.phase.send_replace(Phase::Talk);
    }

    /// Sends nothing new any more, and waits until everything that was sent has its receipt.
    pub(crate) async fn fall_silent(&mut self) -> Result<()> {
        self.phase.send_replace(Phase::Stop);
        let silent = async {
            while let Some(ended) = self.writers.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, silent).await.context("not everything that was sent got its receipt")?
    }

    /// After everything is well and all is stored: what was acknowledged is in history at its position, everything that was
    /// sent is there once, nothing else is, and every reader has seen just that, also one who comes now. Returns the number
    /// of messages.
    pub(crate) async fn assert_whole(mut self, access: &Access) -> Result<usize> {
        self.fall_silent().await?;
        let stored = access.stored_events(TEAM).await?;
        let positions = self.notes.positions();
        let lost = lost(&positions, &stored);
        ensure!(
            lost.is_empty(),
            "{} of {} acknowledged are not in history: {:?}",
            lost.len(),
            positions.len(),
            lost[0]
        );
        let history: Vec<(u64, Key)> = stored.iter().map(|event| (event.seq, key_of(event))).collect();
        ensure!(history.is_sorted_by(|one, next| one.0 < next.0), "history is not in order");
        let posted: Vec<Key> = stored.iter().filter(|event| event.kind == "posted").map(key_of).collect();
        let distinct: BTreeSet<Key> = posted.iter().cloned().collect();
        ensure!(distinct.len() == posted.len(), "{} messages are there twice", posted.len() - distinct.len());
        let sent = locked(&self.notes.sent).clone();
        ensure!(
            distinct == sent,
            "{} messages were sent, and {} others or fewer are there",
            sent.len(),
            distinct.len()
        );

        self.read(access, 0, &reader(0), Seq::ZERO)?;
        for (number, (after, seen)) in self.seen.iter().enumerate() {
            let history: Vec<_> = history.iter().filter(|(seq, _)| *seq > after.get()).cloned().collect();
            let all = async || Ok((locked(seen).len() >= history.len()).then_some(()));
            let all = until("a reader has seen everything", PATIENCE, all).await;
            let seen = locked(seen).clone();
            let differs = seen.iter().zip(&history).position(|(seen, stored)| seen != stored);
            all.with_context(|| format!("reader {number}: {} of {}; {differs:?}", seen.len(), history.len()))?;
            ensure!(seen == history, "reader {number} has seen something else, from event {differs:?} on");
        }
        Ok(posted.len())
    }

    /// Adds a reader of everything after a position.
    pub(crate) fn read(&mut self, access: &Access, gateway: usize, user: &str, after: Seq) -> Result<()> {
        let options = access.client_options(gateway, user, Encoding::Proto)?;
        let mut follower = Follower::new(options, TeamId::parse(TEAM)?, Some(after));
        let seen = Seen::default();
        self.seen.push((after, Arc::clone(&seen)));
        self.readers.spawn(async move {
            loop {
                match follower.next().await {
                    Ok(Followed::Event(event)) => {
                        let key = (event.sender.to_string(), event.client_id.to_string());
                        locked(&seen).push((event.seq.get(), key));
                    }
                    Ok(_) => {}
                    Err(_) => sleep(READER_PAUSE).await,
                }
            }
        });
        Ok(())
    }
}

/// Those whose position holds something else, or nothing.
pub(crate) fn lost(positions: &BTreeMap<Key, u64>, stored: &[StoredEvent]) -> Vec<(Key, u64)> {
    let stored: BTreeMap<u64, Key> = stored.iter().map(|event| (event.seq, key_of(event))).collect();
    let is_lost = |(key, seq): &(&Key, &u64)| stored.get(*seq) != Some(*key);
    positions.iter().filter(is_lost).map(|(key, seq)| (key.clone(), *seq)).collect()
}

async fn write(
    sender: Sender,
    user: String,
    manner: Manner,
    notes: Arc<Notes>,
    mut phase: watch::Receiver<Phase>,
) -> Result<()> {
    let mut under_way = FuturesUnordered::new();
    let mut number = 0;
    loop {
        let present = *phase.borrow_and_update();
        if present == Phase::Talk && under_way.len() < manner.in_flight {
            let id = format!("{user}-{number}");
            number += 1;
            let message = OutgoingMessage::new(TeamId::parse(TEAM)?, body(&id, manner.body_bytes));
            let message = OutgoingMessage { client_id: ClientId::parse(&id)?, ..message };
            let key = (user.clone(), id);
            locked(&notes.sent).insert(key.clone());
            let pending = sender.start_send(message, manner.receipt).await?;
            under_way.push(async move { (key, pending.receipt().await) });
            continue;
        }
        if present == Phase::Stop && under_way.is_empty() {
            return Ok(());
        }
        tokio::select! {
            Some((key, outcome)) = under_way.next() => {
                let seq = outcome.with_context(|| format!("{key:?}"))?.seq.get();
                locked(&notes.receipts).push((Instant::now(), key, seq));
            }
            changed = phase.changed() => changed.context("the talk is over")?,
        }
    }
}

/// The text of the message `id`.
pub(crate) fn body(id: &str, bytes: usize) -> String {
    format!("{id:x<bytes$}")
}

fn key_of(event: &StoredEvent) -> Key {
    (event.sender.clone(), event.client_id.clone())
}

pub(crate) fn writer(number: usize) -> String {
    format!("writer-{number}")
}

pub(crate) fn reader(number: usize) -> String {
    format!("reader-{number}")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
