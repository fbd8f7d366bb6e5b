//! Owns the check that documents tell of what there is: links lead somewhere, and files that are named exist.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::repo;

/// The folder of documents, besides those in the root of the checkout.
const FOLDER: &str = "docs";
/// A code span that begins with one of these names a file or folder of the checkout.
const CHECKOUT_FOLDERS: [&str; 8] = [".cargo/", ".ci/", ".config/", "crates/", "docs/", "proto/", "tests/", "xtask/"];

/// What one document points to.
#[derive(Debug, Default, PartialEq, Eq)]
struct References {
    /// Targets of links and pictures, as written.
    links: Vec<String>,
    /// Code spans that name a file or folder, from the root of the checkout.
    files: Vec<String>,
    /// The anchors of its own headings.
    anchors: BTreeSet<String>,
}

/// Fails when a document of this checkout points to something that there is not; names all such places.
pub(crate) fn check() -> Result<()> {
    // Links are followed through the real path.
    let root = &repo::root().canonicalize().context("cannot resolve the root of the checkout")?;
    let mut documents = HashMap::new();
    for path in paths(root)? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        documents.insert(path, references(&text));
    }
    let mut broken: Vec<String> = Vec::new();
    for (path, document) in &documents {
        let name = path.strip_prefix(root).unwrap_or(path).display();
        let folder = path.parent().unwrap_or(root);
        let links = document.links.iter().filter(|link| !is_good_link(link, path, folder, &documents));
        let files = document.files.iter().filter(|file| !root.join(file).exists());
        broken.extend(links.map(|link| format!("{name}: the link {link} leads nowhere")));
        broken.extend(files.map(|file| format!("{name}: there is no {file}")));
    }
    broken.sort();
    if !broken.is_empty() {
        bail!("{}", broken.join("\n  "));
    }
    println!("documents: the links and files of {} documents are there", documents.len());
    Ok(())
}

/// All documents: those in the root, and those in the folder and the folders in it.
fn paths(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned(), root.join(FOLDER)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                if folder != root {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn is_good_link(link: &str, document: &Path, folder: &Path, documents: &HashMap<PathBuf, References>) -> bool {
    if link.contains("://") {
        // Pages elsewhere come and go without a change here.
        return true;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { Some(document.to_owned()) } else { folder.join(file).canonicalize().ok() };
    let Some(target) = target else { return false };
    anchor.is_empty() || documents.get(&target).is_some_and(|references| references.anchors.contains(anchor))
}

/// Reads what is needed of Markdown: headings, links, pictures, code spans; fenced blocks are left out.
fn references(text: &str) -> References {
    let mut references = References::default();
    let mut is_fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            if line.starts_with('#') {
                let anchor = anchor(line.trim_start_matches('#').trim());
                references.anchors.insert(anchor);
            }
            references.add_line(line);
        }
    }
    references
}

impl References {
    fn add_line(&mut self, line: &str) {
        // Every second part stands between backticks.
        for (index, part) in line.split('`').enumerate() {
            if index % 2 == 1 && names_file(part) {
                self.files.push(part.to_owned());
            }
        }
        for (opening, closing) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
            let targets = line.split(opening).skip(1).filter_map(|rest| rest.split_once(closing));
            self.links.extend(targets.map(|(target, _)| target.to_owned()));
        }
    }
}

/// A pattern or a placeholder names no file.
fn names_file(span: &str) -> bool {
    CHECKOUT_FOLDERS.iter().any(|folder| span.starts_with(folder))
        && span.chars().all(|character| character.is_ascii_alphanumeric() || "/._-".contains(character))
}

/// The anchor that a heading gets: lower case, punctuation left out, hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    kept.flat_map(char::to_lowercase).map(|character| if character == ' ' { '-' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_files_and_headings_are_found_outside_of_blocks() {
        let text = "# The `log`, in short\nSee [there](a/b.md#x), `crates/log/src`, `crates/<name>` and `cargo run`.\n\
                    <img src=\"p.svg\">\n```text\n[no](no.md) `crates/no`\n# no\n```\n";
        let expected = References {
            links: vec!["a/b.md#x".to_owned(), "p.svg".to_owned()],
            files: vec!["crates/log/src".to_owned()],
            anchors: ["the-log-in-short".to_owned()].into(),
        };
        assert_eq!(references(text), expected);
    }

    #[test]
    fn a_link_is_good_when_its_file_and_its_heading_are_there() {
        let folder = repo::root().join("xtask/src");
        let document = folder.join("documents.rs");
        let anchors = ["here".to_owned()].into();
        let documents = HashMap::from([(document.clone(), References { anchors, ..References::default() })]);
        let is_good = |link| is_good_link(link, &document, &folder, &documents);
        for link in ["main.rs", "../Cargo.toml", "#here", "documents.rs#here", "https://example.com/gone"] {
            assert!(is_good(link), "{link}");
        }
        for link in ["gone.rs", "#there", "main.rs#here"] {
            assert!(!is_good(link), "{link}");
        }
    }
}
