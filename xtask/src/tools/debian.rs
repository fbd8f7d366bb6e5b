//! Owns programs, and a library, that come as Debian packages: each is unpacked below `.tools/` with what it needs and this machine
//! lacks, by apt and dpkg-deb, without root. No script of a package runs.
//!
//! Debian keeps one version of a package at a time, so these are not pinned: a program that is there is left alone.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{cannot_write, is_installed, replace};
use crate::run;

/// Changed when what is unpacked would come out differently: then it is fetched again.
const LAYOUT: &str = "1";
/// How far below `usr/lib` libraries are looked for; plug-ins lie deeper.
const LIBRARY_DEPTH_MAX: usize = 2;
/// One failed download is tried this often.
const DOWNLOAD_RETRIES: &str = "3";
const NO_APT_ADVICE: &str = "this machine has no apt-get and dpkg-deb";

/// What is done with the file that is wanted of a package.
#[derive(Clone, Copy)]
enum Use {
    /// It is started, by a starter in `.tools/bin`.
    Start,
    /// It is loaded into other programs, from `.tools/lib`.
    Preload,
}

/// A program, and the packages that bring it.
pub(super) struct Program {
    /// Its name, and that of the starter or the library.
    pub(super) name: &'static str,
    purpose: Use,
    /// Below `.tools`.
    directory: &'static str,
    packages: &'static [&'static str],
    /// The program inside `directory`; of a library its name alone, since where it lies depends on the processor.
    file: &'static str,
    /// The program of a machine that has the packages; then nothing is fetched.
    system: Option<&'static str>,
    /// The environment variable that names another one.
    pub(super) instead: &'static str,
}

pub(super) const PROGRAMS: [Program; 3] = [
    // For the tests of the page. The font makes text look the same everywhere.
    Program {
        name: "chromium",
        purpose: Use::Start,
        directory: "chromium",
        packages: &["chromium", "fonts-inter"],
        file: "usr/lib/chromium/chromium",
        system: Some("/usr/bin/chromium"),
        instead: "HUDDLE_CHROMIUM",
    },
    // For the tests of the import from MySQL.
    Program {
        name: "mariadbd",
        purpose: Use::Start,
        directory: "mariadb",
        packages: &["mariadb-server-core", "mariadb-client-core"],
        file: "usr/sbin/mariadbd",
        system: None,
        instead: "HUDDLE_MARIADB_BIN",
    },
    // For the tests of clocks that are wrong. The variant for programs with threads.
    Program {
        name: "libfaketimeMT.so.1",
        purpose: Use::Preload,
        directory: "faketime",
        packages: &["libfaketime"],
        file: "libfaketimeMT.so.1",
        system: None,
        instead: "HUDDLE_FAKETIME",
    },
];

impl Program {
    pub(super) fn is_installed(&self, root: &Path) -> bool {
        let is_unpacked = is_installed(&root.join(self.directory), &self.version());
        self.front(root).exists() && (is_unpacked || self.system_file().is_some())
    }

    /// Where others find it: a starter, or a link.
    fn front(&self, root: &Path) -> PathBuf {
        let directory = match self.purpose {
            Use::Start => "bin",
            Use::Preload => "lib",
        };
        root.join(directory).join(self.name)
    }

    /// Puts the program into `root`, and what others find it by into `root/bin` or `root/lib`.
    pub(super) fn install(&self, root: &Path) -> Result<()> {
        let starter = self.front(root);
        if starter.symlink_metadata().is_ok() {
            fs::remove_file(&starter).with_context(|| cannot_write(&starter))?;
        }
        if let Some(system) = self.system_file() {
            return symlink(system, &starter).with_context(|| cannot_write(&starter));
        }
        let directory = root.join(self.directory);
        let unpacked = replace(&directory, &self.version(), |fresh| self.unpack(root, fresh));
        unpacked.with_context(|| {
            format!("{} could not be fetched; install it, and name it with {}", self.name, self.instead)
        })?;
        if let Use::Preload = self.purpose {
            return self.link(&starter, &directory);
        }
        fs::write(&starter, self.starter(&directory)?).with_context(|| cannot_write(&starter))?;
        fs::set_permissions(&starter, fs::Permissions::from_mode(0o755)).with_context(|| cannot_write(&starter))?;
        run::quietly(run::command(&starter).arg("--version")).map(drop)
    }

