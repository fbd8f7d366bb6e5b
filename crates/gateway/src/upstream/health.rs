//! Whether the services behind the gateway answer, and say that they serve.

use std::time::Duration;

use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::bounded;

/// How long an answer may take.
const HEALTH_DEADLINE: Duration = Duration::from_secs(2);

/// Whether the service at the other end of `channel` serves.
pub(crate) async fn is_serving(channel: Channel) -> bool {
    let mut client = HealthClient::new(channel);
    let call = client.check(HealthCheckRequest::default());
    bounded(HEALTH_DEADLINE, call).await.is_ok_and(|answer| answer.status() == ServingStatus::Serving)
}
