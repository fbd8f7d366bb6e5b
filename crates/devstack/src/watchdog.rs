//! Owns the last resort: a shell that ends a child when this program is gone, however it went.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::Signal;

/// The shell blocks on a pipe that nobody writes to. Its other end is ours and closes when this program ends.
const SCRIPT: &str = r#"read -r _; kill -s "$1" -- "-$2" 2>/dev/null"#;

/// Ends a process group when this program dies. Dropping it calls it off.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Watches over the process group `group`, which must be called off before its leader's pid can be reused.
    pub(crate) fn over(group: u32, signal: Signal) -> io::Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "huddle-watchdog", signal.name(), &group.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // The pipe must stay open until the shell is gone, or it would do its work: `wait` alone would close it first.
        let pipe = self.shell.stdin.take();
        // Both fail only when the shell is already gone, which is what is wanted.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        drop(pipe);
    }
}
