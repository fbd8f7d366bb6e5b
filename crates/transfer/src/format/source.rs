//! An export's file as a source of an import.

use std::collections::VecDeque;

use async_trait::async_trait;
use tokio::io::{AsyncBufRead, AsyncRead, BufReader};

use super::{FileError, Line, Lines, Track};
use crate::{CHUNK_EVENTS_MAX, Item, Source, SourceError, TeamPlan};

/// How much of the file is read at once.
const READ_BYTES: usize = 256 * 1024;

/// A chunk is full with this many bytes, too.
const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads an export, and checks it line by line. Holds the plan and one chunk in memory, whatever the file's size.
#[derive(Debug)]
pub struct FileSource<R> {
    lines: Lines<BufReader<R>>,
    track: Track,
    /// What has been read and not been asked for yet.
    ready: VecDeque<Item>,
}

impl<R: AsyncRead + Unpin + Send> FileSource<R> {
    /// Reads the head and the plan.
    pub async fn open(reader: R) -> Result<Self, FileError> {
        let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, reader));
        let mut track = Track::default();
        while !track.is_planned() {
            if next_line(&mut lines, &mut track).await?.is_none() {
                return Err(match lines.number() {
                    0 => FileError::NotAnExport,
                    number => FileError::Truncated { line: number + 1 },
                });
            }
        }
        Ok(Self { lines, track, ready: VecDeque::new() })
    }

    /// The program that wrote the export.
    pub fn program(&self) -> &str {
        self.track.head().map_or("", |head| head.program.as_str())
    }

    async fn read(&mut self) -> Result<Option<Item>, FileError> {
        if let Some(item) = self.ready.pop_front() {
            return Ok(Some(item));
        }
        let mut events = Vec::new();
        let mut bytes = 0;
        loop {
            let before = self.lines.end();
            let Some(line) = next_line(&mut self.lines, &mut self.track).await? else {
                let line = self.lines.number() + 1;
                return if self.track.is_ended() { Ok(None) } else { Err(FileError::Truncated { line }) };
            };
            match line {
                Line::Event(event) => {
                    bytes += usize::try_from(self.lines.end() - before).unwrap_or(usize::MAX);
                    events.push(event);
                    if events.len() == CHUNK_EVENTS_MAX || bytes >= CHUNK_BYTES_MAX {
                        return Ok(chunk(events));
                    }
                }
                Line::TeamEnd(summary) => {
                    let end = Item::TeamEnd(summary);
                    return Ok(match chunk(events) {
                        Some(events) => {
                            self.ready.push_back(end);
                            Some(events)
                        }
                        None => Some(end),
                    });
                }
                // Whoever gets the last team's end wants to know that the file is whole.
                Line::Head(_) | Line::Plan(_) | Line::End(_) => {}
            }
        }
    }
}

fn chunk(events: Vec<huddle_domain::Event>) -> Option<Item> {
    let team = events.first()?.team.clone();
    Some(Item::Events { team, events })
}

/// Reads a line and follows it; `None` at the end of the input.
async fn next_line<R: AsyncBufRead + Unpin>(
    lines: &mut Lines<R>,
    track: &mut Track,
) -> Result<Option<Line>, FileError> {
    let number = lines.number() + 1;
    let Some(bytes) = lines.next().await? else { return Ok(None) };
    let line = Line::parse(bytes, number)?;
    track.accept(&line)?;
    Ok(Some(line))
}

#[async_trait]
impl<R: AsyncRead + Unpin + Send> Source for FileSource<R> {
    fn plan(&self) -> &[TeamPlan] {
        self.track.plan()
    }

    async fn next(&mut self) -> Result<Option<Item>, SourceError> {
        Ok(self.read().await?)
    }
}
