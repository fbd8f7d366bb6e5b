//! Sending: the one path from a user's message to the log, for every protocol that users speak.

mod prior;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use huddle_domain::{Body, ClientId, EventKind, NewEvent, Seq, Tags, TeamId, UserId};
use huddle_log::{Condition, Log, Pending, PublishError, Published};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use uuid::Uuid;

use crate::{memberships::Memberships, metrics::GatewayMetrics, upstream::Membership};
pub(crate) use prior::PriorSends;

/// How often it is told that the log is full: senders retry, and the log of the process may be on the same disk.
const FULL_TOLD_EVERY: Duration = Duration::from_secs(10);

/// A message that a user wants to send.
#[derive(Debug)]
pub(crate) struct NewSend {
    pub(crate) team: TeamId,
    pub(crate) sender: UserId,
    /// `None` = the user does not care for retries.
    pub(crate) client_id: Option<ClientId>,
    pub(crate) body: Body,
    pub(crate) tags: Tags,
}

/// Where a message stands in the log.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) team: TeamId,
    pub(crate) client_id: ClientId,
    pub(crate) seq: Seq,
    pub(crate) duplicate: bool,
}

/// A send that has its place in the order, and whose outcome is not known yet (or is, for a retry).
#[derive(Debug)]
pub(crate) struct Started {
    team: TeamId,
    client_id: ClientId,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Known(Published),
    Pending(Pending),
}

/// Sends on behalf of users whose identity has been established.
#[derive(Debug)]
pub(crate) struct Sends {
    log: Arc<dyn Log>,
    memberships: Arc<Memberships>,
    prior: PriorSends,
    metrics: GatewayMetrics,
    // Held for a comparison; a full log is rare.
    full_told: Mutex<Option<Instant>>,
}

impl Sends {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        memberships: Arc<Memberships>,
        prior: PriorSends,
        metrics: GatewayMetrics,
    ) -> Self {
        Self { log, memberships, prior, metrics, full_told: Mutex::default() }
    }

    /// Starts `sends`, one result each. Those of one team get their positions in this order; a caller that
    /// awaits this before it starts more keeps the order of those, too.
    ///
    /// A send under a key that is stored already is answered with the first one's position, access permitting, even
    /// where a new send would be refused.
    pub(crate) async fn start(&self, sends: Vec<NewSend>) -> Vec<Result<Started, Refusal>> {
        let mut admitted = Vec::with_capacity(sends.len());
        let mut keys = Vec::new();
        for send in sends {
            let membership = self.memberships.check(&send.team, &send.sender).await;
            // A key that was made just now cannot be in the store. A log that knows keys for good finds the others itself,
            // where it is asked: an archived team's retries have their answer, too.
            let archived = membership.as_ref().is_ok_and(|membership| membership.team_archived);
            let look_up = send.client_id.is_some() && (archived || self.log.duplicate_window().is_some());
            let event = NewEvent {
                team: send.team,
                sender: send.sender,
                client_id: send.client_id.unwrap_or_else(new_client_id),
                kind: EventKind::Posted { body: send.body, tags: send.tags },
            };
            if membership.is_ok() && look_up {
                keys.push(event.key());
            }
            admitted.push((event, membership));
        }
        let earlier = if keys.is_empty() { Arc::default() } else { self.prior.find(keys).await };
        let mut started = Vec::with_capacity(admitted.len());
        for (event, membership) in admitted {
            started.push(match membership {
                Ok(membership) => self.start_one(event, membership, &earlier).await,
                Err(refusal) => Err(refusal),
            });
        }
        started
    }

    async fn start_one(
        &self,
        event: NewEvent,
        membership: Membership,
        earlier: &prior::Found,
    ) -> Result<Started, Refusal> {
        let (team, client_id) = (event.team.clone(), event.client_id.clone());
        let outcome = match earlier.get(&event.key()) {
            Some(first) if first.is_same_send(&event) => Outcome::Known(Published { seq: first.seq, duplicate: true }),
            Some(_) => return Err(conflict()),
            None if membership.team_archived => {
                return Err(Refusal::new(ErrorCode::TeamArchived, "the team is archived and takes no messages"));
            }
            None => {
                Outcome::Pending(self.log.publish(event, Condition::None).await.map_err(|error| self.refusal(error))?)
            }
        };
        Ok(Started { team, client_id, outcome })
    }

    /// Waits for the outcome of a send. Dropping the future does not undo the send.
    pub(crate) async fn finish(&self, started: Started) -> Result<Accepted, Refusal> {
        let Started { team, client_id, outcome } = started;
        let published = match outcome {
            Outcome::Known(published) => published,
            Outcome::Pending(pending) => pending.await.map_err(|error| self.refusal(error))?,
        };
        self.metrics.sends_accepted.inc();
        Ok(Accepted { team, client_id, seq: published.seq, duplicate: published.duplicate })
    }
}

impl Sends {
    fn refusal(&self, error: PublishError) -> Refusal {
        if matches!(error, PublishError::Full) {
            self.metrics.sends_refused_log_full.inc();
            let mut told = self.full_told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.is_none_or(|told| told.elapsed() >= FULL_TOLD_EVERY) {
                *told = Some(Instant::now());
                tracing::error!("the log is full and refuses messages");
            }
        }
        refusal(error)
    }
}

fn new_client_id() -> ClientId {
    let text = Uuid::now_v7().simple().to_string();
    // 32 hexadecimal digits are an id.
    ClientId::parse(&text).unwrap_or_else(|_| unreachable!("a UUID is an id"))
}

fn conflict() -> Refusal {
    Refusal::new(ErrorCode::Conflict, "the client_id was used for something else; take a new one")
}

fn refusal(error: PublishError) -> Refusal {
    match error {
        PublishError::Conflict { .. } => conflict(),
        PublishError::Full => Refusal::new(ErrorCode::Unavailable, "the log is full; retry under the same client_id"),
        PublishError::Refused { reason } => {
            tracing::warn!(%reason, "the log refuses a message");
            Refusal::new(ErrorCode::TooLarge, "the message is too large")
        }
        PublishError::Unavailable { source } => {
            tracing::warn!(%source, "a message's outcome is unknown");
            let message = "the message may or may not have been taken; retry under the same client_id";
            Refusal::new(ErrorCode::Unavailable, message)
        }
        PublishError::NotFirst => Refusal::new(ErrorCode::Internal, "something went wrong inside; retry"),
    }
}
