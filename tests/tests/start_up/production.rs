//! In production every service refuses a log that can lose what it has acknowledged, and says why (F36).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use huddle_devstack::{Durability, Nats, NatsOptions, Postgres, PostgresOptions, Tools, free_port};
use huddle_tests::{Role, SECRET, SERVICE_TOKEN, Service, ServiceOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::program::{Ended, run, service};

const SERVICES: [&str; 4] = ["gateway", "persistence", "history", "directory"];
/// What cannot mend itself is told soon. Servers' monitoring is waited for this long, and no longer.
const SOON: Duration = Duration::from_secs(30);
const NATS_PATIENCE: Duration = Duration::from_secs(10);

const EXIT_FAILURE: i32 = 1;
const EXIT_USAGE: i32 = 2;

/// NATS and Postgres, with an address of the database.
struct Backends {
    nats: Nats,
    _postgres: Postgres,
    database: String,
}

impl Backends {
    async fn start(nats: NatsOptions) -> Result<Self> {
        let tools = Tools::locate()?;
        let (nats, postgres) =
            tokio::try_join!(Nats::start(&tools, nats), Postgres::start(&tools, PostgresOptions::for_tests()))?;
        let database = postgres.create_database("huddle").await?;
        Ok(Self { nats, _postgres: postgres, database })
    }

    async fn cluster(durability: Durability) -> Result<Self> {
        Self::start(NatsOptions { durability, ..NatsOptions::cluster() }).await
    }

    /// The setting `log.monitors`.
    fn monitors(&mut self) -> String {
        let ports: Vec<u16> = (0..self.nats.urls().len()).map(|index| self.nats.node(index).monitor_port()).collect();
        monitors_at(&ports)
    }

    /// What `role` needs besides the settings of production.
    fn settings(&self, role: &str) -> Vec<(String, String)> {
        let mut settings = vec![
            ("log.servers".to_owned(), format!("{:?}", self.nats.urls())),
            ("log.max_bytes".to_owned(), "256MiB".to_owned()),
            ("store.url".to_owned(), self.database.clone()),
        ];
        if role != "migrate" {
            settings.push(("auth.secret".to_owned(), SECRET.to_owned()));
            settings.push(("auth.service_token".to_owned(), SERVICE_TOKEN.to_owned()));
            settings.push((format!("admin.{role}"), "127.0.0.1:0".to_owned()));
        }
        if !["persistence", "migrate"].contains(&role) {
            settings.push((format!("{role}.listen"), "127.0.0.1:0".to_owned()));
        }
        settings
    }

    /// Runs `role` with `log` as settings of the log, to its end.
    async fn run(&self, role: &str, log: &[(&str, &str)]) -> Result<Ended> {
        let settings = self.settings(role);
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).chain(log.iter().copied()).collect();
        run(&service(role, &settings), &[], SOON).await
    }

    async fn migrate(&self, replicas: &str) -> Result<()> {
        self.run("migrate", &[("log.replicas", replicas)]).await?.assert("migrate", 0, &["database", "log"]);
        Ok(())
    }

    /// Expects every service, and the migration, to refuse these settings of the log, and to say each of `words`.
    async fn assert_refused(&self, log: &[(&str, &str)], code: i32, words: &[&str]) -> Result<()> {
        let runs = SERVICES.iter().chain(&["migrate"]).map(async |role| {
            self.run(role, log).await?.assert(role, code, words);
            anyhow::Ok(())
        });
        try_join_all(runs).await.map(drop)
    }

    /// Asks NATS for something of JetStream.
    async fn request(&self, subject: &str, payload: &Value) -> Result<Value> {
        let exchange = async {
            let url = self.nats.url();
            let mut stream = BufReader::new(TcpStream::connect(url.trim_start_matches("nats://")).await?);
            let payload = payload.to_string();
            let said = format!(
                "CONNECT {{\"verbose\":false}}\r\nSUB _INBOX.test 1\r\nPUB {subject} _INBOX.test {}\r\n{payload}\r\n",
                payload.len()
            );
            stream.write_all(said.as_bytes()).await?;
            let mut line = String::new();
            while !line.starts_with("MSG ") {
                line.clear();
                ensure!(stream.read_line(&mut line).await? > 0, "NATS closed the connection");
            }
            let length = line.split_ascii_whitespace().next_back().context("no length")?.parse()?;
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer).await?;
            let answer: Value = serde_json::from_slice(&answer)?;
            ensure!(answer["error"].is_null(), "{subject}: {answer}");
            Ok(answer)
        };
        timeout(NATS_PATIENCE, exchange).await.with_context(|| format!("no answer to {subject}"))?
    }
}

fn monitors_at(ports: &[u16]) -> String {
    format!("{:?}", ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect::<Vec<_>>())
}

/// Settings of production, as they ought to be.
const PRODUCTION: [(&str, &str); 3] = [("log.production", "true"), ("log.replicas", "3"), ("log.sync_always", "true")];

