//! A picture of curves, as SVG: panels beside each other, a legend below.

use std::fmt::Write;

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// What goes from left to right.
    pub x: Axis,
    /// What goes up.
    pub y: Axis,
    /// One for each name; the same name has the same colour in every panel.
    pub curves: Vec<Curve>,
}

/// An axis: from where to where, in the order of the picture, and what is written at it.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it counts.
    pub title: String,
    /// The first and the last value.
    pub range: (f64, f64),
    /// Where there is a line, and what is written there.
    pub ticks: Vec<(f64, String)>,
}

/// A curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Whose it is.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// Okabe and Ito's colours, which people who confuse red and green can tell apart.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555"];
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 340.0;
/// Left, right, above, below.
const MARGINS: (f64, f64, f64, f64) = (62.0, 18.0, 40.0, 52.0);

/// The picture: two panels in a row.
pub fn svg(panels: &[Panel]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for curve in panels.iter().flat_map(|panel| &panel.curves) {
        if !names.contains(&&*curve.name) {
            names.push(&curve.name);
        }
    }
    let rows = panels.len().div_ceil(2) as f64;
    let (width, height) = (WIDTH * 2.0, HEIGHT * rows + 36.0);
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#222">
<rect width="{width}" height="{height}" fill="#fff"/>"##
    );
    for (index, panel) in panels.iter().enumerate() {
        draw(&mut out, panel, WIDTH * (index % 2) as f64, HEIGHT * (index / 2) as f64, &names);
    }
    let step = (width - MARGINS.0) / names.len().max(1) as f64;
    for (index, name) in names.iter().enumerate() {
        let (x, y) = (MARGINS.0 + step * index as f64, height - 16.0);
        let colour = COLOURS[index % COLOURS.len()];
        let _ = writeln!(
            out,
            r##"<rect x="{x:.0}" y="{:.0}" width="22" height="4" fill="{colour}"/><text x="{:.0}" y="{:.0}">{}</text>"##,
            y - 6.0,
            x + 28.0,
            y,
            escaped(name)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel, left: f64, top: f64, names: &[&str]) {
    let (x0, x1) = (left + MARGINS.0, left + WIDTH - MARGINS.1);
    let (y0, y1) = (top + HEIGHT - MARGINS.3, top + MARGINS.2);
    let scale = |axis: &Axis, value: f64, from: f64, to: f64| {
        let part = (value - axis.range.0) / (axis.range.1 - axis.range.0);
        from + part.clamp(0.0, 1.0) * (to - from)
    };
    let middle = f64::midpoint(x0, x1);
    let _ = writeln!(
        out,
        r##"<text x="{middle:.0}" y="{:.0}" text-anchor="middle" font-size="14" font-weight="bold">{}</text>"##,
        top + 24.0,
        escaped(&panel.title)
    );
    for (at, label) in &panel.x.ticks {
        let x = scale(&panel.x, *at, x0, x1);
        let _ = writeln!(
            out,
            r##"<path d="M{x:.1} {y0:.1}V{y1:.1}" stroke="#e4e4e4"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"##,
            y0 + 17.0,
            escaped(label)
        );
    }
    for (at, label) in &panel.y.ticks {
        let y = scale(&panel.y, *at, y0, y1);
        let _ = writeln!(
            out,
            r##"<path d="M{x0:.1} {y:.1}H{x1:.1}" stroke="#e4e4e4"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"##,
            x0 - 6.0,
            y + 4.0,
            escaped(label)
        );
    }
    let _ = writeln!(
        out,
        r##"<text x="{middle:.0}" y="{:.0}" text-anchor="middle" fill="#555">{}</text>
<text transform="translate({:.0} {:.0}) rotate(-90)" text-anchor="middle" fill="#555">{}</text>"##,
        y0 + 36.0,
        escaped(&panel.x.title),
        left + 14.0,
        f64::midpoint(y0, y1),
        escaped(&panel.y.title)
    );
    for curve in &panel.curves {
        let colour = names.iter().position(|name| *name == curve.name).unwrap_or(0) % COLOURS.len();
        let mut path = String::new();
        for (index, (x, y)) in curve.points.iter().enumerate() {
            let letter = if index == 0 { 'M' } else { 'L' };
            let _ =
                write!(path, "{letter}{:.1} {:.1}", scale(&panel.x, *x, x0, x1), scale(&panel.y, *y, y0, y1));
        }
        let _ = writeln!(
            out,
            r##"<path d="{path}" fill="none" stroke="{}" stroke-width="2" stroke-linejoin="round"/>"##,
            COLOURS[colour]
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
