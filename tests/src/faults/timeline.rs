//! Owns the picture of a run: what was broken when, what was accepted meanwhile, and who lost a connection.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{measure::seconds, tape::Tape};

const WIDTH: f64 = 1_200.0;
/// Left of the time axis: names of lanes.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const LANE_HEIGHT: f64 = 24.0;
const CURVE_HEIGHT: f64 = 140.0;
const SPACE: f64 = 34.0;
/// Stretches without a receipt that are marked: the longest ones of at least this, in microseconds.
const GAP_MIN_US: u64 = 1_000_000;
const GAPS_MAX: usize = 6;
/// Distances of the axis' marks, in seconds: the first with at most so many marks is taken.
const TICKS_S: [u64; 9] = [1, 2, 5, 10, 20, 30, 60, 120, 300];
const TICKS_MAX: u64 = 16;
/// Microseconds in a second.
const SECOND_US: u64 = 1_000_000;

/// The picture of all that is on the tape up to `until_us`, as SVG.
pub fn draw(title: &str, tape: &Tape, until_us: u64) -> String {
    let until_us = until_us.max(SECOND_US);
    let lanes: Vec<&str> = {
        let names: BTreeSet<&str> = tape.faults().iter().map(|fault| lane_of(&fault.what)).collect();
        names.into_iter().collect()
    };
    let gateways: Vec<&str> = {
        let names: BTreeSet<&str> = tape.connections().iter().filter_map(|it| it.gateway.as_deref()).collect();
        names.into_iter().collect()
    };
    let curve_top = TOP + LANE_HEIGHT * count(lanes.len()) + SPACE;
    let groups_top = curve_top + CURVE_HEIGHT + SPACE;
    let height = groups_top + LANE_HEIGHT * count(gateways.len()) + 48.0;
    let mut picture = Picture { svg: String::new(), until_us };
    picture.open(title, height);
    picture.axis(until_us, TOP, groups_top + LANE_HEIGHT * count(gateways.len()));
    picture.gaps(tape, TOP, groups_top + LANE_HEIGHT * count(gateways.len()));
    picture.faults(tape, &lanes);
    picture.curve(tape, curve_top);
    picture.disconnects(tape, &gateways, groups_top);
    picture.svg.push_str("</svg>\n");
    picture.svg
}

struct Picture {
    svg: String,
    until_us: u64,
}

