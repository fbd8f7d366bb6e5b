//! Owns clients that follow a team over gRPC, from their cursor, one stream after the other.

use std::time::Duration;

use anyhow::{Context as _, Result};
use huddle_domain::Event;
use huddle_proto::history::v1::{StreamEventsRequest, stream_events_response::Item};
use huddle_verify::recording::{Note, Sees};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{sync::watch, time::timeout};
use tonic::{Status, Streaming};

use super::{Phase, cast::Plan, event_note};
use crate::{Access, HistoryClient, faults::recorder::Recorder, grpc};

/// How long the beginning of a stream may take.
const OPEN_BOUND: Duration = Duration::from_secs(5);
/// The wait before the next stream, in milliseconds.
const REOPEN_PAUSE_MS: std::ops::Range<u64> = 100..600;
/// What answers.
const HISTORY: &str = "history-0";

pub(super) struct Follower {
    name: String,
    team: String,
    cursor: u64,
    history: HistoryClient,
    recorder: Recorder,
    phase: watch::Receiver<Phase>,
    rng: StdRng,
    connection: u32,
}

impl Follower {
    pub(super) fn new(plan: &Plan, access: &Access, recorder: Recorder, phase: watch::Receiver<Phase>) -> Result<Self> {
        Ok(Self {
            name: plan.name.clone(),
            team: plan.teams.first().context("a follower without a team")?.clone(),
            cursor: 0,
            history: grpc::vigilant_history(access.history_url(), &access.token(&plan.name)?)?,
            recorder,
            phase,
            rng: StdRng::seed_from_u64(plan.seed),
            connection: 0,
        })
    }

    pub(super) async fn run(mut self) -> Result<()> {
        loop {
            let request = StreamEventsRequest { team: self.team.clone(), after: self.cursor, min_seq: 0 };
            if let Ok(Ok(stream)) = timeout(OPEN_BOUND, self.history.stream_events(request)).await {
                let (user, gateway) = (self.name.clone(), HISTORY.to_owned());
                self.note(Note::Connected { user, gateway, sees: Sees::Events });
                self.note(Note::Subscribe { team: self.team.clone(), after: Some(self.cursor) });
                let reason = self.follow(stream.into_inner()).await?;
                self.note(Note::Disconnected { reason });
                self.connection += 1;
            }
            let pause = Duration::from_millis(self.rng.random_range(REOPEN_PAUSE_MS));
            if let Ok(stopped) = timeout(pause, self.phase.wait_for(|phase| *phase == Phase::Stop)).await {
                // Whoever told the phases may have gone: so has the run.
                drop(stopped);
                return Ok(());
            }
        }
    }

    /// Until the stream ends; says why it did.
    async fn follow(
        &mut self,
        mut stream: Streaming<huddle_proto::history::v1::StreamEventsResponse>,
    ) -> Result<String> {
        let mut phase = self.phase.clone();
        loop {
            let item = tokio::select! {
                item = stream.message() => item,
                _ = phase.wait_for(|phase| *phase == Phase::Stop) => return Ok("the run ends".to_owned()),
            };
            match item {
                Ok(Some(response)) => match response.item {
                    Some(Item::Event(event)) => {
                        let event = Event::try_from(event).context("history sent what is no event")?;
                        self.cursor = event.seq.get().max(self.cursor);
                        self.note(Note::Event(event_note(&event)));
                    }
                    Some(Item::CaughtUp(caught_up)) => {
                        self.cursor = caught_up.seq.max(self.cursor);
                        self.note(Note::CaughtUp { team: self.team.clone(), seq: caught_up.seq });
                    }
                    None => {}
                },
                Ok(None) => return Ok("history ended the stream".to_owned()),
                Err(status) => return Ok(code_of(&status)),
            }
        }
    }

    fn note(&self, note: Note) {
        self.recorder.note(&self.name, self.connection, note);
    }
}

/// The stable code of a failed call; gRPC's own where Huddle gave none.
pub(super) fn code_of(status: &Status) -> String {
    let code = status.metadata().get(huddle_proto::ERROR_CODE_METADATA).and_then(|code| code.to_str().ok());
    code.map_or_else(|| format!("{:?}", status.code()), str::to_owned)
}
