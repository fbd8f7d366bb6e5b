//! Lets the changes of one team happen one after another, within this process.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use huddle_domain::TeamId;
use huddle_grpc::{CallError, Deadline};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout_at,
};

/// How many changes can be under way at once. Teams share turns by hash, so their number is bounded, and a team waits for
/// another one rarely.
const TURNS: usize = 256;

/// The turn to change a team, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

/// Turns to change a team.
#[derive(Debug)]
pub(crate) struct Turns {
    // Tokio's mutex: a turn is held while store and log are asked. It is fair, so no caller starves.
    turns: Box<[Arc<Mutex<()>>]>,
    hasher: RandomState,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { turns: (0..TURNS).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }

    /// Waits for the turn to change `team`.
    pub(crate) async fn take(&self, team: &TeamId, deadline: &Deadline) -> Result<Turn, CallError> {
        // The remainder is below `TURNS`, which fits any integer type.
        let place = usize::try_from(self.hasher.hash_one(team) % TURNS as u64).unwrap_or_default();
        let turn = timeout_at(deadline.waits_end(), Arc::clone(&self.turns[place]).lock_owned()).await;
        turn.map(Turn).map_err(|_| {
            Refusal::new(ErrorCode::Overloaded, "other changes of the team are still under way; retry").into()
        })
    }
}