    /// Links the library from `front`, and sees that a program that loads it there has another clock.
    fn link(&self, front: &Path, directory: &Path) -> Result<()> {
        let library = self.library(directory)?.with_context(|| self.lacks_its_file())?;
        if let Some(parent) = front.parent() {
            fs::create_dir_all(parent).with_context(|| cannot_write(parent))?;
        }
        symlink(Path::new("..").join(self.directory).join(library), front).with_context(|| cannot_write(front))?;
        let mut date = run::command("date");
        date.arg("+%Y").env("LD_PRELOAD", front).env("FAKETIME", "@2001-06-01 00:00:00");
        let year = run::quietly(&mut date)?;
        if year.trim() != "2001" {
            bail!("{} does nothing on this machine", self.name);
        }
        Ok(())
    }

    /// The library, relative to `directory`.
    fn library(&self, directory: &Path) -> Result<Option<PathBuf>> {
        let places = library_directories(directory)?.into_iter().map(|place| place.join(self.file));
        Ok(places.into_iter().find(|file| directory.join(file).is_file()))
    }

    fn lacks_its_file(&self) -> String {
        format!("{} does not hold {}: see xtask/src/tools/debian.rs", self.packages.join(" and "), self.file)
    }

    fn system_file(&self) -> Option<&'static str> {
        self.system.filter(|file| Path::new(file).is_file())
    }

    fn version(&self) -> String {
        format!("{} layout {LAYOUT}", self.packages.join(" "))
    }

    fn unpack(&self, root: &Path, fresh: &Path) -> Result<()> {
        let apt = Apt::new(root)?;
        let downloads = fresh.join("downloads");
        if apt.fetch(Lists::System, self.packages, &downloads).is_err() {
            // The machine's lists are missing, or name versions that are gone.
            apt.update()?;
            fs::remove_dir_all(&downloads).with_context(|| cannot_write(&downloads))?;
            apt.fetch(Lists::Own, self.packages, &downloads)?;
        }
        for package in fs::read_dir(&downloads)? {
            run::quietly(run::command("dpkg-deb").arg("-x").arg(package?.path()).arg(fresh))?;
        }
        fs::remove_dir_all(&downloads).with_context(|| cannot_write(&downloads))?;
        let is_there = match self.purpose {
            Use::Start => fresh.join(self.file).is_file(),
            Use::Preload => self.library(fresh)?.is_some(),
        };
        if !is_there {
            bail!(self.lacks_its_file());
        }
        if fresh.join("usr/share/fonts").is_dir() {
            let fonts = fresh.join(FONTS_FILE);
            fs::write(&fonts, FONTS).with_context(|| cannot_write(&fonts))?;
        }
        Ok(())
    }

    /// A script that starts the program with the libraries and fonts that came with it, wherever the checkout is.
    fn starter(&self, directory: &Path) -> Result<String> {
        let libraries = library_directories(directory)?;
        let libraries: Vec<_> = libraries.iter().map(|library| format!("$here/{}", library.display())).collect();
        let mut lines = vec![
            "#!/bin/sh".to_owned(),
            "# Made by `cargo xtask tools`.".to_owned(),
            format!("here=$(dirname \"$(readlink -f \"$0\")\")/../{}", self.directory),
        ];
        if !libraries.is_empty() {
            let libraries = libraries.join(":");
            lines.push(format!("export LD_LIBRARY_PATH=\"{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\""));
        }
        if directory.join(FONTS_FILE).exists() {
            lines.push(format!("export FONTCONFIG_FILE=\"$here/{FONTS_FILE}\""));
        }
        lines.push(format!("exec \"$here/{}\" \"$@\"\n", self.file));
        Ok(lines.join("\n"))
    }
}

const FONTS_FILE: &str = "fonts.conf";

