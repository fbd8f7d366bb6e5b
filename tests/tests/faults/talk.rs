//! Owns people who write and read in one team, over all gateways, while something is broken; and what must be so in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use huddle_client::{Encoding, Followed, Follower, OutgoingMessage, Receipt, SendError, Sender, SenderOptions};
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

/// What one reader has seen, in the order in which it came.
type Seen = Arc<Mutex<Vec<(u64, Key)>>>;

/// Writers who never stop, and a reader at each gateway who began with the team.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) notes: Arc<Notes>,
    stop: watch::Sender<bool>,
    writers: JoinSet<Result<()>>,
    readers: JoinSet<()>,
    seen: Vec<Seen>,
}

impl Talk {
    /// Makes the team and lets its members begin.
    pub(crate) async fn start(access: &Access, gateways: usize, manner: Manner) -> Result<Self> {
        let members: Vec<String> = (0..manner.writers).map(writer).chain((0..=gateways).map(reader)).collect();
        access.create_team(TEAM, &members.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let mut talk = Self {
            notes: Arc::default(),
            stop: watch::Sender::new(false),
            writers: JoinSet::new(),
            readers: JoinSet::new(),
            seen: Vec::new(),
        };
        for gateway in 0..gateways {
            talk.read(access, gateway, &reader(gateway))?;
        }
        for number in 0..manner.writers {
            let client = access.client_options(number % gateways, &writer(number), Encoding::Proto)?;
            let sender = Sender::new(SenderOptions { client, in_flight_max: manner.in_flight });
            let writing = write(sender, writer(number), manner, Arc::clone(&talk.notes), talk.stop.subscribe());
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

    /// Sends nothing new, and waits until everything that was sent has its receipt.
    pub(crate) async fn fall_silent(&mut self) -> Result<()> {
        self.stop.send_replace(true);
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

        let gateways = self.seen.len();
        self.read(access, 0, &reader(gateways))?;
        for (number, seen) in self.seen.iter().enumerate() {
            let all = async || Ok((locked(seen).len() >= history.len()).then_some(()));
            let all = until("a reader has seen everything", PATIENCE, all).await;
            let seen = locked(seen).clone();
            let differs = seen.iter().zip(&history).position(|(seen, stored)| seen != stored);
            all.with_context(|| format!("reader {number}: {} of {}; {differs:?}", seen.len(), history.len()))?;
            ensure!(seen == history, "reader {number} has seen something else, from event {differs:?} on");
        }
        Ok(posted.len())
    }

    fn read(&mut self, access: &Access, gateway: usize, user: &str) -> Result<()> {
        let options = access.client_options(gateway, user, Encoding::Proto)?;
        let mut follower = Follower::new(options, TeamId::parse(TEAM)?, Some(Seq::ZERO));
        let seen = Seen::default();
        self.seen.push(Arc::clone(&seen));
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
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let note = |(key, outcome): (Key, Result<u64, SendError>)| {
        let seq = outcome.with_context(|| format!("{key:?}"))?;
        locked(&notes.receipts).push((Instant::now(), key, seq));
        anyhow::Ok(())
    };
    let mut under_way = FuturesUnordered::new();
    for number in 0.. {
        while under_way.len() >= manner.in_flight {
            tokio::select! {
                Some(outcome) = under_way.next() => note(outcome)?,
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if *stop.borrow() {
            break;
        }
        let id = format!("{user}-{number}");
        let message = OutgoingMessage::new(TeamId::parse(TEAM)?, format!("{id:x<width$}", width = manner.body_bytes));
        let message = OutgoingMessage { client_id: ClientId::parse(&id)?, ..message };
        let key = (user.clone(), id);
        locked(&notes.sent).insert(key.clone());
        let pending = sender.start_send(message, manner.receipt).await?;
        under_way.push(async move { (key, pending.receipt().await.map(|accepted| accepted.seq.get())) });
    }
    while let Some(outcome) = under_way.next().await {
        note(outcome)?;
    }
    Ok(())
}

fn key_of(event: &StoredEvent) -> Key {
    (event.sender.clone(), event.client_id.clone())
}

fn writer(number: usize) -> String {
    format!("writer-{number}")
}

fn reader(number: usize) -> String {
    format!("reader-{number}")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