impl Picture {
    fn open(&mut self, title: &str, height: f64) {
        self.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" \
             font-size=\"12\" fill=\"#222\">\n<rect width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#fff\"/>\n\
             <text x=\"16\" y=\"24\" font-size=\"16\" font-weight=\"bold\">{}</text>",
            escaped(title)
        ));
        let legend = "faults as bars · receipts per second · red: nothing acknowledged · marks: connections lost";
        self.add(format_args!("<text x=\"16\" y=\"44\" fill=\"#666\">{legend}</text>"));
    }

    fn axis(&mut self, until_us: u64, top: f64, bottom: f64) {
        let whole_s = until_us / SECOND_US;
        let tick_s = TICKS_S.into_iter().find(|tick| whole_s / tick <= TICKS_MAX).unwrap_or(TICKS_S[TICKS_S.len() - 1]);
        let mut at_s = 0;
        while at_s <= whole_s {
            let x = self.x(at_s * SECOND_US);
            self.add(format_args!("<path d=\"M{x:.1} {top:.0}V{bottom:.0}\" stroke=\"#eee\"/>"));
            let y = bottom + 16.0;
            self.add(format_args!(
                "<text x=\"{x:.1}\" y=\"{y:.0}\" text-anchor=\"middle\" fill=\"#666\">{at_s} s</text>"
            ));
            at_s += tick_s;
        }
    }

    fn gaps(&mut self, tape: &Tape, top: f64, bottom: f64) {
        let mut gaps = Vec::new();
        let mut times = tape.accepted().iter().map(|accepted| accepted.at_us);
        if let Some(mut last_us) = times.next() {
            for at_us in times {
                if at_us - last_us >= GAP_MIN_US {
                    gaps.push((at_us - last_us, last_us));
                }
                last_us = at_us;
            }
        }
        gaps.sort_unstable();
        for (took_us, from_us) in gaps.into_iter().rev().take(GAPS_MAX) {
            let (x, end) = (self.x(from_us), self.x(from_us + took_us));
            let (width, height, text_y) = (end - x, bottom - top, bottom - 4.0);
            let took = seconds(std::time::Duration::from_micros(took_us));
            self.add(format_args!(
                "<rect x=\"{x:.1}\" y=\"{top:.0}\" width=\"{width:.1}\" height=\"{height:.0}\" fill=\"#d33\" \
                 fill-opacity=\"0.12\"/>\n<text x=\"{x:.1}\" y=\"{text_y:.0}\" dx=\"2\" fill=\"#b00\">{took}</text>"
            ));
        }
    }

    fn faults(&mut self, tape: &Tape, lanes: &[&str]) {
        for (index, lane) in lanes.iter().enumerate() {
            let y = TOP + LANE_HEIGHT * count(index);
            self.lane_name(lane, y);
            for fault in tape.faults().iter().filter(|fault| lane_of(&fault.what) == *lane) {
                let (x, end) = (self.x(fault.from_us), self.x(fault.until_us.unwrap_or(self.until_us)));
                let (bar_y, width, text_y) = (y + 4.0, (end - x).max(3.0), y + 16.0);
                let what = fault.what.strip_prefix(lane).unwrap_or(&fault.what).trim();
                let (row, what) = (escaped(&fault.row), escaped(what));
                self.add(format_args!(
                    "<rect x=\"{x:.1}\" y=\"{bar_y:.0}\" width=\"{width:.1}\" height=\"16\" rx=\"2\" fill=\"#e9a23b\"/>\n\
                     <text x=\"{x:.1}\" y=\"{text_y:.0}\" dx=\"4\">{row} {what}</text>"
                ));
            }
        }
    }

    fn curve(&mut self, tape: &Tape, top: f64) {
        let bottom = top + CURVE_HEIGHT;
        let mut by_second = vec![0_u32; index(self.until_us / SECOND_US) + 1];
        for accepted in tape.accepted() {
            if let Some(number) = by_second.get_mut(index(accepted.at_us / SECOND_US)) {
                *number += 1;
            }
        }
        let highest = by_second.iter().copied().max().unwrap_or_default().max(1);
        self.lane_name("accepted per second", top);
        let left = LEFT - 8.0;
        let (high_y, low_y) = (top + 30.0, bottom);
        self.add(format_args!(
            "<text x=\"{left}\" y=\"{high_y:.0}\" text-anchor=\"end\" fill=\"#666\">up to {highest}</text>"
        ));
        self.add(format_args!("<path d=\"M{LEFT} {low_y:.0}H{:.0}\" stroke=\"#bbb\"/>", WIDTH - RIGHT));
        let mut path = format!("M{LEFT:.1} {bottom:.1}");
        let mut at_us = 0;
        for number in by_second {
            let y = bottom - CURVE_HEIGHT * f64::from(number) / f64::from(highest);
            let (x, end) = (self.x(at_us), self.x((at_us + SECOND_US).min(self.until_us)));
            // Writing into memory does not fail.
            let _ = write!(path, "L{x:.1} {y:.1}L{end:.1} {y:.1}");
            at_us += SECOND_US;
        }
        let right = self.x(self.until_us);
        self.add(format_args!(
            "<path d=\"{path}L{right:.1} {bottom:.1}Z\" fill=\"#2b6cb0\" fill-opacity=\"0.35\" stroke=\"#2b6cb0\"/>"
        ));
    }

    fn disconnects(&mut self, tape: &Tape, gateways: &[&str], top: f64) {
        let mut homes: BTreeMap<usize, &str> = BTreeMap::new();
        let mut lost: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for moment in tape.connections() {
            match &moment.gateway {
                Some(gateway) => drop(homes.insert(moment.client, gateway)),
                None => {
                    if let Some(home) = homes.remove(&moment.client) {
                        lost.entry(home).or_default().push(moment.at_us);
                    }
                }
            }
        }
        for (index, gateway) in gateways.iter().enumerate() {
            let y = top + LANE_HEIGHT * count(index);
            let times = lost.get(gateway).map(Vec::as_slice).unwrap_or_default();
            self.lane_name(&format!("{gateway}: {} lost", times.len()), y);
            let mut path = String::new();
            for at_us in times {
                let (x, from, to) = (self.x(*at_us), y + 4.0, y + 20.0);
                let _ = write!(path, "M{x:.1} {from:.0}V{to:.0}");
            }
            if !path.is_empty() {
                self.add(format_args!(
                    "<path d=\"{path}\" stroke=\"#7b3fa0\" stroke-opacity=\"0.7\" stroke-width=\"1.5\"/>"
                ));
            }
        }
    }

    fn lane_name(&mut self, name: &str, top: f64) {
        let (x, y) = (LEFT - 8.0, top + 16.0);
        self.add(format_args!("<text x=\"{x}\" y=\"{y:.0}\" text-anchor=\"end\">{}</text>", escaped(name)));
    }

    #[expect(clippy::cast_precision_loss, reason = "a picture needs no microseconds")]
    fn x(&self, at_us: u64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (at_us.min(self.until_us) as f64) / (self.until_us as f64)
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        let _ = writeln!(self.svg, "{text}");
    }
}

/// What a fault happens to: the first word.
fn lane_of(what: &str) -> &str {
    what.split_whitespace().next().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[expect(clippy::cast_precision_loss, reason = "there are few lanes")]
fn count(lanes: usize) -> f64 {
    lanes as f64
}

fn index(seconds: u64) -> usize {
    usize::try_from(seconds).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use huddle_verify::recording::{Note, Sees};

    use super::*;
    use crate::faults::{Recorder, WORLD};

    #[test]
    fn a_picture_shows_faults_by_what_they_happen_to_and_lost_connections() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(&directory.path().join("recording.jsonl"), 1).unwrap();
        let connected = Note::Connected { user: "a".into(), gateway: "gateway-0".into(), sees: Sees::Events };
        recorder.note("a", 0, connected);
        recorder.note(WORLD, 0, Note::Fault { row: "F1".into(), what: "gateway-0 killed <at once>".into() });
        recorder.note("a", 0, Note::Disconnected { reason: "gone".into() });
        recorder.note(WORLD, 0, Note::Healed { row: "F1".into() });
        let picture = |until_us| recorder.replay(|tape| draw("F1 & others", tape, until_us));
        let svg = picture(30_000_000);
        assert!(svg.contains("F1 &amp; others"));
        assert!(svg.contains(">gateway-0</text>"), "the lane of the fault");
        assert!(svg.contains(">F1 killed &lt;at once&gt;</text>"), "the bar of the fault");
        assert!(svg.contains(">gateway-0: 1 lost</text>"), "the lost connection");
        assert_eq!(svg, picture(30_000_000));
    }
}