#[tokio::test(flavor = "multi_thread")]
async fn f36_services_refuse_in_production_without_the_operators_word_that_nats_syncs() -> Result<()> {
    let backends = Backends::start(NatsOptions::default()).await?;
    let words = ["`log.sync_always`", "sync_interval: always", "power cut"];
    backends.assert_refused(&[("log.production", "true"), ("log.replicas", "3")], EXIT_USAGE, &words).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_services_refuse_in_production_servers_that_do_not_sync() -> Result<()> {
    let mut backends = Backends::cluster(Durability::Relaxed).await?;
    backends.migrate("3").await?;
    let monitors = backends.monitors();
    let settings = [&PRODUCTION[..], &[("log.monitors", monitors.as_str())]].concat();
    let words = ["NATS server n", "syncs to disk every 120s", "sync_interval: always"];
    backends.assert_refused(&settings, EXIT_FAILURE, &words).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_services_refuse_in_production_a_log_of_one_copy() -> Result<()> {
    let backends = Backends::cluster(Durability::Synced).await?;
    let one = [("log.production", "true"), ("log.replicas", "1"), ("log.sync_always", "true")];
    backends.assert_refused(&one, EXIT_USAGE, &["`log.replicas`", "is 1", "3 or 5"]).await?;
    // Three copies are configured, and the stream was made with one.
    backends.migrate("1").await?;
    let words = ["num_replicas = 1", "HUDDLE_LOG_0", "nats stream edit"];
    backends.assert_refused(&PRODUCTION, EXIT_FAILURE, &words).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_services_refuse_in_production_a_log_that_drops_what_is_old_when_it_is_full() -> Result<()> {
    let backends = Backends::cluster(Durability::Synced).await?;
    backends.migrate("3").await?;
    let mut stream = backends.request("$JS.API.STREAM.INFO.HUDDLE_LOG_0", &json!({})).await?;
    stream["config"]["discard"] = json!("old");
    backends.request("$JS.API.STREAM.UPDATE.HUDDLE_LOG_0", &stream["config"]).await?;
    backends.assert_refused(&PRODUCTION, EXIT_FAILURE, &["discard = Old", "nats stream edit HUDDLE_LOG_0"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_services_refuse_in_production_what_nobody_answers_for() -> Result<()> {
    let mut backends = Backends::cluster(Durability::Synced).await?;
    backends.migrate("3").await?;
    let [first, second] = [0, 1].map(|index| backends.nats.node(index).monitor_port());
    let nobody = free_port()?;
    let unanswered = format!("127.0.0.1:{nobody}, where no NATS server says whether it syncs");
    for (monitors, words) in [
        (monitors_at(&[first, second, nobody]), [&unanswered, "leave the setting out"]),
        (monitors_at(&[first, second, first]), ["names 2 server(s)", "every NATS server"]),
    ] {
        let settings = [&PRODUCTION[..], &[("log.monitors", monitors.as_str())]].concat();
        backends.assert_refused(&settings, EXIT_FAILURE, &words).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_services_start_in_production_on_three_servers_that_sync() -> Result<()> {
    let mut backends = Backends::cluster(Durability::Synced).await?;
    let monitors = backends.monitors();
    let settings = [&PRODUCTION[..], &[("log.monitors", monitors.as_str())]].concat();
    backends.run("migrate", &settings).await?.assert("migrate", 0, &["database", "log"]);

    let files = TempDir::new()?;
    let config = files.path().join("huddle.toml");
    std::fs::write(&config, format!("[auth]\nsecret = {SECRET:?}\nservice_token = {SERVICE_TOKEN:?}\n"))?;
    let start = async |role: Role, upstream: &[(&str, &Service)]| {
        let mut options = ServiceOptions::new(role, 0, config.clone(), files.path().join("logs"));
        options.settings = backends.settings("migrate");
        options.settings.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        options.settings.extend(upstream.iter().map(|(key, other)| ((*key).to_owned(), other.http_url())));
        // Ready, that is.
        Service::start(options).await
    };
    let (mut history, mut directory, mut persistence) =
        tokio::try_join!(start(Role::History, &[]), start(Role::Directory, &[]), start(Role::Persistence, &[]))?;
    let upstream = [("gateway.history_url", &history), ("gateway.directory_url", &directory)];
    let mut gateway = start(Role::Gateway, &upstream).await?;
    for service in [&mut gateway, &mut persistence, &mut directory, &mut history] {
        service.terminate().await?;
    }
    // The check-up sees the same.
    let arguments = [settings.as_slice(), &[("auth.secret", SECRET)]].concat();
    let mut own = backends.settings("migrate");
    own.extend(arguments.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let own: Vec<(&str, &str)> = own.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let said = run(&service("doctor", &own), &[], Duration::from_mins(1)).await?.said;
    assert!(said.contains("these servers sync to disk before they acknowledge: n1, n2, n3"), "{said}");
    Ok(())
}
