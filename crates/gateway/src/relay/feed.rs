//! One team's live events: taken from the log, made contiguous, handed to every worker that wants them.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture};
use huddle_bus::SignalFeed;
use huddle_domain::{Contiguity, Event, Seq, Step, TeamId};
use huddle_log::{LiveFeed, LiveItem};
use huddle_proto::Refusal;
use huddle_service::backoff::Backoff;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};

use super::{Delivery, Recent, Relay, WorkerId, recheck::Recheck, unavailable};
use crate::{labellab::Typing, worker::WorkerMessage};

/// How long filling a gap is tried before the feed is given up and its subscribers are told to start again.
const FILL_PATIENCE: Duration = Duration::from_secs(10);
const FILL_BACKOFF_BASE: Duration = Duration::from_millis(50);
const FILL_BACKOFF_CAP: Duration = Duration::from_secs(1);
/// Most feeds that stay without anybody attached.
const LINGERING_MAX: usize = 4_096;
/// Signals of one team that are passed on in each period: more than people can follow. Each goes to all members.
const SIGNALS_PER_PERIOD_MAX: usize = 10;
const SIGNALS_PERIOD: Duration = Duration::from_secs(1);

/// What workers ask of a feed.
#[derive(Debug)]
pub(super) enum Command {
    /// Send this worker the events, from the position in the reply on; with `people`, the people behind them, too.
    Attach { worker: WorkerId, people: bool, reply: oneshot::Sender<Attached> },
    /// One subscription of this worker less.
    Detach { worker: WorkerId, people: bool },
}

/// The feed's position, and what it keeps of the events up to there.
pub(super) type Attached = Result<(Seq, Arc<Recent>), Refusal>;

struct Feed {
    relay: Arc<Relay>,
    team: TeamId,
    recent: Arc<Recent>,
    /// Workers, by how many of their subscriptions are attached.
    attached: HashMap<WorkerId, (usize, mpsc::Sender<WorkerMessage>)>,
    place: Contiguity,
    /// The last event that was handed out, or where the feed began.
    shown: Seq,
    /// While nobody is attached: how long the feed stays.
    lingering: Option<Lingering>,
    /// Attached subscriptions that show people.
    people: usize,
    /// Signals that were passed on in the period that ends then.
    signals_passed: usize,
    signals_until: Instant,
}

/// Follows `team` until the last subscription has left, or until the flow cannot be kept whole.
pub(super) async fn run(relay: Arc<Relay>, team: TeamId, mut commands: mpsc::Receiver<Command>) {
    relay.metrics.feeds.inc();
    match open(&relay, &team).await {
        Ok((live, last)) => {
            relay.memberships.follow(&team, last);
            let mut feed = Feed {
                relay: Arc::clone(&relay),
                team: team.clone(),
                recent: Arc::new(Recent::after(last, Arc::clone(&relay.budget))),
                attached: HashMap::new(),
                place: Contiguity::after(last),
                shown: last,
                lingering: None,
                people: 0,
                signals_passed: 0,
                signals_until: Instant::now(),
            };
            let outcome = feed.follow(live, &mut commands).await;
            relay.memberships.unfollow(&team);
            relay.forget(&team, &mut commands);
            if let Err(refusal) = outcome {
                relay.metrics.feeds_broken.inc();
                tracing::warn!(%team, reason = %refusal, "live feed given up");
                feed.end(&refusal).await;
            }
        }
        Err(refusal) => {
            relay.forget(&team, &mut commands);
            while let Some(command) = commands.recv().await {
                if let Command::Attach { reply, .. } = command {
                    // The subscriber may have gone away.
                    let _ = reply.send(Err(refusal.clone()));
                }
            }
        }
    }
    relay.metrics.feeds.dec();
}

