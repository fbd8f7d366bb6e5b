use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufReader, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, advance, sleep, timeout},
};

use super::{
    ID_BYTES_MAX, LINE_BYTES_MAX, LINES_MAX, ListError, ListProblem, RevokedFile, RevokedFileError,
    file::{LOOK_INTERVAL, Reading, WARNING_INTERVAL, Warnings, look_by},
    list, read,
};
use crate::{lifecycle::Shutdown, metrics::Metrics};

/// On the paused clock: nobody waits this long.
const TEST_TIMEOUT: Duration = Duration::from_mins(5);

fn ids(text: impl AsRef<[u8]>) -> Result<Vec<String>, (usize, ListProblem)> {
    match list::read(text.as_ref()) {
        Ok(ids) => Ok(sorted(&ids)),
        Err(ListError::Line { line, problem }) => Err((line, problem)),
        Err(ListError::Read(error)) => panic!("{error}"),
    }
}

fn sorted(ids: &HashSet<Box<str>>) -> Vec<String> {
    let mut ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_list_is_one_id_a_line() {
    let longest = "x".repeat(ID_BYTES_MAX);
    for (text, expected) in [
        ("", vec![]),
        ("\n\r\n  \n\t\n", vec![]),
        ("a\nb\n", vec!["a", "b"]),
        ("a\nb", vec!["a", "b"]),
        ("a\r\nb\r\n", vec!["a", "b"]),
        ("  a \t\n", vec!["a"]),
        ("# signed out\na\n  # b\n#c\n", vec!["a"]),
        ("a#b\n", vec!["a#b"]),
        ("a\na\n", vec!["a"]),
        ("\u{feff}a\n", vec!["a"]),
        ("\u{feff}# a\n", vec![]),
        (longest.as_str(), vec![longest.as_str()]),
    ] {
        assert_eq!(ids(text).unwrap(), expected, "{text:?}");
    }
    assert_eq!(ids(format!("#{}\r\na", "x".repeat(LINE_BYTES_MAX - 1))).unwrap(), ["a"]);
}

#[test]
fn what_is_no_list_is_refused_with_its_line() {
    for (text, expected) in [
        (b"a\nb c\n".to_vec(), (2, ListProblem::NotOneId)),
        (b"a\n\n# x\nb\tc\n".to_vec(), (4, ListProblem::NotOneId)),
        (b"a\x00b\n".to_vec(), (1, ListProblem::NotOneId)),
        (b"a\rb\rc\r".to_vec(), (1, ListProblem::NotOneId)),
        ("a\u{a0}b".as_bytes().to_vec(), (1, ListProblem::NotOneId)),
        (b"a\n\xff\xfeb\n".to_vec(), (2, ListProblem::NotText)),
        ("x".repeat(ID_BYTES_MAX + 1).into_bytes(), (1, ListProblem::IdTooLong)),
        (format!("a\n#{}\nb\n", "x".repeat(LINE_BYTES_MAX)).into_bytes(), (2, ListProblem::LineTooLong)),
        (" ".repeat(LINE_BYTES_MAX * 3).into_bytes(), (1, ListProblem::LineTooLong)),
    ] {
        let shown = String::from_utf8_lossy(&text).chars().take(20).collect::<String>();
        assert_eq!(ids(&text), Err(expected), "{shown:?}");
    }
}

#[test]
fn a_list_has_a_million_lines_and_no_more() {
    let mut text = "a\n".repeat(LINES_MAX);
    assert_eq!(ids(&text).unwrap(), ["a"]);
    text.push_str("# one more\n");
    assert_eq!(ids(text), Err((LINES_MAX + 1, ListProblem::OneTooMany)));
}

/// A file that is followed, and the lists that came of it.
struct Fixture {
    folder: TempDir,
    metrics: Metrics,
    lists: watch::Sender<Vec<String>>,
}

impl Fixture {
    fn new(content: &str) -> Self {
        let fixture =
            Self { folder: TempDir::new().unwrap(), metrics: Metrics::new(), lists: watch::Sender::default() };
        fs::write(fixture.path(), content).unwrap();
        fixture
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("revoked.txt")
    }

    async fn open(&self) -> Result<RevokedFile, RevokedFileError> {
        let lists = self.lists.clone();
        let replace = move |ids: HashSet<Box<str>>| drop(lists.send_replace(sorted(&ids)));
        RevokedFile::open(self.path(), replace, &self.metrics).await
    }

    async fn follow(&self, shutdown: &Shutdown) -> JoinHandle<()> {
        tokio::spawn(self.open().await.unwrap().follow(shutdown.clone()))
    }

    /// Puts another file in the place of the present one, in one step.
    fn replace(&self, content: &str) {
        let beside = self.folder.path().join("revoked.txt.new");
        fs::write(&beside, content).unwrap();
        fs::rename(&beside, self.path()).unwrap();
    }

    fn list(&self) -> Vec<String> {
        self.lists.borrow().clone()
    }

    async fn until_list_is(&self, expected: &[&str]) {
        let mut lists = self.lists.subscribe();
        let outcome = timeout(TEST_TIMEOUT, lists.wait_for(|list| list == expected)).await;
        assert!(outcome.is_ok(), "{:?} instead of {expected:?}", self.list());
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("huddle_{name} ")));
        value.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
    }

    fn errors(&self) -> u64 {
        self.metric("auth_revoked_file_errors_total")
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + TEST_TIMEOUT;
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Waits until the next look has failed.
    async fn until_another_look_fails(&self) {
        let before = self.errors();
        Self::until("no look fails", || self.errors() > before).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_list_is_in_force_when_opening_returns() {
    let fixture = Fixture::new("a\nb\n");
    let _file = fixture.open().await.unwrap();
    assert_eq!(fixture.list(), ["a", "b"]);
    assert_eq!(fixture.metric("auth_revoked_tokens"), 2);
    assert_eq!(fixture.errors(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_no_list_is_not_opened() {
    let fixture = Fixture::new("a\nb c\n");
    let error = fixture.open().await.unwrap_err().to_string();
    let path = fixture.path().display().to_string();
    assert!(error.contains(&format!("{path}: line 2 is not one id")) && !error.contains("b c"), "{error}");

    fs::remove_file(fixture.path()).unwrap();
    let error = fixture.open().await.unwrap_err().to_string();
    assert!(error.contains(&path) && error.contains("No such file") && error.contains("remove the setting"), "{error}");

    fs::create_dir(fixture.path()).unwrap();
    assert!(matches!(fixture.open().await, Err(RevokedFileError::NotAFile { .. })));
    assert_eq!(fixture.list(), Vec::<String>::new());
}

#[test]
fn a_pipe_is_refused_instead_of_waited_for() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(matches!(read(&pipe), Err(RevokedFileError::NotAFile { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_takes_its_place_is_read() {
    let fixture = Fixture::new("a\n");
    let shutdown = Shutdown::new();
    let following = fixture.follow(&shutdown).await;
    fixture.replace("a\nb\n");
    fixture.until_list_is(&["a", "b"]).await;
    fixture.replace("");
    fixture.until_list_is(&[]).await;
    Fixture::until("the gauge follows", || fixture.metric("auth_revoked_tokens") == 0).await;
    assert_eq!(fixture.errors(), 0);
    shutdown.hard().cancel();
    following.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_of_the_same_size_and_time_is_another_one() {
    let fixture = Fixture::new("a\n");
    let time = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    let set_time = |path: &Path| File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    set_time(&fixture.path());
    let _following = fixture.follow(&Shutdown::new()).await;
    let beside = fixture.folder.path().join("beside");
    fs::write(&beside, "b\n").unwrap();
    set_time(&beside);
    fs::rename(&beside, fixture.path()).unwrap();
    fixture.until_list_is(&["b"]).await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_appended_are_read() {
    let fixture = Fixture::new("a\n");
    let _following = fixture.follow(&Shutdown::new()).await;
    let mut file = File::options().append(true).open(fixture.path()).unwrap();
    file.write_all(b"b\n").unwrap();
    fixture.until_list_is(&["a", "b"]).await;
    file.write_all(b"c\n").unwrap();
    fixture.until_list_is(&["a", "b", "c"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_list_stays_in_force_while_the_file_is_of_no_use() {
    let fixture = Fixture::new("a\n");
    let _following = fixture.follow(&Shutdown::new()).await;
    fs::remove_file(fixture.path()).unwrap();
    fixture.until_another_look_fails().await;
    fixture.until_another_look_fails().await;
    assert_eq!(fixture.list(), ["a"]);

    fixture.replace("b\nc d\n");
    fixture.until_another_look_fails().await;
    assert_eq!(fixture.list(), ["a"]);
    assert_eq!(fixture.metric("auth_revoked_tokens"), 1);

    fixture.replace("b\nc\n");
    fixture.until_list_is(&["b", "c"]).await;
}

/// Half a list would let revoked tokens in again; without a list, half of one is better than none.
#[test]
fn what_was_written_to_while_it_was_read_takes_no_lists_place_and_is_read_again() {
    let fixture = Fixture::new("a\nb\n");
    let path = fixture.path();
    let quietly = |file: &File| list::read(BufReader::new(file));
    let disturbed = |file: &File| {
        let ids = quietly(file);
        File::options().append(true).open(fixture.path()).unwrap().write_all(b"c\n").unwrap();
        ids
    };
    let ids_of = |reading: &Option<Reading>| reading.as_ref().map(|reading| sorted(&reading.ids));

    let first = look_by(&path, None, disturbed).unwrap();
    assert_eq!(ids_of(&first), Some(vec!["a".to_owned(), "b".to_owned()]));
    let seen = first.map(|reading| reading.fingerprint);
    for _ in 0..2 {
        assert!(matches!(look_by(&path, seen, disturbed), Err(RevokedFileError::Changing { .. })));
    }
    let whole = look_by(&path, seen, quietly).unwrap();
    assert_eq!(ids_of(&whole), Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    let seen = whole.map(|reading| reading.fingerprint);
    assert!(look_by(&path, seen, quietly).unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn following_goes_on_while_draining_and_ends_with_it() {
    let fixture = Fixture::new("a\n");
    let shutdown = Shutdown::new();
    let following = fixture.follow(&shutdown).await;
    shutdown.request();
    fixture.replace("b\n");
    fixture.until_list_is(&["b"]).await;
    shutdown.hard().cancel();
    timeout(TEST_TIMEOUT, following).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lasting_trouble_is_told_at_once_and_then_once_a_minute() {
    let mut warnings = Warnings::default();
    assert!(!warnings.end(), "nothing was told");
    let told = |warnings: &mut Warnings| u32::from(warnings.is_due());
    assert_eq!(told(&mut warnings), 1);
    let mut count = 0;
    for _ in 0..60 {
        advance(WARNING_INTERVAL / 20).await;
        count += told(&mut warnings);
    }
    assert_eq!(count, 3);

    assert!(warnings.end());
    assert!(!warnings.end(), "its end is told once");
    assert_eq!(told(&mut warnings), 0, "a trouble that comes and goes is not told each time");
    assert!(!warnings.end());
}
