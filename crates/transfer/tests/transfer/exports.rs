//! An export that is interrupted goes on, and never ends as something else than what was planned.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use huddle_transfer::{ExportError, FileError};
use tempfile::{TempDir, tempdir};

use crate::{
    instance::Instance,
    samples::{Memory, events, team_id, three_teams},
};

/// A directory for an export, and the names of the file and of the unfinished file in it.
fn place() -> (TempDir, PathBuf, PathBuf) {
    let directory = tempdir().unwrap();
    let (file, part) = (directory.path().join("all.jsonl"), directory.path().join("all.jsonl.part"));
    (directory, file, part)
}

async fn exported(instance: &Instance, file: &Path) -> String {
    instance.export(file).await.unwrap();
    fs::read_to_string(file).unwrap()
}

/// Places to cut: at and around each end of a line, and many in between.
fn cuts(content: &str) -> BTreeSet<usize> {
    let line_ends = content.match_indices('\n').flat_map(|(end, _)| [end, end + 1, end + 2]);
    line_ends.chain((0..content.len()).step_by(61)).filter(|cut| *cut <= content.len()).collect()
}

#[tokio::test]
async fn an_export_goes_on_wherever_it_was_cut_off() {
    let instance = Instance::embedded_with(&three_teams()).await;
    let (_directory, file, part) = place();
    let whole = exported(&instance, &file).await;
    let events_before = |cut: usize| whole[..cut].lines().filter(|line| line.starts_with("{\"team\":")).count();
    for cut in cuts(&whole) {
        if !whole.is_char_boundary(cut) {
            continue;
        }
        fs::remove_file(&file).unwrap();
        fs::write(&part, &whole[..cut]).unwrap();
        let report = instance.export(&file).await.unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), whole, "cut off at {cut}");
        assert!(!part.exists(), "cut off at {cut}");
        let kept = events_before(cut) as u64;
        assert!(report.continued == kept || report.continued + 1 == kept, "{report:?} after {kept} events");
    }
}

#[tokio::test]
async fn only_its_owner_can_read_an_export() {
    let instance = Instance::embedded_with(&three_teams()).await;
    let (_directory, file, _part) = place();
    exported(&instance, &file).await;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn what_a_power_cut_leaves_at_the_end_is_cut_off() {
    let instance = Instance::embedded_with(&three_teams()).await;
    let (_directory, file, part) = place();
    let whole = exported(&instance, &file).await;
    let cut = whole.match_indices('\n').nth(12).unwrap().0 + 1;
    for rubbish in ["\0\0\0\0", "\0\0\n\0\0\n", "{\"team\":\"alp", &"x".repeat(300_000)] {
        fs::remove_file(&file).unwrap();
        fs::write(&part, format!("{}{rubbish}", &whole[..cut])).unwrap();
        assert_eq!(exported(&instance, &file).await, whole);
    }
}

#[tokio::test]
async fn what_comes_after_the_first_start_is_not_exported() {
    let instance = Instance::embedded_with(&three_teams()).await;
    let (_directory, file, part) = place();
    let whole = exported(&instance, &file).await;
    let plan_ends = whole.match_indices('\n').nth(3).unwrap().0 + 1;
    let more = [events("alpha", (1..=70).step_by(3)), events("delta", [50, 60])];
    instance.import(&mut Memory::new(&more, 100)).await.unwrap();
    for cut in [plan_ends, plan_ends + 500, whole.len() - 1, whole.len()] {
        fs::remove_file(&file).unwrap();
        fs::write(&part, &whole[..cut]).unwrap();
        assert_eq!(exported(&instance, &file).await, whole, "cut off at {cut}");
    }
    fs::remove_file(&file).unwrap();
    let anew = exported(&instance, &file).await;
    assert!(anew.contains("\"delta\"") && anew.contains("\"teams\":\"4\""), "a new export has what is there now");
}

#[tokio::test]
async fn an_export_of_something_else_is_not_continued() {
    let instance = Instance::embedded_with(&three_teams()).await;
    let (_directory, file, part) = place();
    let whole = exported(&instance, &file).await;
    let cut = &whole[..=whole.match_indices('\n').nth(8).unwrap().0];
    fs::remove_file(&file).unwrap();

    fs::write(&part, cut).unwrap();
    let error = instance.export_teams(Some(vec![team_id("alpha")]), &file).await.unwrap_err();
    assert!(matches!(error, ExportError::OtherExport { other: "other teams", .. }), "{error}");

    let elsewhere = Instance::embedded_with(&[events("alpha", [1, 2]), events("beta", [7])]).await;
    let error = elsewhere.export(&file).await.unwrap_err();
    assert!(matches!(error, ExportError::OtherExport { other: "another instance", .. }), "{error}");
    assert_eq!(fs::read_to_string(&part).unwrap(), cut, "it was left as it was");
}

#[tokio::test]
async fn events_that_come_in_between_end_the_export_with_an_error() {
    let late = events("alpha", (1..=40).step_by(3));
    let mut early = late.clone();
    // As if an import had been interrupted: the event before the last is missing.
    let missing = early.remove(early.len() - 2);
    early.last_mut().unwrap().prev_seq = missing.prev_seq;
    let instance = Instance::embedded_with(&[early]).await;
    let (_directory, file, part) = place();
    let whole = exported(&instance, &file).await;
    fs::rename(&file, &part).unwrap();
    fs::write(&part, &whole[..=whole.match_indices('\n').nth(4).unwrap().0]).unwrap();
    let mut writer = instance.partitions.claim(instance.partition(&late[0].team)).await.unwrap().unwrap();
    writer.import(vec![missing]).await.unwrap();
    let error = instance.export(&file).await.unwrap_err();
    assert!(matches!(error, ExportError::Changed { source: FileError::Count { .. } }), "{error:?}");
    assert!(!file.exists(), "nothing that looks whole is left behind");
}

#[tokio::test]
async fn a_file_that_is_there_is_never_overwritten() {
    let instance = Instance::embedded_with(&three_teams()).await;
    let (_directory, file, part) = place();
    fs::write(&file, "dear diary").unwrap();
    let error = instance.export(&file).await.unwrap_err();
    assert!(matches!(error, ExportError::Exists { .. }), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "dear diary");

    fs::remove_file(&file).unwrap();
    for diary in ["dear diary", "dear diary,\ntoday\n", "{\"huddle_export_notes\":1}"] {
        fs::write(&part, diary).unwrap();
        let error = instance.export(&file).await.unwrap_err();
        assert!(matches!(error, ExportError::Part { source: FileError::NotAnExport, .. }), "{diary}: {error}");
        assert_eq!(fs::read_to_string(&part).unwrap(), diary);
    }
}

#[tokio::test]
async fn two_exports_do_not_write_one_file() {
    let instance = Instance::embedded_with(&three_teams()).await;
    let (_directory, file, part) = place();
    let other = fs::File::create(&part).unwrap();
    other.lock().unwrap();
    let error = instance.export(&file).await.unwrap_err();
    assert!(matches!(error, ExportError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_team_that_is_not_there_is_named_and_nothing_is_left_behind() {
    let instance = Instance::embedded_with(&three_teams()).await;
    let (_directory, file, part) = place();
    let error = instance.export_teams(Some(vec![team_id("nobody")]), &file).await.unwrap_err();
    assert_eq!(error.to_string(), "team nobody has no events here");
    assert!(!file.exists() && !part.exists());
}
