//! Owns who adds guests to their teams and removes them, again and again, and removes who leaves for good.

use std::time::Duration;

use anyhow::{Result, bail};
use huddle_proto::{
    directory::v1::{AddMemberRequest, RemoveMemberRequest},
    event::v1::Role,
    gateway::v1::ErrorCode,
};
use huddle_verify::recording::{Change, Note};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tonic::Status;

use super::{Phase, cast::AdminPlan, follower::code_of};
use crate::{Access, DirectoryClient, SERVICE_TOKEN, faults::recorder::Recorder, grpc};

/// How long a change may take before it is asked for again.
const CHANGE_BOUND: Duration = Duration::from_secs(8);
/// The wait before a change is asked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How often it is looked whether a leaver has had something accepted.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long a guest is a member, in milliseconds.
const STAY_MS: std::ops::Range<u64> = 4_000..9_000;
/// How long it is none, in milliseconds.
const ABSENCE_MS: std::ops::Range<u64> = 1_500..4_000;

pub(super) struct Admin {
    plan: AdminPlan,
    directory: DirectoryClient,
    recorder: Recorder,
    phase: watch::Receiver<Phase>,
    rng: StdRng,
    changes: u64,
}

impl Admin {
    pub(super) fn new(
        plan: &AdminPlan,
        access: &Access,
        recorder: Recorder,
        phase: watch::Receiver<Phase>,
    ) -> Result<Self> {
        Ok(Self {
            plan: plan.clone(),
            directory: grpc::vigilant_directory(access.directory_url(), SERVICE_TOKEN)?,
            recorder,
            phase,
            rng: StdRng::seed_from_u64(plan.seed),
            changes: 0,
        })
    }

    /// Ends when the run gets quiet, with every guest a member.
    pub(super) async fn run(mut self) -> Result<()> {
        for (team, leaver) in self.plan.leavers.clone() {
            while self.recorder.look(|board| board.clients().get(&leaver).is_none_or(|state| state.accepted == 0)) {
                if timeout(LOOK_INTERVAL, self.phase.wait_for(|phase| *phase >= Phase::Quiet)).await.is_ok() {
                    return Ok(());
                }
            }
            self.change(&team, &leaver, Change::Removed).await?;
        }
        if self.plan.guests.is_empty() {
            // Whoever told the phases may have gone: so has the run.
            let _ = self.phase.wait_for(|phase| *phase >= Phase::Quiet).await;
            return Ok(());
        }
        loop {
            if self.wait(STAY_MS).await {
                return Ok(());
            }
            let place = self.rng.random_range(0..self.plan.guests.len());
            let (team, guest) = self.plan.guests[place].clone();
            self.change(&team, &guest, Change::Removed).await?;
            self.wait(ABSENCE_MS).await;
            self.change(&team, &guest, Change::Added).await?;
        }
    }

    /// Whether the run got quiet meanwhile.
    async fn wait(&mut self, millis: std::ops::Range<u64>) -> bool {
        let wait = Duration::from_millis(self.rng.random_range(millis));
        timeout(wait, self.phase.wait_for(|phase| *phase >= Phase::Quiet)).await.is_ok()
    }

    /// Asks until it is done, each time under the same `client_id`.
    async fn change(&mut self, team: &str, user: &str, kind: Change) -> Result<()> {
        self.changes += 1;
        let client_id = format!("{}-{}", self.plan.name, self.changes);
        loop {
            match timeout(CHANGE_BOUND, self.ask(team, user, kind, &client_id)).await {
                Ok(Ok(seq)) => {
                    // 0 = an earlier attempt did it, and the answer to it was lost with its position.
                    if seq > 0 {
                        let note = Note::MembershipChange { team: team.to_owned(), user: user.to_owned(), seq, kind };
                        self.recorder.note(&self.plan.name, 0, note);
                    }
                    return Ok(());
                }
                Ok(Err(status)) if !may_be_repeated(&status) => {
                    bail!("{kind:?} {user} in {team}: {status}");
                }
                Ok(Err(_)) | Err(_) => {}
            }
            if *self.phase.borrow() == Phase::Stop {
                return Ok(());
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn ask(&mut self, team: &str, user: &str, kind: Change, client_id: &str) -> Result<u64, Status> {
        let (team, user, client_id) = (team.to_owned(), user.to_owned(), client_id.to_owned());
        Ok(match kind {
            Change::Added => {
                let request =
                    AddMemberRequest { team, user, role: Role::Member.into(), name: String::new(), client_id };
                self.directory.add_member(request).await?.into_inner().seq
            }
            Change::Removed => {
                let request = RemoveMemberRequest { team, user, client_id };
                self.directory.remove_member(request).await?.into_inner().seq
            }
        })
    }
}

/// What has no code of Huddle's is of the transport.
fn may_be_repeated(status: &Status) -> bool {
    ErrorCode::from_str_name(&code_of(status)).is_none_or(ErrorCode::is_retryable)
}