/// The signals of a team. Events never wait for them.
#[derive(Default)]
enum Signals {
    #[default]
    None,
    Opening(BoxFuture<'static, Option<SignalFeed>>),
    Open(SignalFeed),
}

impl Signals {
    /// The next one; waits for ever where there are none. Cancel safe.
    async fn next(&mut self) -> Bytes {
        loop {
            match self {
                Self::None => std::future::pending().await,
                // Without them nothing is missing that anybody keeps; the next subscription tries again.
                Self::Opening(opening) => *self = opening.await.map_or(Self::None, Self::Open),
                Self::Open(feed) => match feed.next().await {
                    Some(signal) => return signal,
                    None => *self = Self::None,
                },
            }
        }
    }
}

/// First the live events, then the position: what is not on the feed is at or below the position.
async fn open(relay: &Relay, team: &TeamId) -> Result<(LiveFeed, Seq), Refusal> {
    let failed = |error: huddle_log::LogError| {
        tracing::warn!(%team, %error, "cannot follow the team");
        unavailable()
    };
    let live = relay.log.subscribe(team).await.map_err(failed)?;
    let last = relay.log.last_seq(team).await.map_err(failed)?;
    Ok((live, last.unwrap_or(Seq::ZERO)))
}

impl Feed {
    async fn follow(&mut self, mut live: LiveFeed, commands: &mut mpsc::Receiver<Command>) -> Result<(), Refusal> {
        let mut signals = Signals::default();
        let mut recheck = Recheck::new(self.place.last());
        let relay = Arc::clone(&self.relay);
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Attach { worker, people, reply }) => {
                        self.attach(worker, people, reply);
                        self.follow_signals(&mut signals);
                    }
                    Some(Command::Detach { worker, people }) => {
                        self.detach(worker, people);
                        self.follow_signals(&mut signals);
                        if self.attached.is_empty() {
                            self.lingering = Lingering::begin(&self.relay);
                        }
                    }
                    None => return Ok(()),
                },
                item = live.next() => match item {
                    Some(LiveItem::Event(event)) => self.take(event).await?,
                    Some(LiveItem::Interrupted) => self.catch_up().await?,
                    None => return Err(unavailable()),
                },
                signal = signals.next() => self.take_signal(&signal),
                () = recheck.missed(&relay, &self.team, self.place.last()) => {
                    let shown = self.shown;
                    self.catch_up().await?;
                    // Otherwise what lay beyond was not for showing.
                    if self.shown > shown {
                        self.relay.metrics.feeds_behind.inc();
                        tracing::warn!(team = %self.team, "the live feed had lost the team's last events");
                    }
                }
                () = linger(self.lingering.as_ref(), &relay), if self.attached.is_empty() && commands.is_empty() => {
                    return Ok(());
                }
            }
        }
    }

    fn attach(&mut self, worker: WorkerId, people: bool, reply: oneshot::Sender<Attached>) {
        let Some(sender) = self.relay.worker(worker) else { return };
        if reply.send(Ok((self.place.last(), Arc::clone(&self.recent)))).is_err() {
            return;
        }
        self.lingering = None;
        self.attached.entry(worker).or_insert((0, sender)).0 += 1;
        self.people += usize::from(people);
    }

    fn detach(&mut self, worker: WorkerId, people: bool) {
        self.people = self.people.saturating_sub(usize::from(people));
        if let Some((count, _)) = self.attached.get_mut(&worker) {
            *count -= 1;
            if *count == 0 {
                self.attached.remove(&worker);
            }
        }
    }

    async fn take(&mut self, event: Arc<Event>) -> Result<(), Refusal> {
        match self.place.judge(&event) {
            Step::Seen => Ok(()),
            Step::Next => {
                self.show(event).await;
                Ok(())
            }
            Step::Gap { .. } => {
                self.fill(event.known_through()).await?;
                if event.seq > self.place.last() {
                    self.show(event).await;
                }
                Ok(())
            }
        }
    }

    /// After an interruption: whatever the log holds beyond this feed's position is read again.
    async fn catch_up(&mut self) -> Result<(), Refusal> {
        let mut backoff = Backoff::new(FILL_BACKOFF_BASE, FILL_BACKOFF_CAP);
        let started = Instant::now();
        let last = loop {
            match self.relay.log.last_seq(&self.team).await {
                Ok(last) => break last.unwrap_or(Seq::ZERO),
                Err(error) if started.elapsed() > FILL_PATIENCE => {
                    tracing::warn!(team = %self.team, %error, "cannot tell whether events were missed");
                    return Err(unavailable());
                }
                Err(_) => {
                    let delay = backoff.next_delay(&mut rand::rng());
                    sleep(delay).await;
                }
            }
        };
        if last > self.place.last() { self.fill(last).await } else { Ok(()) }
    }

    /// Hands out the events after this feed's position, at least up to `through`.
    async fn fill(&mut self, through: Seq) -> Result<(), Refusal> {
        self.relay.metrics.gaps_filled.inc();
        let mut backoff = Backoff::new(FILL_BACKOFF_BASE, FILL_BACKOFF_CAP);
        let started = Instant::now();
        while self.place.last() < through {
            match self.relay.page(&self.team, &self.recent, self.place.last(), through).await {
                Ok(page) => {
                    for delivery in &page.deliveries {
                        self.dispatch(delivery.following(self.shown)).await;
                    }
                    self.place.advance(page.through);
                    self.recent.advance(page.through);
                }
                Err(refusal) if refusal.code.is_retryable() && started.elapsed() < FILL_PATIENCE => {
                    let delay = backoff.next_delay(&mut rand::rng());
                    sleep(delay).await;
                }
                Err(_) => return Err(unavailable()),
            }
        }
        Ok(())
    }

    /// Hands out the next live event. What lies between it and the one before may not be for showing, and past this feed's
    /// position already: the chain of those that are shown has no hole.
    async fn show(&mut self, event: Arc<Event>) {
        self.dispatch(Arc::new(Delivery::new(event, None)).following(self.shown)).await;
    }

    async fn dispatch(&mut self, delivery: Arc<Delivery>) {
        let event = &delivery.event;
        self.place.advance(event.seq);
        self.shown = event.seq;
        self.relay.memberships.observe(event);
        self.relay.names.observe(event);
        self.relay.metrics.events_relayed.inc();
        if self.people > 0
            && let Some(name) = self.relay.names.of([&event.sender]).await.remove(&event.sender)
        {
            delivery.name_sender(name);
        }
        self.recent.push(Arc::clone(&delivery));
        self.tell(|| WorkerMessage::Deliver(Arc::clone(&delivery))).await;
    }

    /// Follows who is typing while anybody is shown it.
    fn follow_signals(&self, signals: &mut Signals) {
        if self.people == 0 {
            *signals = Signals::None;
        } else if matches!(signals, Signals::None) {
            let (bus, team) = (Arc::clone(&self.relay.bus), self.team.clone());
            *signals = Signals::Opening(Box::pin(async move { bus.signals(&team).await.ok() }));
        }
    }

    /// Passes a signal on where there is room; what is too much is dropped.
    fn take_signal(&mut self, payload: &Bytes) {
        let now = Instant::now();
        if now >= self.signals_until {
            (self.signals_until, self.signals_passed) = (now + SIGNALS_PERIOD, 0);
        }
        let Some(typing) = Typing::decode(payload).map(Arc::new) else { return };
        if self.signals_passed >= SIGNALS_PER_PERIOD_MAX {
            return;
        }
        self.signals_passed += 1;
        for (_, worker) in self.attached.values() {
            // A worker without room has events to deliver.
            let _ = worker.try_send(WorkerMessage::Typing { team: self.team.clone(), typing: Arc::clone(&typing) });
        }
    }

    async fn end(&self, refusal: &Refusal) {
        self.tell(|| WorkerMessage::EndTeam { team: self.team.clone(), refusal: refusal.clone() }).await;
    }

    /// Waits while a worker's queue is full: the feed's own buffer fills up then, and what it drops is read again from
    /// history. A worker that is gone has no connections.
    async fn tell(&self, message: impl Fn() -> WorkerMessage) {
        for (_, worker) in self.attached.values() {
            let _ = worker.send(message()).await;
        }
    }
}

/// A feed's stay without anybody attached, counted among those of all feeds.
struct Lingering {
    relay: Arc<Relay>,
    until: Instant,
}

impl Lingering {
    /// `None` when too many stay already.
    fn begin(relay: &Arc<Relay>) -> Option<Self> {
        let lingering: &AtomicUsize = &relay.lingering;
        if lingering.fetch_add(1, Ordering::Relaxed) >= LINGERING_MAX {
            lingering.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self { relay: Arc::clone(relay), until: Instant::now() + relay.linger })
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        self.relay.lingering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until a feed without anybody attached has stayed long enough. Cancel safe.
async fn linger(lingering: Option<&Lingering>, relay: &Relay) {
    if let Some(lingering) = lingering {
        tokio::select! {
            () = sleep_until(lingering.until) => {}
            () = relay.shutdown.soft().cancelled() => {}
        }
    }
}
