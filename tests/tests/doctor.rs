//! `huddle doctor` finds what is wrong, nothing else, and shows no secret.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use huddle_devstack::{Process, Signal, Tools};
use huddle_domain::{Body, ClientId, EventKind, NewEvent, Partition, Seq, TeamId, UnixMillis, UserId};
use huddle_embedded::{Config, Embedded};
use huddle_log::{Condition, Log as _};
use huddle_store::{Batch, BatchItem, DeadLetter, DeadLetterReason, LogGap, PartitionStore as _};
use huddle_tests::{Cluster, ClusterOptions, SECRET, SERVICE_TOKEN, huddle, told, until};
use serde_json::Value;
use tokio::time::timeout;

/// A check-up in which everything hangs ends by then.
const DOCTOR_MAX: Duration = Duration::from_mins(1);
const READY_MAX: Duration = Duration::from_mins(1);
const STOP_MAX: Duration = Duration::from_secs(15);
/// How long the processes of a cluster may take to notice what a test did to them.
const NOTICE_MAX: Duration = Duration::from_mins(1);
/// Told of the machine that runs the tests, which may be short of disk or work in memory.
const OF_THE_MACHINE: [&str; 2] = ["disk-low", "file-system-memory"];
/// Told of every cluster of the harness: Postgres does not sync there, secrets are words in a readable file.
const OF_THE_HARNESS: [&str; 4] = ["fsync-off", "full-page-writes-off", "secret-guessable", "secret-readable"];

/// What a check-up said.
#[derive(Debug)]
struct Report {
    code: Option<i32>,
    said: String,
    json: Value,
}

