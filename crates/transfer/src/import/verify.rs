//! Reading back: the target's events of a team against what the source had.

use huddle_domain::Seq;

use super::{Claims, ImportError, Target};
use crate::{Digest, Progress, Step, TeamSummary};

/// Events that are read at once.
const PAGE_EVENTS: u32 = 1_000;

/// Makes sure that the target's events of the team, up to the source's last one, are the source's.
pub(super) async fn verify(
    target: &Target<'_>,
    claims: &mut Claims,
    summary: &TeamSummary,
    progress: &mut dyn Progress,
) -> Result<(), ImportError> {
    let TeamSummary { team, events, last_seq, sha256 } = summary;
    let mut digest = Digest::new();
    let mut found = 0;
    let mut after = Seq::ZERO;
    while after < *last_seq {
        let page = claims.meanwhile(target.events.list_events(team, after, PAGE_EVENTS, None)).await??;
        let Some(last) = page.items.last() else { break };
        after = last.seq;
        let before = found;
        for event in page.items.iter().filter(|event| event.seq <= *last_seq) {
            digest.update(event);
            found += 1;
        }
        progress.step(Step::ReadBack { events: found - before });
    }
    let digests = if digest.finish() == *sha256 { "the same" } else { "another" };
    if found != *events || digests != "the same" {
        let (team, events, last_seq) = (team.clone(), *events, *last_seq);
        return Err(ImportError::Verification { team, events, last_seq, found, digests });
    }
    progress.step(Step::TeamVerified(summary));
    Ok(())
}
