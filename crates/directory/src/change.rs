//! The way of a change: take the team's turn, let the store catch up with the log, see whether the change was made by an
//! earlier call, judge it, publish it, wait until it is stored.

use huddle_auth::Identity;
use huddle_domain::{ClientId, EventKind, NewEvent, Role, Seq, TeamId, UserId};
use huddle_grpc::{Call, CallError, Deadline};
use huddle_log::{Condition, PublishError};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use huddle_store::{Fence, Team};
use uuid::Uuid;

use crate::{authorise, directory::Directory, turns::Turn};

/// A change that a caller asks for.
pub(crate) struct Change {
    pub(crate) team: TeamId,
    pub(crate) kind: EventKind,
    /// As the caller sent it; empty = one is made.
    pub(crate) client_id: String,
    /// The member whom it is about.
    pub(crate) member: Option<UserId>,
}

/// What a change is judged by: everything that is in the team's log.
pub(crate) struct Standing {
    pub(crate) team: Team,
    /// What the caller is in the team.
    pub(crate) caller: Role,
    /// What the member whom the change is about is in the team; `None` when that is no member.
    pub(crate) member: Option<Role>,
    /// Whether that member is the team's only owner.
    pub(crate) is_last_owner: bool,
}

/// What becomes of a change that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is published.
    Publish,
    /// It is in force already, so nothing is.
    InForce,
}

/// A change that was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changed {
    /// The event's position; 0 when there was nothing to do.
    pub(crate) seq: Seq,
    /// Whether it is stored, not only accepted.
    pub(crate) stored: bool,
}

impl Standing {
    /// Refuses changes of an archived team.
    pub(crate) fn require_active(&self) -> Result<(), Refusal> {
        if self.team.archived { Err(Refusal::new(ErrorCode::TeamArchived, "the team is archived")) } else { Ok(()) }
    }

    /// Refuses to take the last owner away.
    pub(crate) fn require_another_owner(&self) -> Result<(), Refusal> {
        if self.is_last_owner {
            Err(Refusal::new(ErrorCode::LastOwner, "a team keeps at least one owner"))
        } else {
            Ok(())
        }
    }
}

impl Directory {
    /// Makes `change` if `judge` allows it.
    pub(crate) async fn change(
        &self,
        call: &Call,
        change: Change,
        judge: impl FnOnce(&Standing) -> Result<Verdict, Refusal> + Send,
    ) -> Result<Changed, CallError> {
        let Change { team, kind, client_id, member } = change;
        let sender = match &call.identity {
            Identity::User(token) => token.user.clone(),
            Identity::Service => service_sender()?,
        };
        let is_retry_possible = !client_id.is_empty();
        let event = NewEvent { team, sender, client_id: client_id_or_new(&client_id)?, kind };

        let turn = self.turns.take(&event.team, &call.deadline).await?;
        let caught_up = self.catch_up(&event.team, &call.deadline).await;
        if is_retry_possible && let Some(changed) = self.earlier(&event, &call.deadline).await? {
            return Ok(changed);
        }
        // Who may not know of the team learns nothing of how far it is stored.
        let standing = match caught_up {
            Ok(last) => {
                let standing = |fence| self.standing(call, &event.team, member.as_ref(), fence);
                self.stored.read(&event.team, last, &call.deadline, standing).await
            }
            Err(error) => Err(error),
        };
        let standing = match standing {
            Err(error) if error.code() != ErrorCode::NotFound => {
                self.standing(call, &event.team, member.as_ref(), None).await?;
                return Err(error);
            }
            standing => standing?,
        };
        match judge(&standing)? {
            Verdict::InForce => Ok(Changed { seq: Seq::ZERO, stored: true }),
            Verdict::Publish => {
                let team = event.team.clone();
                let seq = self.publish(turn, event, Condition::None, &call.deadline).await?;
                Ok(self.changed(&team, seq, &call.deadline).await)
            }
        }
    }