const FONTS: &str = r#"<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <match target="pattern">
    <test name="family" qual="any"><string>system-ui</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit>
  </match>
  <match target="pattern">
    <test name="family" qual="any"><string>sans-serif</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit>
  </match>
</fontconfig>
"#;

/// Where lists of packages are read.
#[derive(Clone, Copy)]
enum Lists {
    /// The machine's own.
    System,
    /// Those that [`Apt::update`] fetched.
    Own,
}

/// apt with directories of our own, so that it writes nowhere else.
struct Apt {
    directory: PathBuf,
}

impl Apt {
    fn new(root: &Path) -> Result<Self> {
        for program in ["apt-get", "dpkg-deb"] {
            if !run::succeeds(run::command(program).arg("--version")) {
                bail!(NO_APT_ADVICE);
            }
        }
        let directory = root.join("apt");
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(directory.join(part)).with_context(|| cannot_write(&directory))?;
        }
        Ok(Self { directory })
    }

    fn command(&self, lists: Lists) -> Command {
        let mut command = run::command("apt-get");
        let directory = self.directory.display();
        // Root would hand the download to a user who cannot write here.
        command.args(["-qq", "-o", "APT::Sandbox::User=root"]);
        command.args(["-o", &format!("Dir::Cache={directory}/cache")]);
        command.args(["-o", &format!("Acquire::Retries={DOWNLOAD_RETRIES}")]);
        if let Lists::Own = lists {
            command.args(["-o", &format!("Dir::State::Lists={directory}/lists")]);
        }
        command.env("LC_ALL", "C");
        command
    }

    fn update(&self) -> Result<()> {
        run::quietly(self.command(Lists::Own).arg("update")).map(drop)
    }

    /// Downloads `packages`, and what they need and the machine lacks, into the new directory `downloads`.
    fn fetch(&self, lists: Lists, packages: &[&str], downloads: &Path) -> Result<()> {
        fs::create_dir(downloads).with_context(|| cannot_write(downloads))?;
        let mut plan = self.command(lists);
        plan.args(["--simulate", "--reinstall", "--no-install-recommends", "install"]).args(packages);
        let plan = run::quietly(&mut plan)?;
        let needed: Vec<_> = plan.lines().filter_map(named_in).collect();
        let is_planned = |package: &&str| needed.iter().any(|(name, _)| name == package);
        if !packages.iter().all(is_planned) {
            bail!("apt-get has no {}", packages.join(" and no "));
        }
        let mut download = self.command(lists);
        download.arg("download").current_dir(downloads);
        download.args(needed.iter().map(|(name, version)| format!("{name}={version}")));
        run::quietly(&mut download).map(drop)
    }
}

/// Name and version in a line of a simulation such as `Inst zlib1g [1:1.2] (1:1.3 Debian:12 [amd64])`.
fn named_in(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    let version = rest.split_once('(')?.1.split_whitespace().next()?;
    Some((name, version))
}

/// The directories with libraries, relative to `directory`.
fn library_directories(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open: Vec<_> = ["lib", "usr/lib"].map(|start| (PathBuf::from(start), 0)).into();
    while let Some((relative, depth)) = open.pop() {
        let mut holds_libraries = false;
        let entries = match fs::read_dir(directory.join(&relative)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if entry.file_type()?.is_dir() {
                if depth < LIBRARY_DEPTH_MAX {
                    open.push((relative.join(name), depth + 1));
                }
            } else {
                let name = name.to_string_lossy();
                holds_libraries |= name.starts_with("lib") && name.contains(".so");
            }
        }
        if holds_libraries {
            found.push(relative);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_simulation_installs_is_read_with_its_version() {
        let plan = "Inst a (1.2-3 Debian:12.15/oldstable [all])\n\
                    Inst b [0.9] (1:1.0-1 Debian:12/oldstable, Debian-Security:12/x [amd64]) []\n\
                    Conf a (1.2-3 Debian:12.15/oldstable [all])\nRemv c [1]";
        let named: Vec<_> = plan.lines().filter_map(named_in).collect();
        assert_eq!(named, [("a", "1.2-3"), ("b", "1:1.0-1")]);
    }
}
