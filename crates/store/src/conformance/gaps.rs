//! What was missing from the log stays on record.

use huddle_domain::Seq;

use super::{
    Fixture,
    fixture::claim,
    samples::{P0, P1, batch, posted, store_all},
};
use crate::{Batch, LogGap, StoreError};

const fn gap(after: u64, before: u64) -> LogGap {
    LogGap { after: Seq::new(after), before: Seq::new(before) }
}

/// With the events beyond it, once, and for its own partition.
pub async fn a_gap_is_on_record_with_the_events_beyond_it<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    store_all(&mut *writer, [posted("a", 1)]).await;
    assert_eq!(fixture.gaps(P0).await, []);
    let beyond = |gaps| Batch { gaps, ..batch([posted("a", 5), posted("a", 6), posted("a", 20)]) };
    writer.apply(beyond(vec![gap(1, 5), gap(6, 20)])).await.unwrap();
    assert_eq!(fixture.gaps(P0).await, [gap(1, 5), gap(6, 20)]);
    // A batch that comes again changes nothing.
    writer.apply(beyond(vec![gap(1, 5), gap(6, 20)])).await.unwrap();
    writer.apply(Batch { gaps: vec![gap(6, 20), gap(20, 30)], ..batch([posted("a", 30)]) }).await.unwrap();
    assert_eq!(fixture.gaps(P0).await, [gap(1, 5), gap(6, 20), gap(20, 30)]);
    assert_eq!(fixture.gaps(P1).await, []);
}

/// What is not committed is not on record either, and what is no gap is refused.
pub async fn a_gap_of_a_batch_that_fails_is_not_on_record<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    store_all(&mut *writer, [posted("a", 1)]).await;
    for wrong in [gap(1, 2), gap(3, 3), gap(4, 2), gap(1, 6)] {
        let error = writer.apply(Batch { gaps: vec![wrong], ..batch([posted("a", 5)]) }).await.unwrap_err();
        assert!(matches!(error, StoreError::Broken { .. }), "{wrong:?}: {error:?}");
        let mut descending = batch([posted("a", 5), posted("a", 6)]);
        descending.items.reverse();
        assert!(writer.apply(Batch { gaps: vec![gap(1, 5)], ..descending }).await.is_err());
    }
    assert_eq!((fixture.gaps(P0).await, writer.progress()), (Vec::new(), Seq::new(1)));
}
