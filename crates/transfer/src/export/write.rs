//! From the store to the file: team after team, page after page.

use std::{io, path::Path};

use huddle_domain::{Event, Seq};
use huddle_store::EventStore;
use tokio::io::AsyncWrite;

use super::{
    ExportError, ExportOptions, Exported,
    part::Part,
    plan::{PAGE_EVENTS, plan, selected},
    sink::Sink,
};
use crate::{
    Progress, Step, TeamPlan,
    digest::write_line,
    format::{Line, Track, write_control},
};

/// Writes an export into `file`, which must not exist. Until it is whole, the file has `.part` behind its name; when the
/// export is interrupted, the same call goes on there, and what was stored in the meantime is not part of it.
pub async fn export_to_file(
    store: &dyn EventStore,
    options: &ExportOptions,
    file: &Path,
    progress: &mut dyn Progress,
) -> Result<Exported, ExportError> {
    let mut part = Part::open(file)?;
    let track = part.resume().await?;
    if let Some(track) = &track {
        check_is_same(store, options, track, &part).await?;
    }
    let path = part.path.clone();
    let failed = |source| ExportError::Write { file: path.clone(), source };
    let mut sink = Sink::file(&mut part.file);
    match export(store, options, track, &mut sink, progress, &failed).await {
        Ok(exported) => {
            part.complete()?;
            Ok(exported)
        }
        Err(error) => {
            part.remove_if_empty().await;
            Err(error)
        }
    }
}

/// Writes an export to `stream`, from beginning to end. `name` names it in errors.
pub async fn export_to_stream(
    store: &dyn EventStore,
    options: &ExportOptions,
    stream: &mut (dyn AsyncWrite + Unpin + Send),
    name: &str,
    progress: &mut dyn Progress,
) -> Result<Exported, ExportError> {
    let failed = |source| ExportError::Write { file: name.into(), source };
    export(store, options, None, &mut Sink::stream(stream), progress, &failed).await
}

/// Makes sure that an interrupted export was of the same teams and of the same store.
async fn check_is_same(
    store: &dyn EventStore,
    options: &ExportOptions,
    track: &Track,
    part: &Part,
) -> Result<(), ExportError> {
    let other = |other| Err(ExportError::OtherExport { part: part.path.clone(), other });
    if track.head().is_some_and(|head| head.selection != selected(options)) {
        return other("other teams");
    }
    if let Some(event) = track.last_event() {
        let before = Seq::new(event.seq.get() - 1);
        let stored = store.list_events(&event.team, before, 1, None).await?;
        if stored.items.first() != Some(event) {
            return other("another instance");
        }
    }
    Ok(())
}

/// Follows the format's own rules while writing: what could not be read again is not written.
struct Writer<'s, 'o> {
    track: Track,
    sink: &'s mut Sink<'o>,
}

impl Writer<'_, '_> {
    fn put(&mut self, line: &Line) -> Result<(), ExportError> {
        self.track.accept(line).map_err(|source| ExportError::Changed { source })?;
        write_control(self.sink.buffer(), line);
        Ok(())
    }

    fn put_event(&mut self, event: &Event) -> Result<(), ExportError> {
        let buffer = self.sink.buffer();
        let start = buffer.len();
        write_line(buffer, event);
        self.track.accept_written(event, &buffer[start..]).map_err(|source| ExportError::Changed { source })
    }
}

async fn export(
    store: &dyn EventStore,
    options: &ExportOptions,
    track: Option<Track>,
    sink: &mut Sink<'_>,
    progress: &mut dyn Progress,
    failed: &(dyn Fn(io::Error) -> ExportError + Sync),
) -> Result<Exported, ExportError> {
    let mut writer = Writer { track: Track::default(), sink };
    let continued = track.as_ref().map_or(0, Track::events);
    if let Some(track) = track {
        writer.track = track;
        tell_plan(&writer.track, progress);
        progress.step(Step::Continued { events: continued });
    } else {
        let (head, teams) = plan(store, options, progress).await?;
        writer.put(&Line::Head(head))?;
        for team in &teams {
            writer.put(&Line::Plan(team.clone()))?;
            writer.sink.relieve().await.map_err(failed)?;
        }
        tell_plan(&writer.track, progress);
    }
    while let Some(team) = writer.track.team().cloned() {
        export_team(store, &team, &mut writer, progress, failed).await?;
    }
    if !writer.track.is_ended() {
        let totals = writer.track.totals();
        writer.put(&Line::End(totals))?;
    }
    writer.sink.finish().await.map_err(failed)?;
    let totals = writer.track.totals();
    Ok(Exported { teams: totals.teams, events: totals.events, continued })
}

fn tell_plan(track: &Track, progress: &mut dyn Progress) {
    let events = track.head().map_or(0, |head| head.events);
    progress.step(Step::Planned { teams: track.plan().len() as u64, events });
}

/// Writes the team's events after the last one that is in the file, up to where the plan ends.
async fn export_team(
    store: &dyn EventStore,
    team: &TeamPlan,
    writer: &mut Writer<'_, '_>,
    progress: &mut dyn Progress,
    failed: &(dyn Fn(io::Error) -> ExportError + Sync),
) -> Result<(), ExportError> {
    loop {
        let after = writer.track.last_event().map_or(Seq::ZERO, |event| event.seq);
        if after >= team.last_seq {
            break;
        }
        let page = store.list_events(&team.team, after, PAGE_EVENTS, None).await?;
        let events: Vec<Event> = page.items.into_iter().take_while(|event| event.seq <= team.last_seq).collect();
        if events.is_empty() {
            break;
        }
        let moved = events.len() as u64;
        for event in events {
            writer.put_event(&event)?;
        }
        writer.sink.relieve().await.map_err(failed)?;
        progress.step(Step::Moved { events: moved, present: 0 });
    }
    if let Some(summary) = writer.track.summary() {
        writer.put(&Line::TeamEnd(summary.clone()))?;
        progress.step(Step::TeamMoved(&summary));
    }
    Ok(())
}
