//! The chart: a small panel for each series, over time, as SVG.

use std::fmt::Write as _;

use crate::samples::{SERIES, Sample};

const WIDTH: f64 = 900.0;
const PANEL: f64 = 110.0;
/// Around the line of a panel.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 14.0;

/// The whole chart. Vertical lines mark when a server was replaced.
pub fn chart(samples: &[Sample], replaced: &[f64]) -> String {
    let height = PANEL * SERIES.len() as f64 + 30.0;
    let end = samples.last().map_or(1.0, |sample| sample.at.as_secs_f64()).max(1.0);
    let x = |seconds: f64| LEFT + (WIDTH - LEFT - RIGHT) * seconds / end;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (series, (name, unit, _)) in SERIES.iter().enumerate() {
        let top = PANEL * series as f64 + TOP;
        let bottom = PANEL * (series + 1) as f64 - BOTTOM;
        // From zero, so that a panel shows how much of the whole a change is.
        let most = samples.iter().map(|sample| sample.values[series]).fold(0.0, f64::max).max(1.0);
        let y = |value: f64| bottom - (bottom - top) * value / most;
        let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{:.0}\" fill=\"#222\">{name}{unit}</text>", top - 10.0);
        for at in replaced {
            let at = x(*at);
            let _ = writeln!(out, "<path d=\"M{at:.1} {top:.1}V{bottom:.1}\" stroke=\"#ddd\"/>");
        }
        let _ = writeln!(out, "<path d=\"M{LEFT} {bottom:.1}H{:.1}\" stroke=\"#888\"/>", WIDTH - RIGHT);
        for (value, at) in [(most, top + 4.0), (0.0, bottom + 4.0)] {
            let at = format!("x=\"{:.0}\" y=\"{at:.0}\"", LEFT - 6.0);
            let _ = writeln!(out, "<text {at} text-anchor=\"end\" fill=\"#555\">{value:.0}</text>");
        }
        let points: Vec<String> = samples
            .iter()
            .map(|sample| format!("{:.1},{:.1}", x(sample.at.as_secs_f64()), y(sample.values[series])))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#1f6feb\" stroke-width=\"1.5\"/>",
            points.join(" ")
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{:.0}\" fill=\"#555\">{:.0} minutes; grey lines: a server was replaced by a new one</text>\n</svg>",
        height - 10.0,
        end / 60.0
    );
    out
}
