//! Owns the recording of a run while it happens, and what can be told from it at any moment: how far each client is,
//! and when things were acknowledged.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use huddle_verify::recording::{Note, Writer};

use super::{
    board::{Board, ClientState, Place},
    tape::Tape,
};

/// The client of lines that are about the run itself.
pub const WORLD: &str = "world";

/// Positions of each team that are kept for readers to ask for.
const RECENT_MAX: usize = 64;

/// Writes down what clients do and see. Clones write to the same recording; a line costs a lock and a copy.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    writer: Writer,
    live: Mutex<Live>,
}

/// What is known of the run up to now.
#[derive(Debug, Default)]
struct Live {
    board: Board,
    tape: Tape,
    /// By team, the positions that were accepted last.
    recent: BTreeMap<String, VecDeque<u64>>,
}

impl Recorder {
    /// Begins a recording in the file `path`, which must not exist.
    pub fn create(path: &Path, seed: u64) -> Result<Self> {
        let writer = Writer::create(path, seed).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(Arc::new(Shared { path: path.to_owned(), writer, live: Mutex::default() })))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Makes a client known that will follow teams or send: see [`Place`].
    pub fn expect(&self, client: &str, place: Place) {
        self.live().board.expect(client, place);
    }

    /// Writes down what `client` does or saw now, on its `connection`-th connection.
    pub fn note(&self, client: &str, connection: u32, note: Note) {
        let mut live = self.live();
        // Under the lock: the lines stand in the order of their times, and what is known here has that order too.
        let now = Instant::now();
        let at_us = micros(now.saturating_duration_since(self.0.writer.began()));
        let Live { board, tape, recent } = &mut *live;
        if let Note::Accepted { team, seq, .. } = &note {
            let recent = recent.entry(team.clone()).or_default();
            recent.push_back(*seq);
            if recent.len() > RECENT_MAX {
                recent.pop_front();
            }
        }
        tape.take(at_us, client, &note, board);
        board.take(at_us, client, connection, &note);
        tape.set_whole(at_us, board.is_whole());
        self.0.writer.note_at(now, client, connection, note);
    }

    /// The positions of `team` that were accepted last, in the order in which that became known.
    pub fn recently_accepted(&self, team: &str) -> Vec<u64> {
        self.live().recent.get(team).into_iter().flatten().copied().collect()
    }

    /// How far each client is.
    pub fn clients(&self) -> BTreeMap<String, ClientState> {
        self.live().board.clients().clone()
    }

    /// What `look` finds of how far each client is.
    pub fn look<T>(&self, look: impl FnOnce(&Board) -> T) -> T {
        look(&self.live().board)
    }

    /// What `look` finds on the tape.
    pub fn replay<T>(&self, look: impl FnOnce(&Tape) -> T) -> T {
        look(&self.live().tape)
    }

    /// How long the recording has been running.
    pub fn elapsed(&self) -> Duration {
        self.0.writer.began().elapsed()
    }

    /// The same in microseconds, as lines bear it.
    pub fn now_us(&self) -> u64 {
        micros(self.elapsed())
    }

    /// How many lines there are.
    pub fn lines(&self) -> u64 {
        self.0.writer.lines()
    }

    /// Hands everything to the file.
    pub fn flush(&self) -> Result<()> {
        self.0.writer.flush().with_context(|| format!("cannot write {}", self.0.path.display()))
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        // What is in there is for waiting and for pictures; after a panic elsewhere it is still of use.
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
