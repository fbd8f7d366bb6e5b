//! Owns what a wire does to the connections that go through it.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    hold::Hold,
    nats::{Malformed, NatsMessage, Splitter},
};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From whoever connected to the target.
    Up,
    /// From the target to whoever connected.
    Down,
}

impl Way {
    pub(super) const BOTH: [Self; 2] = [Self::Up, Self::Down];

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// What is spoken on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Anything: bytes.
    Any,
    /// The protocol of NATS's clients.
    Nats,
}

/// How slow a wire is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slow {
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) bytes_per_second: Option<u64>,
}

/// What holds for all connections of a wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Where connections go; without one they are reset.
    pub(super) target: Option<SocketAddr>,
    pub(super) is_cut: bool,
    /// Connections that began before this number changed are reset.
    pub(super) resets: u64,
    silent_up: bool,
    silent_down: bool,
    pub(super) slow: Option<Slow>,
    /// The share of chunks that have to be sent again.
    pub(super) loss: f64,
}

impl Rules {
    const fn calm(target: Option<SocketAddr>, resets: u64) -> Self {
        Self { target, is_cut: false, resets, silent_up: false, silent_down: false, slow: None, loss: 0.0 }
    }

    pub(super) fn is_silent(&self, way: Way) -> bool {
        match way {
            Way::Up => self.silent_up,
            Way::Down => self.silent_down,
        }
    }

    pub(super) fn is_silent_at_all(&self) -> bool {
        self.silent_up || self.silent_down
    }

    fn silence(&mut self, way: Way) {
        match way {
            Way::Up => self.silent_up = true,
            Way::Down => self.silent_down = true,
        }
    }
}

type Choice = Box<dyn FnMut(&NatsMessage<'_>) -> bool + Send>;

/// Leaves out NATS messages that a predicate chooses, and counts them. What several wires share.
pub(super) struct Dropper {
    choose: Mutex<Choice>,
    count: watch::Sender<u64>,
}

impl fmt::Debug for Dropper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dropper").field("count", &*self.count.borrow()).finish_non_exhaustive()
    }
}

impl Dropper {
    pub(super) fn new(choose: impl FnMut(&NatsMessage<'_>) -> bool + Send + 'static) -> Arc<Self> {
        Arc::new(Self { choose: Mutex::new(Box::new(choose)), count: watch::Sender::new(0) })
    }

    fn drops(&self, message: &NatsMessage<'_>) -> bool {
        let is_chosen = (*locked(&self.choose))(message);
        if is_chosen {
            self.count.send_modify(|count| *count += 1);
        }
        is_chosen
    }
}

/// Messages that are left out. It goes on until the wire heals, whether this value is kept or not.
#[derive(Debug, Clone)]
pub struct Dropped {
    dropper: Arc<Dropper>,
}

impl Dropped {
    pub(super) fn by(dropper: Arc<Dropper>) -> Self {
        Self { dropper }
    }

    /// How many messages have been left out so far.
    pub fn count(&self) -> u64 {
        *self.dropper.count.borrow()
    }

    /// Waits until that many have been left out.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn reached(&self, count: u64) {
        // The sender is in the dropper.
        let _ = self.dropper.count.subscribe().wait_for(|it| *it >= count).await;
    }
}

/// What a wire, the handles on it and its connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) protocol: Protocol,
    pub(super) rules: watch::Sender<Rules>,
    filters: Mutex<Filters>,
}

#[derive(Debug, Default)]
struct Filters {
    holds: Vec<(Way, Arc<Hold>)>,
    droppers: Vec<(Way, Arc<Dropper>)>,
}

impl Shared {
    pub(super) fn new(protocol: Protocol, target: Option<SocketAddr>) -> Self {
        Self { protocol, rules: watch::Sender::new(Rules::calm(target, 0)), filters: Mutex::default() }
    }

    pub(super) fn cut(&self) {
        self.rules.send_modify(|rules| {
            rules.is_cut = true;
            rules.resets += 1;
        });
    }

    pub(super) fn reset(&self) {
        self.rules.send_modify(|rules| rules.resets += 1);
    }

    pub(super) fn silence(&self, ways: &[Way]) {
        self.rules.send_modify(|rules| {
            for way in ways {
                rules.silence(*way);
            }
        });
    }

    pub(super) fn slow(&self, slow: Slow) {
        self.rules.send_modify(|rules| rules.slow = Some(slow));
    }

    pub(super) fn lose(&self, share: f64) {
        self.rules.send_modify(|rules| rules.loss = share);
    }

    pub(super) fn set_target(&self, target: SocketAddr) {
        self.rules.send_modify(|rules| rules.target = Some(target));
    }

    pub(super) fn heal(&self) {
        let Filters { holds, .. } = std::mem::take(&mut *self.filters());
        for (_, hold) in holds {
            hold.end();
        }
        self.rules.send_modify(|rules| {
            *rules = Rules::calm(rules.target, rules.resets);
        });
    }

    pub(super) fn add_hold(&self, way: Way, hold: Arc<Hold>) {
        self.filters().holds.push((way, hold));
    }

    /// # Panics
    /// When the wire does not carry NATS's protocol.
    pub(super) fn add_dropper(&self, way: Way, dropper: Arc<Dropper>) {
        assert_eq!(self.protocol, Protocol::Nats, "only NATS's messages can be left out");
        self.filters().droppers.push((way, dropper));
    }

    /// The holds that a connection has to look out for.
    pub(super) fn holds(&self, way: Way) -> Vec<Arc<Hold>> {
        let mut filters = self.filters();
        filters.holds.retain(|(_, hold)| !hold.is_over());
        filters.holds.iter().filter(|(it, _)| *it == way).map(|(_, hold)| Arc::clone(hold)).collect()
    }

    /// What of `chunk` goes on.
    pub(super) fn filtered(&self, way: Way, splitter: &mut Splitter, chunk: &[u8]) -> Result<Vec<u8>, Malformed> {
        match self.protocol {
            Protocol::Any => Ok(chunk.to_owned()),
            Protocol::Nats => {
                let droppers: Vec<_> = self.filters().droppers.iter().filter(|(it, _)| *it == way).cloned().collect();
                splitter.pass(chunk, |message| droppers.iter().any(|(_, dropper)| dropper.drops(message)))
            }
        }
    }

    fn filters(&self) -> MutexGuard<'_, Filters> {
        locked(&self.filters)
    }
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
