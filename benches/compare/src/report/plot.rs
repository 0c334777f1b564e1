//! Plots of the ratios to shm, as SVG that is readable on light and dark pages alike.

use svg::Document;
use svg::node::element::{Circle, Group, Line, Rectangle, Style, Text};

use crate::figure::Figure;
use crate::peer::Peer;
use crate::report::tables::ratio;
use crate::run::Run;
use crate::spread::Spread;

/// One plot, as a file.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) svg: String,
}

const WIDTH: f64 = 960.0;
const LINE: f64 = 17.0;
const GAP: f64 = 12.0;
const TOP: f64 = 92.0;
/// Where the peers' names end, and the plot begins and ends.
const NAMES: f64 = 380.0;
const LEFT: f64 = 400.0;
const RIGHT: f64 = 800.0;
/// Characters of a row's title in one line.
const TITLE: usize = 36;

const STYLE: &str = "\
svg { font: 13px system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif; }
.page { fill: #ffffff; stroke: #d0d7de; }
.stripe { fill: #f3f5f8; }
text { fill: #1f2328; }
.title { font-size: 18px; font-weight: bold; }
.faint, .tick { fill: #57606a; }
.ours { font-weight: bold; }
line { stroke: #b8c0c8; }
.one { stroke: #57606a; stroke-width: 2; }
.whisker { stroke-width: 3; stroke-linecap: round; opacity: 0.55; }
.shmflow { fill: #0969da; stroke: #0969da; }
.shmflow-busy50, .shmflow-busy, .shmflow-busy300 { fill: #8250df; stroke: #8250df; }
.unixfd { fill: #8c6d1f; stroke: #8c6d1f; }
.pipewire { fill: #cf222e; stroke: #cf222e; }
.iceoryx2 { fill: #1a7f37; stroke: #1a7f37; }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117; stroke: #30363d; }
.stripe { fill: #161b22; }
text { fill: #e6edf3; }
.faint, .tick { fill: #9da7b3; }
line { stroke: #3d444d; }
.one { stroke: #9da7b3; }
.shmflow { fill: #58a6ff; stroke: #58a6ff; }
.shmflow-busy50, .shmflow-busy, .shmflow-busy300 { fill: #bc8cff; stroke: #bc8cff; }
.unixfd { fill: #d4a72c; stroke: #d4a72c; }
.pipewire { fill: #ff7b72; stroke: #ff7b72; }
.iceoryx2 { fill: #56d364; stroke: #56d364; }
}
";

/// The plots of a run, one a figure; none of a figure that it has no ratios of.
pub(crate) fn all(run: &Run) -> Vec<Picture> {
    [
        (Figure::ProducerCpu, "compare-producer-cpu.svg"),
        (Figure::ConsumerCpu, "compare-consumer-cpu.svg"),
        (Figure::P50, "compare-p50.svg"),
        (Figure::P99, "compare-p99.svg"),
        (Figure::Received, "compare-received.svg"),
    ]
    .into_iter()
    .filter_map(|(figure, name)| {
        let rows = rows(run, figure);
        let title = format!("{}, beside shm", figure.short());
        (!rows.is_empty()).then(|| Picture { name, svg: draw(&title, figure, &rows), title })
    })
    .collect()
}

/// A row's title, and its peers' ratios.
type RowOf<'a> = (&'a str, Vec<(Peer, Spread)>);

fn rows(run: &Run, figure: Figure) -> Vec<RowOf<'_>> {
    run.rows
        .iter()
        // A latency without a pace is the depth of a queue, and a rate at a pace is the pace.
        .filter(|row| match figure {
            Figure::Received => row.fps == 0,
            Figure::P50 | Figure::P99 => row.fps != 0,
            _ => true,
        })
        .filter_map(|row| {
            let peers: Vec<_> = row
                .peers
                .keys()
                .filter(|peer| peer.is_a_choice() && **peer != Peer::Shm)
                .map(|peer| (*peer, ratio(row, *peer, figure)))
                .filter(|(_, ratio)| ratio.median().is_some_and(|median| median > 0.0))
                .collect();
            (!peers.is_empty()).then_some((row.title.as_str(), peers))
        })
        .collect()
}

/// The logarithmic axis of ratios.
#[derive(Debug)]
struct Axis {
    least: f64,
    greatest: f64,
}

impl Axis {
    /// Holds all of these, and 1.
    fn over<'a>(spreads: impl Iterator<Item = &'a Spread>) -> Self {
        let mut axis = Self { least: 0.5, greatest: 2.0 };
        for (least, greatest) in spreads.filter_map(Spread::ends) {
            // One frame that was very late must not press all else into a corner.
            axis.least = axis.least.min(least.max(0.02) / 1.1);
            axis.greatest = axis.greatest.max(greatest.min(50.0) * 1.1);
        }
        axis
    }

    fn x(&self, ratio: f64) -> f64 {
        let part =
            (ratio.clamp(self.least, self.greatest) / self.least).ln() / (self.greatest / self.least).ln();
        LEFT + (RIGHT - LEFT) * part
    }

    fn ticks(&self) -> Vec<f64> {
        let all = (-2..4).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        all.filter(|tick| (self.least..=self.greatest).contains(tick)).collect()
    }
}

fn draw(title: &str, figure: Figure, rows: &[RowOf<'_>]) -> String {
    let axis = Axis::over(rows.iter().flat_map(|(_, peers)| peers.iter().map(|(_, spread)| spread)));
    let heights: Vec<f64> =
        rows.iter().map(|(title, peers)| LINE * peers.len().max(wrapped(title).len()) as f64 + GAP).collect();
    let bottom = TOP + heights.iter().sum::<f64>();
    let height = bottom + 34.0;
    let better = if figure.rises() { "further right is better →" } else { "← further left is better" };
    let mut picture = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("role", "img")
        .add(svg::node::element::Title::new(title))
        .add(Style::new(STYLE))
        .add(
            Rectangle::new()
                .set("class", "page")
                .set("x", 0.5)
                .set("y", 0.5)
                .set("width", WIDTH - 1.0)
                .set("height", height - 1.0)
                .set("rx", 6),
        )
        .add(text(16.0, 30.0, title).set("class", "title"))
        .add(
            text(16.0, 52.0, "shm = 1; dots are medians, bars from the least to the greatest round")
                .set("class", "faint"),
        )
        .add(text(RIGHT, 52.0, better).set("class", "faint").set("text-anchor", "end"));
    let mut y = TOP;
    for (index, height) in heights.iter().enumerate() {
        if index % 2 == 0 {
            picture = picture.add(
                Rectangle::new()
                    .set("class", "stripe")
                    .set("x", 1)
                    .set("y", y - GAP / 2.0)
                    .set("width", WIDTH - 2.0)
                    .set("height", *height),
            );
        }
        y += height;
    }
    for tick in axis.ticks() {
        let x = axis.x(tick);
        let line = Line::new().set("x1", x).set("x2", x).set("y1", TOP - 10.0).set("y2", bottom);
        let label = text(x, TOP - 16.0, &tick.to_string()).set("class", "tick").set("text-anchor", "middle");
        let below =
            text(x, bottom + 16.0, &tick.to_string()).set("class", "tick").set("text-anchor", "middle");
        let is_one = (tick - 1.0).abs() < 1e-9;
        picture = picture.add(if is_one { line.set("class", "one") } else { line }).add(label).add(below);
    }
    let mut y = TOP;
    for ((title, peers), height) in rows.iter().zip(&heights) {
        for (index, part) in wrapped(title).into_iter().enumerate() {
            picture = picture.add(text(16.0, y + LINE * (index as f64 + 0.7), &part));
        }
        for (index, (peer, spread)) in peers.iter().enumerate() {
            picture = picture.add(mark(&axis, y + LINE * (index as f64 + 0.5), *peer, spread));
        }
        y += height;
    }
    picture.to_string()
}

/// A peer's name, its dot and bar, and the median as a number.
fn mark(axis: &Axis, y: f64, peer: Peer, spread: &Spread) -> Group {
    let Some((median, (least, greatest))) = spread.median().zip(spread.ends()) else { return Group::new() };
    let class = if peer.is_ours() { "ours" } else { "peer" };
    Group::new()
        .add(text(NAMES, y + 4.5, peer.name()).set("text-anchor", "end").set("class", class))
        .add(
            Line::new()
                .set("class", format!("whisker {}", peer.name()))
                .set("x1", axis.x(least))
                .set("x2", axis.x(greatest))
                .set("y1", y)
                .set("y2", y),
        )
        .add(Circle::new().set("class", peer.name()).set("cx", axis.x(median)).set("cy", y).set("r", 5))
        .add(text(RIGHT + 16.0, y + 4.5, &spread.text(2)).set("class", class))
}

fn text(x: f64, y: f64, words: &str) -> Text {
    Text::new(words).set("x", x).set("y", y)
}

/// A title in lines that fit.
fn wrapped(title: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in title.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= TITLE => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Spread {
        let mut spread = Spread::default();
        (1..).zip(values).for_each(|(round, value)| spread.add(round, *value));
        spread
    }

    #[test]
    fn less_is_to_the_left_and_all_is_inside() {
        let spreads = [spread(&[0.02, 0.03]), spread(&[40.0])];
        let axis = Axis::over(spreads.iter());
        assert!(axis.x(0.02) > LEFT && axis.x(0.02) < axis.x(1.0) && axis.x(1.0) < axis.x(40.0));
        assert!(axis.x(40.0) < RIGHT);
        assert!(axis.ticks().contains(&1.0) && axis.ticks().contains(&20.0));
    }

    #[test]
    fn titles_are_broken_between_words() {
        let lines = wrapped("Unthrottled, 1080p BGRx, pool memory, little touched");
        assert_eq!(lines, ["Unthrottled, 1080p BGRx, pool", "memory, little touched"]);
    }

    #[test]
    fn a_plot_names_its_peers_and_ratios() {
        let rows: Vec<RowOf<'_>> = vec![("a & b", vec![(Peer::Shmflow, spread(&[0.5, 0.6, 0.7]))])];
        let svg = draw("CPU", Figure::ProducerCpu, &rows);
        for part in ["shmflow", "0.60 (0.50–0.70)", "a &amp; b", "prefers-color-scheme"] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
    }

    #[test]
    fn a_run_without_ratios_has_no_plots() {
        assert!(all(&Run::default()).is_empty());
    }
}
