//! Owns the way of a fleet's clients to the gateways.

use anyhow::{Context as _, Result};

use super::cast::GatewayAddress;
use crate::{
    Access, RoundRobin,
    faults::front::{Front, OldProxy},
    service,
};

/// What stands before the gateways. It goes when it is dropped.
#[derive(Debug)]
pub(super) struct Approach {
    pub(super) addresses: Vec<GatewayAddress>,
    _round_robin: Option<RoundRobin>,
    _old_proxies: Vec<OldProxy>,
}

impl Approach {
    pub(super) async fn start(access: &Access, front: Front) -> Result<Self> {
        let urls: Vec<String> = (0..access.gateway_count()).map(|index| access.http_url(index)).collect();
        let (mut round_robin, mut old_proxies) = (None, Vec::new());
        let addresses = match front {
            Front::Direct => named(urls),
            Front::RoundRobin => {
                let proxy = RoundRobin::start(&urls).await?;
                let address = address("any gateway".to_owned(), proxy.http_url().to_owned());
                round_robin = Some(proxy);
                vec![address]
            }
            Front::OldProxies { idle } => {
                for url in urls {
                    let target = url.strip_prefix("http://").context("no http:// URL")?;
                    old_proxies.push(OldProxy::start(target.parse()?, idle).await?);
                }
                named(old_proxies.iter().map(OldProxy::http_url))
            }
        };
        Ok(Self { addresses, _round_robin: round_robin, _old_proxies: old_proxies })
    }
}

fn named(urls: impl IntoIterator<Item = String>) -> Vec<GatewayAddress> {
    urls.into_iter().enumerate().map(|(index, url)| address(format!("gateway-{index}"), url)).collect()
}

fn address(name: String, http: String) -> GatewayAddress {
    GatewayAddress { name, ws: service::ws_url(&http), http }
}
