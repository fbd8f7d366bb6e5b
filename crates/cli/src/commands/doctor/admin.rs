//! Whether a process says that it is ready, and whether its public port answers.

use std::{net::SocketAddr, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    addresses::reachable,
    check::Outcome,
    finding::{Finding, Id},
};

/// How long one question may take.
const ASK_MAX: Duration = Duration::from_secs(4);
/// What is read of an answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// What `/readyz` answers.
#[derive(Debug, Deserialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Component>,
}

#[derive(Debug, Deserialize)]
struct Component {
    name: String,
    ready: bool,
    reason: Option<String>,
}

/// Asks the admin endpoint of `service`, which `setting` places at `address`; `id` is the check's.
pub(crate) async fn readiness(id: Id, service: &str, setting: &str, address: SocketAddr) -> Outcome {
    let Some(address) = reachable(address) else {
        return Outcome::Skipped(format!("`{setting}` has port 0: any free port"));
    };
    let answer = match get(address, "/readyz").await {
        Ok(answer) => answer,
        Err(reason) => {
            let found = format!("nothing answers at {address} (`{setting}`): {reason}");
            let remedy = format!(
                "start `{service}`, or set `{setting}` to where it answers; when it runs on another machine, run `huddle \
                 doctor` there too"
            );
            return Finding::warning(Id::AdminUnreachable, found, remedy).about(service).into();
        }
    };
    let Ok(readiness) = serde_json::from_str::<Readiness>(body(&answer)) else {
        let found = format!("what answers at {address} (`{setting}`) is not Huddle");
        let remedy = format!("set `{setting}` to the address of `{service}`");
        return Finding::warning(Id::AdminUnreachable, found, remedy).about(service).into();
    };
    if readiness.ready {
        return Outcome::ok(id, format!("{service} is ready (http://{address}/readyz)"));
    }
    let reasons = readiness.checks.into_iter().filter(|component| !component.ready).map(|component| {
        let reason = component.reason.unwrap_or_else(|| "no reason given".to_owned());
        format!("{}: {reason}", component.name)
    });
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    let remedy = format!("mend what is named, other findings say how; the log of `{service}` says more");
    Finding::problem(Id::NotReady, format!("not ready: {reasons}"), remedy).about(service).into()
}

/// Asks the public port of the gateway at `address`.
pub(crate) async fn gateway(address: SocketAddr) -> Outcome {
    let Some(address) = reachable(address) else {
        return Outcome::Skipped("`gateway.listen` has port 0: any free port".to_owned());
    };
    match get(address, "/").await {
        Ok(answer) if answer.starts_with("HTTP/1.") => Outcome::ok(Id::Gateway, format!("answers at http://{address}")),
        Ok(_) => unreachable_gateway(address, "what answers does not speak HTTP"),
        Err(reason) => unreachable_gateway(address, &reason),
    }
}

fn unreachable_gateway(address: SocketAddr, reason: &str) -> Outcome {
    let found = format!("no gateway answers at {address} (`gateway.listen`): {reason}");
    let remedy = "start `huddle gateway`, or set `gateway.listen` to where it listens; on a machine that has none, this \
                  can be left as it is";
    Finding::problem(Id::GatewayUnreachable, found, remedy).into()
}

async fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    match timeout(ASK_MAX, exchange).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {ASK_MAX:?}")),
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
