//! The store stands still for a while: chat goes on, also for those who come meanwhile.
//!
//! On the cluster only: the embedded file is log and store at once.

use std::time::Duration;

use anyhow::{Result, bail};
use huddle_tests::{Backend, Cluster, Deployment};
use serde_json::Value;
use tokio::time::sleep;

use super::{ANNA, BERT, DORA, LabelLab, TEAM};

/// Sent and not stored before anybody comes; then, one in [`PACE`], for as long as the outage lasts; and after it.
const MESSAGES: [usize; 3] = [5, 12, 5];
const PACE: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_connects_while_nothing_is_stored_misses_nothing_from_then_on() -> Result<()> {
    let mut labellab = LabelLab::start(Backend::Cluster).await?;
    let mut anna = labellab.web(ANNA).await?;
    for replica in &mut cluster(&mut labellab)?.persistence {
        replica.process().pause()?;
    }
    let mut sent = Vec::new();
    for _ in 0..MESSAGES[0] {
        let body = format!("message {}", sent.len());
        let reply = anna.socket.ask("send_message", &anna.message(TEAM, &body)).await?;
        assert_eq!(reply["stored"], false, "{reply}");
        sent.push(body);
    }
    let mut newcomers = [labellab.web(BERT).await?, labellab.mobile(DORA).await?];
    for _ in 0..MESSAGES[1] {
        let body = format!("message {}", sent.len());
        let reply = anna.socket.ask("send_message", &anna.message(TEAM, &body)).await?;
        assert_eq!(reply["stored"], false, "{reply}");
        sent.push(body);
        sleep(PACE).await;
    }
    for replica in &mut cluster(&mut labellab)?.persistence {
        replica.process().resume()?;
    }
    for _ in 0..MESSAGES[2] {
        let body = format!("message {}", sent.len());
        anna.send(TEAM, &body).await?;
        sent.push(body);
    }
    for body in &sent {
        assert_eq!(&anna.hears_body().await?, body);
    }
    for app in &mut newcomers {
        for body in &sent[MESSAGES[0]..] {
            assert_eq!(&app.hears_body().await?, body, "{}", app.user);
        }
        for event in ["receive_message", "subscription_ended", "disconnect"] {
            assert_eq!(app.socket.left(event), Vec::<Value>::new(), "{event}, {}", app.user);
        }
    }
    assert_eq!(labellab.stored_bodies(TEAM).await?, sent);
    labellab.finish().await
}

fn cluster(labellab: &mut LabelLab) -> Result<&mut Cluster> {
    match &mut labellab.deployment {
        Deployment::Cluster(cluster) => Ok(cluster),
        Deployment::Embedded(_) => bail!("not a cluster"),
    }
}
