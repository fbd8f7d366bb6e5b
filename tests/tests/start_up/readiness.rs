//! What a gateway says about the parts that it needs.

use std::time::Duration;

use anyhow::Result;
use huddle_tests::{Cluster, ClusterOptions, http};

/// A gateway looks every two seconds, and gives a part that is silent two more.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_not_ready_while_a_part_is_away_and_alive_all_the_time() -> Result<()> {
    let options = ClusterOptions { gateways: 1, persistence: 1, ..ClusterOptions::default() };
    let mut cluster = Box::pin(Cluster::start(options)).await?;

    cluster.create_team("undisturbed", &["alice"]).await?;
    cluster.history.kill9()?;
    is_missed(&cluster, "history").await?;
    cluster.history.restart().await?;
    cluster.wait_until_ready().await?;

    // A part that hangs is as good as none.
    cluster.directory.process().pause()?;
    is_missed(&cluster, "directory").await?;
    cluster.directory.process().resume()?;
    cluster.wait_until_ready().await?;

    cluster.nats.kill9()?;
    is_missed(&cluster, "log").await?;
    cluster.nats.restart().await?;
    cluster.wait_until_ready().await?;
    Box::pin(cluster.finish()).await
}

async fn is_missed(cluster: &Cluster, part: &str) -> Result<()> {
    let gateway = &cluster.gateways[0];
    gateway.wait_until_not_ready(NOTICE_TIMEOUT).await?;
    let readiness = http::get(&format!("{}/readyz", gateway.admin_url()), None).await?;
    assert_eq!(readiness.status, 503, "{part}: {}", readiness.body);
    assert!(readiness.body.contains(part), "{part}: {}", readiness.body);
    let health = http::get(&format!("{}/healthz", gateway.admin_url()), None).await?;
    assert_eq!(health.status, 200, "{part}: {}", health.body);
    Ok(())
}
