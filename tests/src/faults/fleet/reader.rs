//! Owns clients that read history and want to see what was accepted just now.

use std::time::Duration;

use anyhow::Result;
use huddle_domain::Event;
use huddle_proto::history::v1::ListEventsRequest;
use huddle_verify::recording::{EventNote, Note, Sees};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{Phase, cast::Plan, event_note, follower::code_of};
use crate::{Access, HistoryClient, faults::recorder::Recorder, grpc};

/// How long a read may take.
const READ_BOUND: Duration = Duration::from_secs(5);
/// The wait between two reads, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 200..600;
/// The largest page that is asked for.
const PAGE: u32 = 100;

pub(super) struct Reader {
    name: String,
    teams: Vec<String>,
    history: HistoryClient,
    recorder: Recorder,
    phase: watch::Receiver<Phase>,
    rng: StdRng,
    reads: u64,
}

impl Reader {
    pub(super) fn new(plan: &Plan, access: &Access, recorder: Recorder, phase: watch::Receiver<Phase>) -> Result<Self> {
        Ok(Self {
            name: plan.name.clone(),
            teams: plan.teams.clone(),
            history: grpc::vigilant_history(access.history_url(), &access.token(&plan.name)?)?,
            recorder,
            phase,
            rng: StdRng::seed_from_u64(plan.seed),
            reads: 0,
        })
    }

    pub(super) async fn run(mut self) -> Result<()> {
        let (user, gateway) = (self.name.clone(), "history-0".to_owned());
        self.note(Note::Connected { user, gateway, sees: Sees::Events });
        let mut phase = self.phase.clone();
        tokio::select! {
            outcome = self.read_for_ever() => outcome,
            _ = phase.wait_for(|phase| *phase >= Phase::Quiet) => Ok(()),
        }
    }

    async fn read_for_ever(&mut self) -> Result<()> {
        loop {
            sleep(Duration::from_millis(self.rng.random_range(PAUSE_MS))).await;
            let team = self.teams[self.rng.random_range(0..self.teams.len())].clone();
            let accepted = self.recorder.recently_accepted(&team);
            // What became known last, and a cursor from a little before.
            let Some(min_seq) = accepted.last().copied() else { continue };
            let after = accepted[self.rng.random_range(0..accepted.len())].min(min_seq).saturating_sub(1);
            self.read(team, after, min_seq).await?;
        }
    }

    async fn read(&mut self, team: String, after: u64, min_seq: u64) -> Result<()> {
        let read = self.reads;
        self.reads += 1;
        self.note(Note::Read { read, team: team.clone(), after, min_seq });
        let mut request = tonic::Request::new(ListEventsRequest { team, after, limit: PAGE, min_seq });
        request.set_timeout(READ_BOUND);
        match timeout(READ_BOUND, self.history.list_events(request)).await {
            Ok(Ok(response)) => {
                let page = response.into_inner();
                let events = page.events.into_iter().map(|event| Ok(event_note(&Event::try_from(event)?)));
                let events = events.collect::<Result<Vec<EventNote>>>()?;
                self.note(Note::ReadDone { read, events, has_more: page.has_more });
            }
            Ok(Err(status)) => self.note(Note::ReadRefused { read, code: code_of(&status) }),
            Err(_) => self.note(Note::ReadRefused { read, code: "no answer in time".to_owned() }),
        }
        Ok(())
    }

    fn note(&self, note: Note) {
        self.recorder.note(&self.name, 0, note);
    }
}
