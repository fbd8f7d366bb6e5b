//! Owns the wires of a cluster by the names of what they connect, and the handles that break them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{
    Dropped, Held, NatsMessage, Wire,
    hold::Hold,
    rules::{Dropper, Slow, Way},
};

/// The name that stands for all nodes of NATS.
const NATS: &str = "nats";

/// Which way bytes go between the two that a [`Link`] was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the one that was named first to the one that was named second.
    Forth,
    /// From the one that was named second to the one that was named first.
    Back,
}

/// All wires of a cluster. Processes are named `gateway-0`, `persistence-1`, `history-0`, `directory-0`, `n1` (a node of
/// NATS) and `postgres`; `gateway` and `persistence` stand for all of their role, and `nats` for all nodes.
#[derive(Debug, Default)]
pub struct Wires {
    wires: Vec<Between>,
}

#[derive(Debug, Clone)]
struct Between {
    /// Who connects.
    from: String,
    /// Who is connected to.
    to: String,
    wire: Wire,
}

impl Wires {
    /// Keeps the wire through which `from` connects to `to`.
    pub fn add(&mut self, from: &str, to: &str, wire: Wire) {
        self.wires.push(Between { from: from.to_owned(), to: to.to_owned(), wire });
    }

    /// All wires between two, whoever of them connects to the other.
    ///
    /// # Panics
    /// When there is none: the cluster is not wired, or a name is wrong.
    pub fn between(&self, first: &str, second: &str) -> Link {
        let link = self.link(|it| {
            let is_forth = is_named(&it.from, first) && is_named(&it.to, second);
            let is_back = is_named(&it.from, second) && is_named(&it.to, first);
            if is_forth || is_back { Some(is_back && !is_forth) } else { None }
        });
        assert!(!link.wires.is_empty(), "there is no wire between {first} and {second}");
        link
    }

    /// All wires between `name` and everybody else; [`Direction::Forth`] is what it says.
    ///
    /// # Panics
    /// When there is none: the cluster is not wired, or the name is wrong.
    pub fn around(&self, name: &str) -> Link {
        let link = self.link(|it| {
            let (says, hears) = (is_named(&it.from, name), is_named(&it.to, name));
            if says || hears { Some(!says) } else { None }
        });
        assert!(!link.wires.is_empty(), "there is no wire to {name}");
        link
    }

    /// All wires.
    pub fn all(&self) -> Link {
        self.link(|_| Some(false))
    }

    /// The wires for which `choose` says whether they are the other way round.
    fn link(&self, choose: impl Fn(&Between) -> Option<bool>) -> Link {
        let chosen = self.wires.iter().filter_map(|it| Some((it.wire.clone(), choose(it)?)));
        Link { wires: chosen.collect() }
    }
}

/// Whether the process `name` is meant by `pattern`.
fn is_named(name: &str, pattern: &str) -> bool {
    let number_after = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    let is_of_role = || name.strip_prefix(pattern).and_then(|rest| rest.strip_prefix('-')).is_some_and(number_after);
    let is_node = || pattern == NATS && name.strip_prefix('n').is_some_and(number_after);
    name == pattern || is_of_role() || is_node()
}

/// One or more wires, on which everything is done at once. It can be dropped: what was done stays until somebody heals it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Each with whether it connects the second to the first.
    wires: Vec<(Wire, bool)>,
}

impl From<&Wire> for Link {
    /// The one that connects is the first.
    fn from(wire: &Wire) -> Self {
        Self { wires: vec![(wire.clone(), false)] }
    }
}

impl Link {
    /// Resets every connection, and each new one as soon as it is made.
    pub fn cut(&self) -> &Self {
        self.each(|wire| wire.shared.cut())
    }

    /// Resets every connection that there is now; new ones are fine.
    pub fn reset(&self) -> &Self {
        self.each(|wire| wire.shared.reset())
    }

