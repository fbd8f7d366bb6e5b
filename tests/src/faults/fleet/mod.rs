//! Owns the clients of a run: they follow teams and send for ever, over whatever happens, and note down everything.

mod admin;
mod approach;
mod cast;
mod events;
mod follower;
mod native;
mod outbox;
mod reader;
mod socketio;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use super::recorder::Recorder;
use crate::Access;
pub use cast::{FleetOptions, Teams};
pub(super) use events::event_note;
use events::unknown_event_note;

/// How long clients may take to close their connections at the end.
const STOP_BOUND: Duration = Duration::from_secs(20);

/// What the clients have been told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Follow, send, read.
    Run,
    /// Send nothing new; repeat what is not acknowledged; follow.
    Quiet,
    /// Close.
    Stop,
}

/// Clients at work. They end when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    teams: Teams,
    phase: watch::Sender<Phase>,
    clients: JoinSet<Result<()>>,
    /// Readers and whoever changes members: they end when the run gets quiet.
    visitors: JoinSet<Result<()>>,
    _approach: approach::Approach,
}

impl Fleet {
    /// Creates the teams, named after `segment`, and starts the clients.
    pub(super) async fn start(
        access: &Access,
        options: &FleetOptions,
        segment: u32,
        seed: u64,
        recorder: &Recorder,
    ) -> Result<Self> {
        let cast = cast::Cast::of(options, segment, seed);
        access.create_teams(&cast.members).await.context("cannot create the teams of the fleet")?;
        let phase = watch::Sender::new(Phase::Run);
        let (mut clients, mut visitors) = (JoinSet::new(), JoinSet::new());
        let approach = approach::Approach::start(access, options.front).await?;
        let gateways = &approach.addresses;
        for plan in &cast.natives {
            let client = native::Native::new(plan, access, gateways, recorder.clone(), phase.subscribe())?;
            recorder.expect(&plan.name, plan.place());
            clients.spawn(client.run());
        }
        if !cast.socketio.is_empty() {
            for plan in &cast.socketio {
                recorder.expect(&plan.name, plan.place());
            }
            let node = socketio::SocketIo::start(&cast.socketio, access, gateways, recorder.clone()).await?;
            clients.spawn(node.run(phase.subscribe()));
        }
        for plan in &cast.followers {
            recorder.expect(&plan.name, plan.place());
            let follower = follower::Follower::new(plan, access, recorder.clone(), phase.subscribe())?;
            clients.spawn(follower.run());
        }
        for plan in &cast.readers {
            let reader = reader::Reader::new(plan, access, recorder.clone(), phase.subscribe())?;
            visitors.spawn(reader.run());
        }
        if let Some(plan) = &cast.admin {
            let admin = admin::Admin::new(plan, access, recorder.clone(), phase.subscribe())?;
            visitors.spawn(admin.run());
        }
        Ok(Self { teams: cast.members, phase, clients, visitors, _approach: approach })
    }

    /// The teams with their members.
    pub fn teams(&self) -> &BTreeMap<String, Vec<String>> {
        &self.teams
    }

    /// Lets nobody send anything new, nor read, and waits until all guests are members.
    pub(super) async fn quiet(&mut self, deadline: Instant) -> Result<()> {
        self.phase.send_replace(Phase::Quiet);
        timeout_at(deadline, all_ended(&mut self.visitors)).await.context("members cannot be changed in time")?
    }

    /// Fails when a client has ended by itself: they are to go on for ever.
    pub(super) fn ensure_alive(&mut self) -> Result<()> {
        for clients in [&mut self.clients, &mut self.visitors] {
            if let Some(ended) = clients.try_join_next() {
                ended.context("a client of the fleet panicked")?.context("a client of the fleet failed")?;
                bail!("a client of the fleet ended by itself");
            }
        }
        Ok(())
    }

    /// Lets all close, and waits until they have.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.phase.send_replace(Phase::Stop);
        timeout(STOP_BOUND, all_ended(&mut self.clients)).await.context("clients of the fleet do not close")?
    }
}

async fn all_ended(clients: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = clients.join_next().await {
        ended.context("a client of the fleet panicked")?.context("a client of the fleet failed")?;
    }
    Ok(())
}
