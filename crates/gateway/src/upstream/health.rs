//! Whether the services behind the gateway can be reached.

use std::time::Duration;

use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::bounded;

/// How long an answer may take.
const HEALTH_DEADLINE: Duration = Duration::from_secs(2);

/// Whether the service at the other end of `channel` answers. What it says of its own health does not matter here: while
/// the store is away, no gateway is better than another, and live chat goes on at all of them.
pub(crate) async fn answers(channel: Channel) -> bool {
    let mut client = HealthClient::new(channel);
    bounded(HEALTH_DEADLINE, client.check(HealthCheckRequest::default())).await.is_ok()
}