    /// A black hole: connections stay open, new ones seem to be made, and nothing gets through. When that is over, what was
    /// held arrives, as with TCP. Whoever gave up a new connection in the meantime is never heard of.
    pub fn silence(&self) -> &Self {
        self.each(|wire| wire.shared.silence(&Way::BOTH))
    }

    /// As [`Link::silence`], for what goes in one direction. New connections need both.
    pub fn silence_one_way(&self, direction: Direction) -> &Self {
        self.each_way(direction, |wire, way| wire.shared.silence(&[way]))
    }

    /// Every chunk arrives `latency`, give or take `jitter`, after it was sent, in order; and no more than so many bytes a
    /// second (if that is limited) in each direction of each connection.
    ///
    /// # Panics
    /// When the limit is zero.
    pub fn slow(&self, latency: Duration, jitter: Duration, bytes_per_second: impl Into<Option<u64>>) -> &Self {
        let bytes_per_second = bytes_per_second.into();
        assert_ne!(bytes_per_second, Some(0), "that would be silence");
        let slow = Slow { latency, jitter, bytes_per_second };
        self.each(|wire| wire.shared.slow(slow))
    }

    /// That share of chunks (0 to 1) is lost and has to be sent again: it and what follows it come later, by what TCP would
    /// wait. Together with [`Link::slow`], if that is wanted.
    pub fn lossy(&self, share: f64) -> &Self {
        self.each(|wire| wire.shared.lose(share.clamp(0.0, 1.0)))
    }

    /// Leads elsewhere from now on, as after a fail-over: connections that there are are reset. Healing does not change that.
    pub fn lead_to(&self, target: SocketAddr) -> &Self {
        self.each(|wire| wire.set_target(target)).reset()
    }

    /// Ends everything that was done to these wires, through this handle or another one.
    pub fn heal(&self) -> &Self {
        self.each(|wire| wire.shared.heal())
    }

    /// Leaves out those of the messages from NATS to its clients that `choose` chooses, until the wires heal. It is asked
    /// once for each message, in their order on each connection.
    ///
    /// # Panics
    /// When one of the wires does not lead from a client to NATS.
    pub fn drop_replies(&self, choose: impl FnMut(&NatsMessage<'_>) -> bool + Send + 'static) -> Dropped {
        self.drop_messages(Way::Down, choose)
    }

    /// As [`Link::drop_replies`], for what clients publish. A client learns nothing of it.
    ///
    /// # Panics
    /// When one of the wires does not lead from a client to NATS.
    pub fn drop_publishes(&self, choose: impl FnMut(&NatsMessage<'_>) -> bool + Send + 'static) -> Dropped {
        self.drop_messages(Way::Up, choose)
    }

    fn drop_messages(&self, way: Way, choose: impl FnMut(&NatsMessage<'_>) -> bool + Send + 'static) -> Dropped {
        let dropper = Dropper::new(choose);
        self.each(|wire| wire.shared.add_dropper(way, Arc::clone(&dropper)));
        Dropped::by(dropper)
    }

    /// Makes the first connection that carries `pattern` in `direction` stand still there: the chunk in which the pattern
    /// ends is not forwarded, nor what follows in that direction, until it is released or the connection dies. When one end
    /// of it goes away, the other one is reset, and what was held never arrives.
    ///
    /// # Panics
    /// When the pattern is empty or longer than 256 bytes.
    pub fn hold_at(&self, direction: Direction, pattern: &[u8]) -> Held {
        let hold = Hold::new(pattern);
        self.each_way(direction, |wire, way| wire.shared.add_hold(way, Arc::clone(&hold)));
        Held::of(hold)
    }

    fn each(&self, act: impl Fn(&Wire)) -> &Self {
        for (wire, _) in &self.wires {
            act(wire);
        }
        self
    }

    fn each_way(&self, direction: Direction, act: impl Fn(&Wire, Way)) -> &Self {
        for (wire, is_the_other_way_round) in &self.wires {
            let way = match direction {
                Direction::Forth => Way::Up,
                Direction::Back => Way::Down,
            };
            act(wire, if *is_the_other_way_round { way.other() } else { way });
        }
        self
    }
}