    /// Waits until the store holds everything that the log holds of `team`, and returns how far that goes: 0 when the log
    /// holds none of its events (any longer), so that all that there were are stored.
    pub(crate) async fn catch_up(&self, team: &TeamId, deadline: &Deadline) -> Result<Seq, CallError> {
        let last = deadline.bound(self.log.last_seq(team)).await?.unwrap_or(Seq::ZERO);
        self.stored.read(team, last, deadline, |fence| self.teams.team(team, fence)).await?;
        Ok(last)
    }

    /// What became of `event` when an earlier call published it; the same key with other content is a conflict.
    pub(crate) async fn earlier(&self, event: &NewEvent, deadline: &Deadline) -> Result<Option<Changed>, CallError> {
        let found = deadline.bound(self.events.find_sends(&[event.key()])).await?;
        match found.first() {
            None => Ok(None),
            Some(earlier) if earlier.is_same_send(event) => Ok(Some(Changed { seq: earlier.seq, stored: true })),
            Some(_) => Err(conflict().into()),
        }
    }

    /// Publishes `event` and waits for its position. The turn lasts until the log has decided, even where the caller has
    /// gone by then: the next change is judged by what became of this one.
    pub(crate) async fn publish(
        &self,
        turn: Turn,
        event: NewEvent,
        condition: Condition,
        deadline: &Deadline,
    ) -> Result<Seq, CallError> {
        let publish = async { self.log.publish(event, condition).await.map_err(publish_error) };
        let pending = deadline.bound(publish).await?;
        let decided = tokio::spawn(async move {
            let outcome = pending.await;
            drop(turn);
            outcome
        });
        let decided = async {
            match decided.await {
                Ok(outcome) => outcome.map_err(publish_error),
                Err(error) => Err(CallError::caused(ErrorCode::Internal, "something went wrong inside", error)),
            }
        };
        Ok(deadline.bound(decided).await?.seq)
    }

    /// Waits, as long as the deadline allows, until the change at `seq` is stored.
    pub(crate) async fn changed(&self, team: &TeamId, seq: Seq, deadline: &Deadline) -> Changed {
        // Why it cannot be said to be stored makes no difference: it is in the log, and will be.
        Changed { seq, stored: self.stored.reach(team, seq, deadline).await.is_ok() }
    }

    async fn standing(
        &self,
        call: &Call,
        team: &TeamId,
        member: Option<&UserId>,
        fence: Option<Fence>,
    ) -> Result<Standing, CallError> {
        let (caller, team) = authorise::role_in(&*self.teams, call, team, fence).await?;
        let member = match member {
            Some(user) => {
                let membership = call.deadline.bound(self.teams.membership(&team.team, user, fence)).await?;
                membership.map(|found| found.role)
            }
            None => None,
        };
        let is_last_owner =
            member == Some(Role::Owner) && call.deadline.bound(self.teams.owner_count(&team.team, fence)).await? <= 1;
        Ok(Standing { team, caller, member, is_last_owner })
    }
}

/// Reads the argument `client_id`; makes one when it is empty.
pub(crate) fn client_id_or_new(text: &str) -> Result<ClientId, Refusal> {
    let made;
    let text = if text.is_empty() {
        made = Uuid::now_v7().simple().to_string();
        &made
    } else {
        text
    };
    ClientId::parse(text).map_err(|error| Refusal::new(ErrorCode::InvalidId, format!("`client_id`: {error}")))
}

fn service_sender() -> Result<UserId, CallError> {
    UserId::parse(UserId::SERVICE)
        .map_err(|error| CallError::caused(ErrorCode::Internal, "the service has no sender", error))
}

fn conflict() -> Refusal {
    Refusal::new(ErrorCode::Conflict, "the client_id was used for something else")
}

fn publish_error(error: PublishError) -> CallError {
    match error {
        PublishError::Conflict { .. } => conflict().into(),
        PublishError::NotFirst => Refusal::new(ErrorCode::TeamExists, "there is, or was, a team of that id").into(),
        PublishError::Refused { reason } => Refusal::new(ErrorCode::InvalidArgument, reason).into(),
        PublishError::Full => CallError::caused(ErrorCode::Unavailable, "the log is full; retry later", error),
        PublishError::Unavailable { .. } => CallError::caused(
            ErrorCode::Unavailable,
            "the log cannot be reached and the outcome is unknown; retry with the same client_id",
            error,
        ),
    }
}