impl Report {
    /// The findings of this severity.
    fn ids(&self, severity: &str) -> BTreeSet<String> {
        let findings = self.json["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = findings.iter().filter(|finding| finding["severity"] == severity);
        found.filter_map(|finding| Some(finding["id"].as_str()?.to_owned())).collect()
    }

    /// What is not ok, without what is to be expected here.
    fn troubles(&self, expected: &[&str]) -> BTreeSet<String> {
        let all = &self.ids("warning") | &self.ids("problem");
        all.into_iter()
            .filter(|id| !OF_THE_MACHINE.contains(&id.as_str()) && !expected.contains(&id.as_str()))
            .collect()
    }

    fn finding(&self, id: &str) -> Result<&Value> {
        let findings = self.json["findings"].as_array().context("no findings")?;
        findings.iter().find(|finding| finding["id"] == id).with_context(|| format!("no {id} in {}", self.said))
    }

    /// What is not ok, to be read.
    fn bad(&self) -> String {
        let findings = self.json["findings"].as_array().into_iter().flatten();
        let bad = findings.filter(|finding| finding["severity"] != "ok");
        let lines = bad.map(|finding| format!("{} {} {}", finding["id"], finding["subject"], finding["found"]));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Asserts that exactly `ids` are not ok, that the exit code follows, and that each says what to do.
    fn assert_troubles(&self, what: &str, ids: &[&str]) {
        assert_eq!(self.troubles(&[]), set(ids), "{what}: {}", self.said);
        self.assert_consistent(what);
    }

    fn assert_consistent(&self, what: &str) {
        let has_problem = !self.ids("problem").is_empty();
        assert_eq!(self.code, Some(i32::from(has_problem)), "{what}: {}", self.said);
        for finding in self.json["findings"].as_array().into_iter().flatten() {
            let is_ok = finding["severity"] == "ok";
            assert!(!finding["found"].as_str().unwrap_or_default().is_empty(), "{what}: {finding}");
            assert!(!finding["why"].as_str().unwrap_or_default().is_empty(), "{what}: {finding}");
            assert_eq!(finding["remedy"].is_null(), is_ok, "{what}: {finding}");
        }
        for id in ["check-failed", "check-timeout"] {
            assert!(!self.said.contains(id), "{what}: {}", self.said);
        }
    }
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// Runs `huddle doctor` with `arguments` to its end; returns exit code, standard output and standard error.
async fn run(arguments: &[String], folder: &Path) -> Result<(Option<i32>, String, String)> {
    let mut command = tokio::process::Command::from(huddle()?);
    command.arg("doctor").args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(DOCTOR_MAX, command.output()).await.context("huddle doctor does not end")??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
}

/// The same with `--json`.
async fn report(arguments: &[String]) -> Result<Report> {
    let arguments = [arguments, &["--json".to_owned()]].concat();
    let (code, out, err) = run(&arguments, Path::new("/")).await?;
    ensure!(!err.contains("panicked"), "{err}");
    let json = serde_json::from_str(&out).with_context(|| format!("no JSON (exit code {code:?}): {out}{err}"))?;
    Ok(Report { code, said: format!("{out}{err}"), json })
}

fn of_directory(directory: &Path) -> Vec<String> {
    vec!["--data-dir".to_owned(), directory.display().to_string()]
}

/// An instance with messages in it, closed. Not everything is stored.
async fn instance(directory: PathBuf, messages: u64) -> Result<Config> {
    let config = Config { directory, ..Config::default() };
    let embedded = Embedded::open(&config).await?;
    embedded.prepare(Partition::new(0), Seq::ZERO).await?;
    stream::iter(0..messages)
        .map(|number| {
            let embedded = Arc::clone(&embedded);
            async move {
                let event = NewEvent {
                    team: TeamId::parse("team")?,
                    sender: UserId::parse("ann")?,
                    client_id: ClientId::parse(&format!("c{number}"))?,
                    kind: EventKind::posted(Body::parse(&"wall of text ".repeat(80))?),
                };
                embedded.publish(event, Condition::None).await?.await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(256)
        .try_collect::<Vec<()>>()
        .await?;
    embedded.close().await;
    Ok(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_instance_has_no_finding_running_or_not() -> Result<()> {
    let files = tempfile::tempdir()?;
    let data = files.path().join("huddle-data");
    let mut command = huddle()?;
    command.args(["up", "--json", "--data-dir"]).arg(&data).current_dir("/");
    let mut up = Process::spawn("up", command, &files.path().join("up.log"))?;
    let told = told(&mut up, READY_MAX).await?;

    let running = report(&of_directory(&data)).await?;
    running.assert_troubles("running", &[]);
    assert_eq!(running.finding("readiness")?["severity"], "ok");
    let pid = running.finding("process")?["found"].as_str().unwrap_or_default().to_owned();
    assert!(pid.contains(&format!("pid {}", up.pid())), "{pid}");
    for token in [&told["tokens"]["alice"], &told["tokens"]["bob"]] {
        assert!(!running.said.contains(token.as_str().context("no token")?));
    }

    up.signal(Signal::Interrupt)?;
    assert!(up.wait(STOP_MAX).await?.success(), "{}", up.output()?);
    let stopped = report(&of_directory(&data)).await?;
    stopped.assert_troubles("stopped", &[]);
    assert_eq!(stopped.finding("process")?["found"], "not running");
    assert_eq!(stopped.json["installation"], "embedded");

    // The default directory, for people.
    let (code, out, err) = run(&[], files.path()).await?;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("Checking the embedded instance in huddle-data\n"), "{out}");
    assert!(out.contains("\nok       integrity") && out.contains("0 problems") && !out.contains('\u{1b}'), "{out}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_is_found_and_the_other_checks_are_made() -> Result<()> {
    let files = tempfile::tempdir()?;
    let data = files.path().join("data");
    instance(data.clone(), 4_000).await?;
    report(&of_directory(&data)).await?.assert_troubles("before", &[]);

    let mut hurried = of_directory(&data);
    hurried.extend(["--integrity-max".to_owned(), "0ms".to_owned()]);
    report(&hurried).await?.assert_troubles("without time", &["integrity-unfinished"]);

    let file = fs::File::options().write(true).open(data.join("huddle.db"))?;
    let pages = file.metadata()?.len() / 4_096;
    assert!(pages > 1_000, "{pages}");
    file.write_all_at(&[0xab; 4_096], pages / 2 * 4_096)?;
    let report = report(&of_directory(&data)).await?;
    report.assert_troubles("damaged", &["file-damaged"]);
    assert!(!report.said.contains("wall of text"), "{}", report.said);
    let remedy = report.finding("file-damaged")?["remedy"].as_str().unwrap_or_default().to_owned();
    assert!(remedy.contains("huddle export"), "{remedy}");
    for id in ["process", "permissions", "disk", "secrets"] {
        report.finding(id)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_others_can_read_are_found() -> Result<()> {
    let files = tempfile::tempdir()?;
    let data = files.path().join("data");
    instance(data.clone(), 10).await?;
    let secrets = data.join("secrets.json");
    let secret = "q0mXJ5p2F3w8yZrT1uVnKsLb7cDgHa9eWi4oMxBt6";
    fs::write(&secrets, format!("{{\"user_secret\": {secret:?}}}"))?;
    let open = |name: &str, mode| fs::set_permissions(data.join(name), fs::Permissions::from_mode(mode));
    open("secrets.json", 0o600)?;
    let waiting = report(&of_directory(&data)).await?;
    waiting.assert_troubles("private", &[]);
    assert!(waiting.finding("storing")?["found"].as_str().unwrap_or_default().starts_with("10 accepted"));

    open("huddle.db", 0o644)?;
    report(&of_directory(&data)).await?.assert_troubles("the file", &["file-exposed"]);
    // SQLite gives the file's mode to its companions.
    for name in ["huddle.db", "huddle.db-wal", "huddle.db-shm"] {
        open(name, 0o600)?;
    }
    open("secrets.json", 0o644)?;
    let report_of_secrets = report(&of_directory(&data)).await?;
    report_of_secrets.assert_troubles("the secrets", &["secret-readable"]);
    assert_eq!(report_of_secrets.ids("problem"), set(&["secret-readable"]));
    assert!(!report_of_secrets.said.contains(secret));
    open("secrets.json", 0o600)?;
    fs::write(&secrets, format!("{secret} and not JSON"))?;
    let damaged = report(&of_directory(&data)).await?;
    damaged.assert_troubles("damaged secrets", &["secret-damaged"]);
    assert!(!damaged.said.contains(secret));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_by_reason() -> Result<()> {
    let files = tempfile::tempdir()?;
    let data = files.path().join("data");
    let config = instance(data.clone(), 0).await?;
    let embedded = Embedded::open(&config).await?;
    let mut writer = embedded.claim(Partition::new(0)).await?.context("nobody else has it")?;
    let reasons = [DeadLetterReason::LateDuplicate, DeadLetterReason::Undecodable, DeadLetterReason::SeqTaken];
    let mut seq = writer.progress().get();
    for (count, reason) in reasons.into_iter().enumerate() {
        let items: Vec<BatchItem> = (0..=count)
            .map(|_| {
                seq += 1;
                BatchItem::DeadLetter(DeadLetter {
                    seq: Seq::new(seq),
                    time: UnixMillis(0),
                    team: None,
                    reason,
                    detail: "of no use".to_owned(),
                    payload: b"hunter2".to_vec(),
                })
            })
            .collect();
        writer.apply(Batch { items, through: Seq::new(seq), ..Batch::default() }).await?;
    }
    let gaps = vec![LogGap { after: Seq::new(seq), before: Seq::new(seq + 4) }];
    writer.apply(Batch { gaps, through: Seq::new(seq + 4), ..Batch::default() }).await?;
    // Beside the process that has it, which has no admin endpoint.
    let nowhere = ["--set".to_owned(), "admin.gateway=127.0.0.1:1".to_owned()];
    let report = report(&[of_directory(&data), nowhere.to_vec()].concat()).await?;
    report.assert_troubles(
        "dead letters",
        &["admin-unreachable", "dead-letters-found", "log-gaps-found", "position-taken"],
    );
    let missing =
        format!("positions were missing from the log when it was stored: {} to {} in partition 0", seq + 1, seq + 3);
    assert_eq!(report.finding("log-gaps-found")?["found"], missing.as_str());
    assert_eq!(report.finding("dead-letters-found")?["found"], "2 with the reason `undecodable`");
    assert_eq!(report.finding("position-taken")?["found"], "3 with the reason `seq_taken`");
    assert!(!report.said.contains("hunter2"));
    drop(writer);
    embedded.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_checked_is_refused_with_what_to_do() -> Result<()> {
    let files = tempfile::tempdir()?;
    let line = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for (arguments, code, words) in [
        ("--data-dir x --set store.url=postgres://h/d", 2, &["--data-dir", "store.url"][..]),
        ("--set log.replicas=2", 2, &["log.replicas", "1, 3 or 5"]),
        ("--set log.servers=[]", 2, &["log.servers"]),
        ("--data-dir nowhere", 1, &["file-missing", "huddle up"]),
        ("--integrity-max soon", 2, &["--integrity-max"]),
    ] {
        let (found, out, err) = run(&line(arguments), files.path()).await?;
        assert_eq!(found, Some(code), "{arguments}: {out}{err}");
        for word in words {
            assert!(out.contains(word) || err.contains(word), "{arguments}: {word} is not in: {out}{err}");
        }
    }
    let (code, _, err) = run(&[], files.path()).await?;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("--data-dir") && err.contains("--config"), "{err}");

    // Another program's file is left alone and named.
    let data = files.path().join("data");
    fs::create_dir(&data)?;
    fs::write(data.join("huddle.db"), "a shopping list, and no database")?;
    let report = report(&of_directory(&data)).await?;
    assert!(report.ids("problem").contains("file-damaged"), "{}", report.said);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_cluster_has_no_problem() -> Result<()> {
    let files = tempfile::tempdir()?;
    let data = files.path().join("data");
    let mut command = huddle()?;
    // It finds the servers below the checkout, as it would when started there, or where this test finds them.
    command.args(["up", "--cluster", "--json", "--data-dir"]).arg(&data).current_dir(env!("CARGO_MANIFEST_DIR"));
    for variable in ["HUDDLE_NATS_SERVER", "HUDDLE_POSTGRES_BIN"] {
        command.envs(std::env::var_os(variable).map(|value| (variable, value)));
    }
    let mut up = Process::spawn_with_last_signal("up", command, &files.path().join("up.log"), Signal::Interrupt)?;
    told(&mut up, READY_MAX).await?;

    let config = data.join("cluster/huddle.toml");
    let arguments = ["--config".to_owned(), config.display().to_string()];
    let report = report(&arguments).await?;
    report.assert_troubles("healthy", &["partition-one-copy"]);
    assert_eq!(report.json["skipped"], serde_json::json!([]), "{}", report.said);
    for id in ["nats", "postgres", "history", "directory", "gateway", "owners", "storing", "admin-persistence"] {
        assert_eq!(report.finding(id)?["severity"], "ok");
    }
    let (code, out, err) = run(&of_directory(&data), files.path()).await?;
    assert_eq!(code, Some(2), "{out}{err}");
    assert!(err.contains(&format!("huddle doctor --config {}", config.display())), "{err}");

    up.signal(Signal::Interrupt)?;
    assert!(up.wait(STOP_MAX).await?.success(), "{}", up.output()?);
    Ok(())
}

/// A cluster, and doctor's arguments for it.
struct Patient {
    cluster: Cluster,
    arguments: Vec<String>,
}

impl Patient {
    async fn start(options: ClusterOptions) -> Result<Self> {
        let cluster = Box::pin(Cluster::start(options)).await?;
        cluster.create_team("undisturbed", &["alice"]).await?;
        let address = |url: String| url.trim_start_matches("http://").to_owned();
        let settings = [
            ("gateway.listen", address(cluster.gateways[0].http_url())),
            ("gateway.history_url", cluster.history.http_url()),
            ("gateway.directory_url", cluster.directory.http_url()),
            ("admin.gateway", address(cluster.gateways[0].admin_url())),
            ("admin.history", address(cluster.history.admin_url())),
            ("admin.directory", address(cluster.directory.admin_url())),
            ("admin.persistence", address(cluster.persistence[0].admin_url())),
        ];
        let mut arguments = vec!["--config".to_owned(), cluster.config().display().to_string()];
        for (key, value) in settings {
            arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        Ok(Self { cluster, arguments })
    }

    async fn report(&self, settings: &[&str]) -> Result<Report> {
        let settings = settings.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]);
        let arguments: Vec<String> = self.arguments.iter().cloned().chain(settings).collect();
        let report = report(&arguments).await?;
        report.assert_consistent("a cluster");
        for secret in [SECRET, SERVICE_TOKEN] {
            assert!(!report.said.contains(secret), "{}", report.said);
        }
        Ok(report)
    }

    /// Waits until exactly `ids` are not ok, besides what is always so.
    async fn assert_troubles(&self, what: &str, settings: &[&str], ids: &[&str]) -> Result<Report> {
        let mut last = String::new();
        let found = until(what, NOTICE_MAX, async || {
            let report = self.report(settings).await?;
            last = report.bad();
            Ok((report.troubles(&OF_THE_HARNESS) == set(ids)).then_some(report))
        });
        found.await.with_context(|| format!("{what}: {ids:?} is expected: {last}"))
    }

    /// Runs `statement` in the cluster's database.
    async fn sql(&self, statement: &str) -> Result<()> {
        let mut psql = Command::new(Tools::locate()?.postgres_bin()?.join("psql"));
        psql.arg(self.cluster.postgres.url_of("huddle")).args(["--set", "ON_ERROR_STOP=1", "-qc", statement]);
        let output = tokio::process::Command::from(psql).kill_on_drop(true).output().await?;
        ensure!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_of_a_cluster_is_found_and_no_other() -> Result<()> {
    let options = ClusterOptions { gateways: 1, persistence: 1, ..ClusterOptions::default() };
    let mut patient = Box::pin(Patient::start(options)).await?;
    patient.assert_troubles("it is well", &[], &["partition-one-copy"]).await?;

    let token = ["auth.service_token=q0mXJ5p2F3w8yZrT1uVnKsLb7cDgHa9eWi4oMxBt6"];
    let report =
        patient.assert_troubles("a wrong token", &token, &["partition-one-copy", "service-token-refused"]).await?;
    let refusing = report.json["findings"].as_array().into_iter().flatten();
    assert_eq!(refusing.filter(|finding| finding["id"] == "service-token-refused").count(), 2, "{}", report.said);

    patient
        .sql(
            "INSERT INTO dead_letters (partition, seq, time_ms, reason, detail, payload) \
                 VALUES (0, 1, 0, 'undecodable', 'of no use', 'hunter2')",
        )
        .await?;
    let report = patient.assert_troubles("a dead letter", &[], &["partition-one-copy", "dead-letters-found"]).await?;
    assert!(!report.said.contains("hunter2"), "{}", report.said);
    patient.sql("DELETE FROM dead_letters").await?;
    patient.sql("INSERT INTO log_gaps (partition, after_seq, before_seq) VALUES (0, 7, 10)").await?;
    let report = patient.assert_troubles("a gap", &[], &["log-gaps-found", "partition-one-copy"]).await?;
    assert!(report.said.contains("8 to 9 in partition 0"), "{}", report.said);
    patient.sql("DELETE FROM log_gaps").await?;

    let settings = ["log.replicas=3"];
    patient.assert_troubles("other settings", &settings, &["partition-one-copy", "partition-unfit"]).await?;

    patient.cluster.persistence[0].kill9()?;
    let troubles = ["partition-one-copy", "partition-unowned", "admin-unreachable"];
    patient.assert_troubles("no persistence", &[], &troubles).await?;
    patient.cluster.persistence[0].restart().await?;

    patient.sql("UPDATE _sqlx_migrations SET version = version - 1").await?;
    let troubles = ["partition-one-copy", "schema-older", "service-not-serving", "not-ready"];
    patient.assert_troubles("an older schema", &[], &troubles).await?;
    patient.sql("UPDATE _sqlx_migrations SET version = version + 1").await?;
    patient.cluster.wait_until_ready().await?;

    patient.cluster.postgres.stop().await?;
    let troubles = ["partition-one-copy", "postgres-unreachable", "service-not-serving", "not-ready"];
    patient.assert_troubles("no Postgres", &[], &troubles).await?;
    patient.cluster.postgres.restart().await?;
    patient.cluster.wait_until_ready().await?;

    patient.cluster.nats.kill9()?;
    patient.assert_troubles("no NATS", &[], &["nats-unreachable", "not-ready"]).await?;
    patient.cluster.nats.restart().await?;
    patient.cluster.wait_until_ready().await?;
    Box::pin(patient.cluster.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_nats_that_is_away_is_a_warning() -> Result<()> {
    let options = ClusterOptions { gateways: 1, persistence: 1, nats_nodes: 3, ..ClusterOptions::default() };
    let mut patient = Box::pin(Patient::start(options)).await?;
    patient.assert_troubles("three copies", &[], &[]).await?;
    patient.cluster.nats.node(2).kill9()?;
    let found = patient.assert_troubles("a node is away", &[], &["nats-server-away", "partition-server-away"]).await?;
    assert!(found.ids("problem").is_subset(&set(&OF_THE_HARNESS)), "{}", found.said);
    patient.cluster.nats.node(2).restart().await?;
    patient.cluster.wait_until_ready().await?;
    Box::pin(patient.cluster.finish()).await
}
