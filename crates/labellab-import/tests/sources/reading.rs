//! Owns the reading of a source from beginning to end, and the check that it keeps to the contract of sources.

use anyhow::Result;
use huddle_domain::{Event, EventKind};
use huddle_labellab_import::{LabelLab, Report, open};
use huddle_transfer::{CHUNK_EVENTS_MAX, Digest, Item, Source, TeamPlan, TeamSummary};

/// All that a source had.
pub(crate) struct Reading {
    pub(crate) plan: Vec<TeamPlan>,
    pub(crate) report: Report,
    pub(crate) events: Vec<Event>,
    /// How many events each chunk had.
    pub(crate) chunks: Vec<usize>,
    summaries: Vec<TeamSummary>,
}

pub(crate) async fn read(place: &str) -> Result<Reading> {
    Reading::of(open(place).await?).await
}

impl Reading {
    pub(crate) async fn of(mut source: LabelLab) -> Result<Self> {
        let (plan, report) = (source.plan().to_vec(), source.report().clone());
        let (mut events, mut chunks, mut summaries) = (Vec::new(), Vec::new(), Vec::new());
        let (mut count, mut last_seq, mut digest) = (0, 0, Digest::new());
        while let Some(item) = source.next().await? {
            match item {
                Item::Events { team, events: chunk } => {
                    assert!((1..=CHUNK_EVENTS_MAX).contains(&chunk.len()));
                    chunks.push(chunk.len());
                    for event in chunk {
                        assert_eq!((&event.team, event.prev_seq.get()), (&team, last_seq));
                        assert!(event.seq.get() > last_seq, "positions do not ascend at {}", event.seq);
                        last_seq = event.seq.get();
                        count += 1;
                        digest.update(&event);
                        events.push(event);
                    }
                }
                Item::TeamEnd(summary) => {
                    let planned = &plan[summaries.len()];
                    let expected =
                        TeamPlan { team: summary.team.clone(), last_seq: summary.last_seq, events: summary.events };
                    assert_eq!(*planned, expected);
                    assert_eq!((summary.events, summary.last_seq.get()), (count, last_seq));
                    assert_eq!(summary.sha256, std::mem::take(&mut digest).finish());
                    (count, last_seq) = (0, 0);
                    summaries.push(summary);
                }
            }
        }
        assert_eq!(summaries.len(), plan.len());
        Ok(Self { plan, report, events, chunks, summaries })
    }

    /// Asserts that another source of the same data has the same, and shows the first difference.
    pub(crate) fn assert_same(&self, other: &Self) {
        let place = &other.report.place;
        let mut pairs = self.events.iter().zip(&other.events);
        if let Some((expected, found)) = pairs.find(|(expected, found)| expected != found) {
            let texts = [body(expected), body(found)];
            panic!("{place} has {found:?} where {} has {expected:?}: {texts:?}", self.report.place);
        }
        assert_eq!(self.events.len(), other.events.len(), "{place}");
        assert!(self.summaries == other.summaries, "{place} has other digests");
        assert!(self.plan == other.plan, "{place} has another plan");
        assert!(self.report.findings == other.report.findings, "{place} has other findings: {}", other.report);
    }
}

fn body(event: &Event) -> &str {
    match &event.kind {
        EventKind::Posted { body, .. } => body.as_str(),
        _ => "",
    }
}
