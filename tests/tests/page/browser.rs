//! Owns the browser: the process of `tests/clients/page.mjs`, which reads commands and answers them one by one.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_devstack::Tools;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Above what the script itself waits for anything.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// A Chromium without a window. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    errors: PathBuf,
}

/// A message as somebody sees it on the page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    pub(crate) seq: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) own: bool,
    pub(crate) body: String,
    /// Elements that the text became.
    pub(crate) elements: usize,
}

impl Browser {
    /// Starts it; what it writes goes below `files`.
    pub(crate) fn start(files: &Path) -> Result<Self> {
        let tools = Tools::locate()?;
        let errors = files.join("browser.log");
        let mut command = Command::new("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/page.mjs")).arg(tools.chromium()?);
        command.env("NODE_PATH", tools.node_modules()?).env("TMPDIR", files);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&errors)?).kill_on_drop(true);
        let mut process = command.spawn().context("cannot start node: is it installed?")?;
        let input = process.stdin.take().context("no standard input")?;
        let output = BufReader::new(process.stdout.take().context("no standard output")?).lines();
        Ok(Self { process, input, output, errors })
    }

    /// Opens the page at `url` as a member of the demo team.
    pub(crate) async fn open(&mut self, who: &str, url: &str) -> Result<()> {
        self.call(json!({"do": "open", "who": who, "url": url, "member": who})).await.map(drop)
    }

    pub(crate) async fn rows(&mut self, who: &str) -> Result<Vec<Row>> {
        Ok(serde_json::from_value(self.tell(who, "rows").await?)?)
    }

    /// A command without arguments.
    pub(crate) async fn tell(&mut self, who: &str, what: &str) -> Result<Value> {
        self.call(json!({"do": what, "who": who})).await
    }

    pub(crate) async fn call(&mut self, command: Value) -> Result<Value> {
        self.input.write_all(format!("{command}\n").as_bytes()).await.with_context(|| self.said())?;
        let answer = timeout(ANSWER_TIMEOUT, self.output.next_line()).await;
        let answer = answer.with_context(|| format!("no answer to {command}; {}", self.said()))??;
        let answer = answer.with_context(|| format!("the browser ended at {command}; {}", self.said()))?;
        let mut answer: Value = serde_json::from_str(&answer)?;
        if let Some(problem) = answer["problem"].as_str() {
            bail!("{problem}");
        }
        Ok(answer["answer"].take())
    }

    /// Ends it, and checks that no page had anything to complain about.
    pub(crate) async fn finish(mut self) -> Result<()> {
        let problems = self.call(json!({"do": "problems"})).await?;
        ensure!(problems == json!([]), "the pages had problems: {problems:#}");
        let (mut process, errors) = (self.process, self.errors);
        drop(self.input);
        let status = timeout(END_TIMEOUT, process.wait()).await.context("the browser does not end")??;
        ensure!(status.success(), "the browser ended with {status}: {}", read(&errors));
        Ok(())
    }

    fn said(&self) -> String {
        format!("it said: {}", read(&self.errors))
    }
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}
